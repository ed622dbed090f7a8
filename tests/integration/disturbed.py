"""A flow disturbed again and again: what it is tried with, and the table of what came of it."""

import contextlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flows.ml.errors import TrainyardError
from tests.integration import calls
from tests.integration.calls import ERRORS, Moment
from tests.integration.home import Home
from tests.integration.warm import Warm

WAYS = ("killed", *ERRORS)
SHARE = {"ingest": 1, "promote": 1, "retrain": 8, "monthly": 8, "backfill": 4, "backfill-scores": 3, "reconcile": 3}
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
        moments = shared(made, self.flow, way)
        assert moments
        for moment in moments:
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
