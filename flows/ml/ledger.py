"""Promotions, append-only, in the lake: the truth about which version is the champion.

Entry n of a model is the object ``ledger/<model>/<n>.json``, written only while that number is free. An entry names the
head it was judged against; where the head has moved meanwhile its number is taken, and the writer must judge again.

What an operator takes out of service is barred: the schedule does not promote that training until an operator does.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise

from flows.ml.errors import TrainyardError
from flows.ml.lake import Lake

SCHEDULE = "retrain"
"""The operator in entries that the gate decided; any other is a person."""


class HeadMoved(TrainyardError):
    """Another promotion came first: what was judged against the former head must be judged again."""


class NoChampion(TrainyardError):
    """No version of the model was promoted yet."""


@dataclass(frozen=True)
class Entry:
    """One promotion. ``version`` is MLflow's; ``champion`` the version it replaced; ``decision`` what it rests on."""

    number: int
    version: int
    champion: int | None
    fingerprint: str
    decision: str
    reason: str
    operator: str
    promoted_at: str


@dataclass(frozen=True)
class Standing:
    """The ledger as one training sees it: the head, the newest entry that promoted that training, and the one that bars
    it, if there are such."""

    champion: Entry | None
    promotion: Entry | None
    bar: Entry | None = None

    @property
    def identity(self) -> tuple[int, str] | None:
        """Number and fingerprint of the head: what a decision was made against."""
        return (self.champion.number, self.champion.fingerprint) if self.champion else None


def entries(lake: Lake, model: str) -> list[Entry]:
    """All promotions of a model, the oldest first."""
    return [Entry(**lake.get_json(key)) for key in sorted(lake.keys(f"ledger/{model}/"))]


def head(lake: Lake, model: str) -> Entry | None:
    """The newest promotion, whose version is the champion; None before the first."""
    keys = sorted(lake.keys(f"ledger/{model}/"))
    return Entry(**lake.get_json(keys[-1])) if keys else None


def champion(lake: Lake, model: str) -> Entry:
    """The promotion of the version in service. Raises ``NoChampion``."""
    found = head(lake, model)
    if found is None:
        raise NoChampion(f"No version of {model} was promoted yet: run retrain for it first.")
    return found


def standing(lake: Lake, model: str, fingerprint: str) -> Standing:
    """How a training stands in the ledger."""
    found = entries(lake, model)
    promotion = next((entry for entry in reversed(found) if entry.fingerprint == fingerprint), None)
    return Standing(found[-1] if found else None, promotion, bar(found, fingerprint))


def bar(found: Sequence[Entry], fingerprint: str) -> Entry | None:
    """The entry by which an operator took a training out of service, unless one has put it back since."""
    barred = None
    for before, entry in pairwise(found):
        if entry.operator == SCHEDULE:
            continue
        if entry.fingerprint == fingerprint:
            barred = None
        elif before.fingerprint == fingerprint:
            barred = entry
    return barred


def promote(
    lake: Lake,
    model: str,
    against: Entry | None,
    *,
    version: int,
    fingerprint: str,
    decision: str,
    reason: str,
    operator: str,
) -> Entry:
    """Append a promotion that was judged against the head ``against``.

    The same promotion again (a rerun after a crash) finds its own entry and returns it.
    Raises HeadMoved where another promotion took the number.
    """
    entry = Entry(
        number=against.number + 1 if against else 1,
        version=version,
        champion=against.version if against else None,
        fingerprint=fingerprint,
        decision=decision,
        reason=reason,
        operator=operator,
        promoted_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    key = f"ledger/{model}/{entry.number:08d}.json"
    if lake.put_new(key, json.dumps(asdict(entry), indent=1).encode()):
        return entry
    there = Entry(**lake.get_json(key))
    if there.fingerprint == fingerprint and there.decision == decision:
        return there
    raise HeadMoved(
        f"{model}: version {there.version} was promoted as entry {there.number} of the ledger meanwhile, by "
        f"{there.operator} ({there.reason}); version {version} must be judged against it."
    )
