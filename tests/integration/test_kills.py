"""``ingest``, ``retrain`` and ``promote`` killed at their calls to S3 and MLflow, and these calls gone wrong.

Whatever happens: the run ends in a state with a named error or is gone, the next run completes it, one version, one
entry and the alias agree, and a training that was kept is not done twice. With EVERY_CALL every call is tried, each
kind of error at every change; without, each kind has its share of the moments. What was tried is printed as a table.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from flows.ml import landing, ledger, stored
from flows.ml.errors import TrainyardError
from flows.retrain import retrain
from tests.integration import calls
from tests.integration import home as homes
from tests.integration.calls import ERRORS, Moment
from tests.integration.home import DATASET, MODEL, Home, run
from tests.integration.servers import ROOT
from tests.integration.warm import FILE_LIMIT, Warm

pytestmark = pytest.mark.timeout(3 * 3600 if os.environ.get("EVERY_CALL") else 900)

TABLE = ROOT / ".trainyard" / "tests" / "kills.md"
WAYS = ("killed", *ERRORS)
MONTHS = ("2023-01", "2023-02")
ADA = {"operator": "ada", "reason": "the day before was better"}
SHARE = {"ingest": 1, "promote": 1, "retrain": 8}
"""Of how many moments one is tried, where not all are."""


@dataclass
class Table:
    """The calls of each flow, how often it was disturbed in each way, and whether it ended well by itself."""

    made: dict[str, list[str]] = field(default_factory=dict)
    rows: dict[tuple[str, str], list[bool]] = field(default_factory=dict)

    def note(self, flow: str, way: str, *, by_itself: bool) -> None:
        """One more moment was survived."""
        self.rows.setdefault((flow, way), []).append(by_itself)

    def text(self) -> str:
        """As Markdown. A moment that was not survived is in no row: its test failed."""
        lines = [
            "| flow | calls of a run | disturbed by | moments | ended well by itself | completed by the next run |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for (flow, way), ends in self.rows.items():
            counts = f"{len(ends)} | {sum(ends)} | {len(ends) - sum(ends)}"
            lines.append(f"| `{flow}` | {len(self.made[flow])} | {way} | {counts} |")
        return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    """The table; printed, and kept beside the reports of the tests."""
    found = Table()
    yield found
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text(found.text())
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{found.text()}")


def shared(made: Sequence[str], flow: str, way: str) -> list[Moment]:
    """The moments at which a flow is disturbed in a way: all of them, or its share."""
    every, killed = list(calls.moments(made)), way == "killed"
    if os.environ.get("EVERY_CALL"):
        changes = [moment for moment in every if calls.changes(moment.what)]
        return [_of(way, moment) for moment in (every if killed else changes)]
    if killed:
        return every[:: SHARE[flow]]
    others = every[SHARE[flow] // 2 :: SHARE[flow]]
    return [_of(way, moment) for moment in others[ERRORS.index(way) :: len(ERRORS)]]


def _of(way: str, moment: Moment) -> Moment:
    """The moment at which that happens; an answer that is cut is one that was given."""
    return replace(moment, how=way, after=moment.after or way == "cut")


def named() -> set[str]:
    """The names of every error of ours."""
    found, todo = set(), [TrainyardError]
    while todo:
        todo += (error := todo.pop()).__subclasses__()
        found.add(error.__name__)
    return found


@dataclass(frozen=True)
class Trial:
    """A flow that is disturbed again and again, each time in a home where it was not run yet.

    ``home`` gives one with the flow's parameters there. ``survived`` asserts what holds after the next run.
    """

    flow: str
    home: Callable[[], contextlib.AbstractContextManager[tuple[Home, Mapping[str, Any]]]]
    survived: Callable[[Home], None]

    def endure(self, way: str, warm: Warm, table: Table) -> None:
        """Disturb the flow at its moments, and run it again each time."""
        made = table.made.get(self.flow) or self._calls(warm)
        table.made[self.flow] = made
        kept = next((n for n, what in enumerate(made, 1) if "S3 PUT" in what and "/results/train/" in what), None)
        for moment in shared(made, self.flow, way):
            with self.home() as (home, parameters):
                end = calls.disturb(warm, home.env, moment, self.flow, **parameters)
                if end and end["name"] == "Failed":
                    assert set(re.findall(r"\w+", end["message"])) & named(), (str(moment), end)
                with warm.run(self.flow, home.env, **parameters) as again:
                    ended, log = again.end(), (again.folder / "log").read_text()
                assert ended["type"] == "COMPLETED", (str(moment), end, ended)
                if kept and (moment.call, moment.after) >= (kept, True):
                    assert "trained on" not in log, str(moment)
                self.survived(home)
            table.note(self.flow, way, by_itself=bool(end) and end["type"] == "COMPLETED")

    def _calls(self, warm: Warm) -> list[str]:
        """The calls of a run; those of the second, since only the first of a server makes its experiment."""
        for _ in range(2):
            with self.home() as (home, parameters):
                made = calls.of(warm, home.env, self.flow, **parameters)
        return made


@contextlib.contextmanager
def published(platform: Mapping[str, str], folder: Path) -> Iterator[tuple[Home, Mapping[str, Any]]]:
    """A home where a month is published, and an ingest's parameters."""
    with homes.home(platform, folder) as own:
        own.publish(MONTHS[0])
        yield own, {"dataset": DATASET, "month": MONTHS[0], "source": own.source}


@contextlib.contextmanager
def landed(platform: Mapping[str, str], folder: Path) -> Iterator[tuple[Home, Mapping[str, Any]]]:
    """A home where months are landed, and a retrain's parameters."""
    with homes.home(platform, folder) as own:
        own.land(*MONTHS)
        yield own, {"model": MODEL}


@pytest.mark.parametrize("way", WAYS)
def test_an_ingest_leaves_the_whole_month_or_none(platform, tmp_path_factory, warm, table, way) -> None:
    def survived(own: Home) -> None:
        assert landing.months(own.lake, DATASET) == [MONTHS[0]]
        manifest = landing.manifest(own.lake, DATASET, MONTHS[0])
        landing.fetch(own.lake, manifest, own.folder)  # held to its digest
        names = sorted(key.rpartition("/")[2] for key in own.objects())
        assert names == ["data.parquet", "manifest.json", "manifest.json", "rows.parquet"]
        assert own.lake.uploads() == []

    Trial("ingest", lambda: published(platform, tmp_path_factory.mktemp("home")), survived).endure(way, warm, table)


@pytest.mark.parametrize("way", WAYS)
def test_a_retrain_leaves_one_version_that_ledger_and_alias_agree_on(
    platform, tmp_path_factory, warm, table, way
) -> None:
    def survived(own: Home) -> None:
        assert own.outcome() == {"versions": {1: "promote"}, "champion": 1, "ledger": [1]}
        stored.try_out(own.registry, own.registry.version(MODEL, 1), own.folder)

    Trial("retrain", lambda: landed(platform, tmp_path_factory.mktemp("home")), survived).endure(way, warm, table)


def test_a_promote_leaves_one_entry_and_the_alias_on_it(platform, tmp_path_factory, warm, table) -> None:
    with homes.home(platform, tmp_path_factory.mktemp("home")) as served:
        served.land(*MONTHS, "2023-03")
        assert [run(retrain, model=MODEL, until=until).name for until in ("2023-02", "2023-03")] == ["Promoted"] * 2

        @contextlib.contextmanager
        def home() -> Iterator[tuple[Home, Mapping[str, Any]]]:
            by_the_gate(served)
            yield served, {"model": MODEL, "version": "previous", **ADA}

        def survived(own: Home) -> None:
            *_, before, last = ledger.entries(own.lake, MODEL)
            assert (before.version, last.version, last.operator) == (2, 1, ADA["operator"])
            assert own.registry.champion(MODEL) == 1
            assert "taken_out" in own.registry.version(MODEL, 2).tags
            assert "taken_out" not in own.registry.version(MODEL, 1).tags

        for way in WAYS:
            Trial("promote", home, survived).endure(way, warm, table)


@pytest.mark.parametrize(("flow", "home"), [("ingest", published), ("retrain", landed)])
def test_a_full_disk_is_said_and_costs_nothing(platform, tmp_path, warm, flow, home) -> None:
    with home(platform, tmp_path) as (own, parameters):
        before = own.objects()
        with warm.run(flow, {**own.env, FILE_LIMIT: "100000"}, **parameters) as full:
            end = full.end()
        left, outcome = own.objects(), own.outcome()
        with warm.run(flow, own.env, **parameters) as again:
            ended = again.end()

    assert (end["type"], end["name"]) == ("FAILED", "Failed")
    assert "exception: NoRoom: " in end["message"]
    assert "has no room for the files of this task" in end["message"]
    assert (left, outcome) == (before, homes.NOTHING)
    assert ended["type"] == "COMPLETED"


def by_the_gate(home: Home) -> None:
    """Put version 2 in service again, as if a retrain had found it better."""
    found = ledger.entries(home.lake, MODEL)
    if found[-1].version != 2:
        fingerprint = next(entry.fingerprint for entry in found if entry.version == 2)
        why = {"decision": f"after {len(found)}", "reason": "better", "operator": ledger.SCHEDULE}
        ledger.promote(home.lake, MODEL, found[-1], version=2, fingerprint=fingerprint, **why)
        home.registry.set_champion(MODEL, 2)
