"""What an operator's word comes to by the ledger: which version shall be in service, or why none other can."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from flows.ml import ledger
from flows.ml.errors import TrainyardError
from flows.ml.ledger import SCHEDULE, Entry, HeadMoved

PREVIOUS = "previous"
"""The version that was in service before the one that is."""


class NoPrevious(TrainyardError):
    """There is no version to go back to, or an operator went back already."""


class NotAPerson(TrainyardError):
    """The operator is the schedule by name, whose entries bar nothing."""


@dataclass(frozen=True)
class Wish:
    """What an operator asks for: a version's number, or ``PREVIOUS``.

    ``run`` is the flow run that asks, by its id, ``asked_at`` when it was to start; it may have waited for another.
    Raises ``NotAPerson``.
    """

    model: str
    version: str
    operator: str
    reason: str
    run: str
    asked_at: datetime

    def __post_init__(self) -> None:
        if self.operator.casefold() == SCHEDULE:
            raise NotAPerson(
                f"The operator {self.operator!r} is the schedule in the ledger: give the name of who decides."
            )


def granted(found: Sequence[Entry], wish: Wish) -> Entry | None:
    """The entry by which the wish is granted already: that of this very run, whatever came after it, or the head.

    The version before is granted where the same operator went back to the head for the same reason: who starts a run
    again that was interrupted means one step back, not two.
    """
    own = next((entry for entry in found if entry.decision == wish.run), None)
    if own or not found:
        return own
    head = found[-1]
    same = _is_way_back(found) and (head.operator, head.reason) == (wish.operator, wish.reason)
    return head if (same if wish.version == PREVIOUS else str(head.version) == wish.version) else None


def require_seen(found: Sequence[Entry], wish: Wish) -> None:
    """Raise ``HeadMoved`` where what is in service came after the operator had asked, who cannot have meant it.

    That is another operator's promotion, and where the version before is wished, any.
    """
    head = found[-1] if found else None
    if head is None or datetime.fromisoformat(head.promoted_at) <= wish.asked_at:
        return
    if wish.version == PREVIOUS or head.operator not in (SCHEDULE, wish.operator):
        raise HeadMoved(
            f"{wish.model}: version {head.version} was put in service meanwhile, {said(head)}. Where another is to be "
            "in service all the same, start a new run of promote with its number."
        )


def previous(found: Sequence[Entry], model: str) -> Entry:
    """The entry before the head's. Raises ``NoPrevious``, also where the head is an operator's way back already: a
    second operator with the same alarm would undo it."""
    if len(found) < 2:
        have = f"version {found[0].version} is the first" if found else "no version was ever promoted"
        raise NoPrevious(f"{model} has no version to go back to: {have}. Name the version that shall be in service.")
    *_, before, head = found
    if head.operator != SCHEDULE and _is_way_back(found):
        raise NoPrevious(
            f"{model}: {head.operator} went back to version {head.version} already, from version {before.version} on "
            f"{head.promoted_at[:10]} ({head.reason}). To go on from there, name the version."
        )
    return before


def bar(found: Sequence[Entry], fingerprint: str) -> str:
    """What the version of a barred training says to people; empty where it is not barred."""
    taken = ledger.bar(found, fingerprint)
    return said(taken) if taken else ""


def said(entry: Entry) -> str:
    """When, by whom and why, in a line."""
    return f"{entry.promoted_at} by {entry.operator}: {entry.reason}"


def card(model: str, found: Sequence[Entry], links: Mapping[str, str]) -> str:
    """What is in service of a model and what was before, in markdown; the newest ten promotions, the newest first."""
    head = found[-1]
    was = f", in place of version {head.champion}," if head.champion else ""
    rows = "".join(
        f"| {one.number} | {one.version} | {_when(one)} | {_plain(one.operator)} | {_plain(one.reason)} |\n"
        for one in reversed(found[-10:])
    )
    shown = " · ".join(f"[{name}]({url})" for name, url in links.items())
    return (
        f"# {model}: version {head.version} is in service\n\n"
        f"Put there{was} by {_plain(head.operator)} on {_when(head)}: {_plain(head.reason)}\n\n{shown}\n\n"
        f"| entry | version | since | by | why |\n| --: | --: | :-- | :-- | :-- |\n{rows}"
    )


def _is_way_back(found: Sequence[Entry]) -> bool:
    """Whether what is in service was in service before."""
    *former, head = found
    return head.fingerprint in {entry.fingerprint for entry in former}


def _when(entry: Entry) -> str:
    """The minute of a promotion, for people; the ledger keeps UTC."""
    return f"{entry.promoted_at[:16].replace('T', ' ')} UTC"


def _plain(text: str) -> str:
    """Someone's words in markdown, as they are: nothing in them is markup."""
    return re.sub(r"([\\`*_{}\[\]<>()#|!~&])", r"\\\1", text)
