"""Which months of a range are missing, and how filling them ended."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from flows.ml import months
from flows.ml.errors import TrainyardError

MOST = 120
"""Months of one backfill: ten years, far beyond what a model trains on. More of them are a slip of the pen."""

Fate = Literal["there", "missing", "filled", "not published", "not landed", "failed"]
"""What is with a month: ``there`` before; ``missing`` and not tried yet; else how trying ended."""


class RangeError(TrainyardError):
    """A range of months that cannot be meant."""


@dataclass(frozen=True)
class Month:
    """A month of the range. ``rows`` are those in the lake, None while there are none."""

    month: str
    fate: Fate
    rows: int | None = None
    sentence: str = ""

    def now(self, fate: Fate, rows: int | None = None, sentence: str = "") -> "Month":
        """The same month with another fate."""
        return replace(self, fate=fate, rows=rows, sentence=" ".join(sentence.split()))


@dataclass(frozen=True)
class Ending:
    """How a backfill ends: ``well`` or not, the name of its state, the operator's sentence."""

    well: bool
    name: str
    sentence: str


def asked(first: str, last: str, there: Sequence[str], what: str) -> list[str]:
    """The months from ``first`` to ``last``, both included; an empty one is the oldest or newest of those ``there``.

    Raises ``RangeError`` where nothing is there to take it from, where the order is wrong, and for too many months.
    """
    if not there and not (first and last):
        raise RangeError(f"the lake holds no month of {what}: name the first and the last month to fill.")
    start, end = first or there[0], last or there[-1]
    if start > end:
        raise RangeError(_order(first, last, start, end))
    if (count := months.apart(start, end) + 1) > MOST:
        raise RangeError(f"{start} to {end} are {count:,} months, more than {MOST} at once: name fewer.")
    return months.between(start, end)


def missing(found: Iterable[Month]) -> list[Month]:
    """Those still to be filled."""
    return [each for each in found if each.fate == "missing"]


def plan(found: Sequence[Month]) -> Ending:
    """The end of a dry run: what would be filled."""
    would = [each.month for each in missing(found)]
    text = f"would fill {len(would)} of {len(found)} months: {', '.join(would)}" if would else _whole(found)
    return Ending(True, "Dry run", text)


def ending(found: Sequence[Month]) -> Ending:
    """The end of a backfill that tried every missing month; one that failed is named with its reason."""
    parts = [
        *_counted(found, "filled", "filled"),
        *_counted(found, "not published", "not published yet"),
        *_counted(found, "not landed", "not in the lake (run backfill for them first)"),
    ]
    if failed := [each for each in found if each.fate == "failed"]:
        named = "; ".join(f"{each.month}: {each.sentence}" for each in failed)
        return Ending(False, "Incomplete", f"{len(failed)} failed: {named}. {'; '.join(parts) or 'nothing was filled'}")
    if not parts:
        return Ending(True, "Nothing missing", _whole(found))
    return Ending(True, "Filled", "; ".join(parts))


def table(found: Iterable[Month]) -> list[dict[str, object]]:
    """The report, a row a month."""
    return [{"month": each.month, "state": each.fate, "rows": each.rows, "sentence": each.sentence} for each in found]


def _order(first: str, last: str, start: str, end: str) -> str:
    if not last:
        return f"{start} is after {end}, the newest month in the lake: name the last month, too."
    if not first:
        return f"{end} is before {start}, the oldest month in the lake: name the first month, too."
    return f"{start} is after {end}: name the earlier month as the first."


def _counted(found: Iterable[Month], fate: Fate, words: str) -> list[str]:
    named = [each.month for each in found if each.fate == fate]
    return [f"{len(named)} {words}: {', '.join(named)}"] if named else []


def _whole(found: Sequence[Month]) -> str:
    return f"nothing is missing from {found[0].month} to {found[-1].month}"
