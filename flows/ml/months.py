"""Months as ``YYYY-MM``: their order is that of the text."""

import re

from flows.ml.errors import TrainyardError

PATTERN = r"^\d{4}-(0[1-9]|1[0-2])$"


class MonthError(TrainyardError):
    """A text that is no month."""


def following(month: str, by: int = 1) -> str:
    """The month ``by`` months later (earlier where negative). Raises ``MonthError``."""
    if not re.fullmatch(PATTERN, month, re.ASCII):
        raise MonthError(f"{month!r} is no month. Write it as YYYY-MM, such as 2023-01.")
    year, zero_based = divmod(int(month[:4]) * 12 + int(month[5:]) - 1 + by, 12)
    return f"{year:04d}-{zero_based + 1:02d}"


def apart(first: str, last: str) -> int:
    """How many months ``last`` is after ``first``; negative where it is before. Raises ``MonthError``."""
    (year, month), (last_year, last_month) = (map(int, following(each, 0).split("-")) for each in (first, last))
    return 12 * (last_year - year) + last_month - month


def between(first: str, last: str) -> list[str]:
    """Every month from ``first`` to ``last``, both included; empty where ``last`` is earlier. Raises ``MonthError``."""
    months = [first] if first <= following(last, 0) else []
    while months and months[-1] < last:
        months.append(following(months[-1]))
    return months
