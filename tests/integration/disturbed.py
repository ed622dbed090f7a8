"""A flow disturbed again and again: what it is tried with, and the table of what came of it."""

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flows.ml import landing, ledger, predictions
from flows.ml.errors import TrainyardError
from flows.ml.landing import months
from flows.ml.predictions import Predictions
from tests.integration import calls
from tests.integration.calls import ERRORS, Moment
from tests.integration.home import DATASET, MODEL, Home
from tests.integration.warm import FILE_LIMIT, Warm

WAYS = ("killed", *ERRORS)
FULL = "full disk"
SHARE = {"ingest": 1, "promote": 1, "retrain": 8, "monthly": 8, "backfill": 4, "backfill-scores": 3, "reconcile": 3}
"""Of how many moments one is tried, where not all are."""
SELDOM = 8
"""Of how many moments one is tried at which the servers stay away: the run tries for a minute before it gives up."""
IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
"""How a run is told to leave it at that: MLflow's client would try for minutes, and each task for as long again."""
SMALLEST = 20_000
"""Bytes of a file that no flow can do with."""


@dataclass
class Table:
    """The calls of each flow, how often it was disturbed in each way, and whether it ended well by itself."""

    made: dict[str, list[str]] = field(default_factory=dict)
    tried: Counter[tuple[str, str]] = field(default_factory=Counter)
    rows: dict[tuple[str, str], list[bool]] = field(default_factory=dict)

    def begin(self, flow: str, way: str) -> None:
        """One more moment is tried."""
        self.tried[flow, way] += 1

    def note(self, flow: str, way: str, *, by_itself: bool) -> None:
        """One more moment was survived."""
        self.rows.setdefault((flow, way), []).append(by_itself)

    def text(self) -> str:
        """As Markdown. A moment that was tried and not survived made its test fail."""
        lines = [
            "| flow | its calls | disturbed by | tried | survived | ended well by itself | completed by a later run |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for (flow, way), tried in self.tried.items():
            ends = self.rows.get((flow, way), [])
            counts = f"{tried} | {len(ends)} | {sum(ends)} | {len(ends) - sum(ends)}"
            lines.append(f"| `{flow}` | {len(self.made.get(flow, ())) or ''} | {way} | {counts} |")
        return "\n".join(lines) + "\n"


def shared(made: Sequence[str], flow: str, way: str) -> list[Moment]:
    """The moments at which a flow is disturbed in a way: all of them, or its share."""
    every = list(calls.moments(made)) if way == "killed" else list(_wrong(made, way))
    if way == "away":
        return every[::SELDOM] if calls.every_one() else [every[len(every) // 2]]
    if calls.every_one():
        return every
    return every[:: SHARE[flow]] if way == "killed" else every[ERRORS.index(way) :: max(SHARE[flow], 4) * len(ERRORS)]


def _wrong(made: Sequence[str], way: str) -> Iterator[Moment]:
    """The moments at which a call may go wrong: instead of each call, and of the answer to each that changes anything.

    An answer that is cut is one that was given, to a call of either kind.
    """
    for number, what in enumerate(made, start=1):
        if way != "cut":
            yield Moment(number, False, what, way)
        if way == "cut" or calls.changes(what):
            yield Moment(number, True, what, way)


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

    ``home`` gives one with the flow's parameters there. ``survived`` asserts what holds after the next run. What a flow
    ``trains`` and has kept it does not train again. Calls of several months at once are not ``ordered``.
    """

    flow: str
    home: Callable[[], contextlib.AbstractContextManager[tuple[Home, Mapping[str, Any]]]]
    survived: Callable[[Home], None]
    trains: bool = False
    ordered: bool = True

    def endure(self, way: str, warm: Warm, table: Table) -> None:
        """Disturb the flow at its moments, and run it again each time."""
        made = table.made.get(self.flow) or self._calls(warm)
        table.made[self.flow] = made
        kept = next((n for n, what in enumerate(made, 1) if "S3 PUT" in what and "/results/train/" in what), None)
        moments = shared(made, self.flow, way)
        assert moments
        assert bool(kept) == self.trains, made
        for moment in moments:
            table.begin(self.flow, way)
            with self.home() as (home, parameters):
                env = home.env if way != "away" else {**home.env, **IMPATIENT}
                end = calls.disturb(warm, env, moment, self.flow, self.ordered, **parameters)
                if end and end["type"] != "COMPLETED":
                    assert set(re.findall(r"\w+", end["message"])) & named(), (str(moment), end)
                readable(home)
                with warm.run(self.flow, home.env, **parameters) as again:
                    ended, log = again.end(), (again.folder / "log").read_text()
                assert ended["type"] == "COMPLETED", (str(moment), end, ended)
                if kept and (moment.how == "killed" or (moment.call, moment.after) >= (kept, True)):
                    assert ("trained on" in log) == ((moment.call, moment.after) < (kept, True)), str(moment)
                self.survived(home)
            table.note(self.flow, way, by_itself=bool(end) and end["type"] == "COMPLETED")

    def _calls(self, warm: Warm) -> list[str]:
        """The calls of a run; those of the second, since only the first of a server makes its experiment."""
        for _ in range(2):
            with self.home() as (home, parameters):
                made = calls.of(warm, home.env, self.flow, **parameters)
        return made


def readable(home: Home) -> None:
    """Assert that all is whole that a reader takes for whole, whatever a run left half-way.

    Those are the months and predictions that have a manifest, by their digests, and the version in service.
    """
    for month in months(home.lake, DATASET):
        landing.fetch(home.lake, landing.manifest(home.lake, DATASET, month), home.folder)
    for key in home.lake.keys(f"predictions/{MODEL}/"):
        if key.endswith("/manifest.json"):
            predictions.read(home.lake, Predictions.from_json(home.lake.get(key), key), home.folder)
    promoted = {entry.version: entry.fingerprint for entry in ledger.entries(home.lake, MODEL)}
    champion = home.registry.champion(MODEL)
    assert champion is None or home.registry.version(MODEL, champion).fingerprint == promoted.get(champion)


def fill(warm: Warm, table: Table, flow: str, home: Home, parameters: Mapping[str, Any]) -> int:
    """Run a flow on a disk with room for files of twice the size each time, until it is enough; how often it was not.

    Each time that is said, and the months and what is in service are what they were before. What a size strikes is the
    first write that it is too small for.
    """

    def seen() -> tuple[object, ...]:
        return home.outcome(), [landing.manifest(home.lake, DATASET, month) for month in months(home.lake, DATASET)]

    before, times = seen(), 0
    while True:
        table.begin(flow, FULL)
        with warm.run(flow, {**home.env, FILE_LIMIT: str(SMALLEST << times)}, **parameters) as run:
            end = run.end()
        if end["type"] == "COMPLETED":
            for by_itself in (*(False for _ in range(times)), True):
                table.note(flow, FULL, by_itself=by_itself)
            return times
        assert (end["type"], end["name"]) == ("FAILED", "Failed"), end
        assert re.search("exception: NoRoom: .* has no room for the files of this task", end["message"]), end
        assert seen() == before, end
        readable(home)
        times += 1
