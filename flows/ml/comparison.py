"""The errors of candidate, champion and naive baseline on the same rows, by slice, with paired intervals.

What is resampled for the intervals is days, in pairs: the trips of one day share its weather and traffic, and both
models are compared on the same days (percentile intervals of a paired bootstrap; Efron and Tibshirani, An Introduction
to the Bootstrap, 1993, chapters 8 and 13). Squared errors are integers, so that sums are exact and a figure is the same
to the last digit on any machine.
"""

import json
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from flows.ml.definition import Gate, Interval, Model, SliceResult
from flows.ml.features import Floats, Integers

ALL = "all"
UNIT = 1_000_000
"""Errors are counted in millionths: of the model's unit, and of its square."""

LARGEST_SUM = 2**61


@dataclass(frozen=True)
class Comparison:
    """The figures of a gate: all rows and each part of the slices, and how far the candidate is below the baseline."""

    overall: SliceResult
    parts: tuple[SliceResult, ...]
    against_naive: Interval
    mae: float


@dataclass(frozen=True)
class _Sums:
    """Rows and squared errors in ``UNIT``, [days, parts] each; part 0 is all rows."""

    rows: Integers
    naive: Integers
    candidate: Integers
    champion: Integers


@dataclass(frozen=True)
class Tally:
    """Rows and squared errors (in ``UNIT``) of one model and its naive baseline, [days, parts] each.

    ``parts`` names slice and part; part 0 is all rows. It is all that an interval of another month's errors against
    these is made of.
    """

    parts: tuple[tuple[str, str], ...]
    rows: Integers
    naive: Integers
    model: Integers

    def to_json(self) -> bytes:
        """The tally as it is kept with a decision."""
        figures = {name: getattr(self, name).tolist() for name in ("rows", "naive", "model")}
        return json.dumps({"parts": self.parts, **figures}).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """The tally that ``to_json`` wrote."""
        stored = json.loads(text)
        figures = (np.asarray(stored[name], dtype=np.int64) for name in ("rows", "naive", "model"))
        return cls(tuple((name, part) for name, part in stored["parts"]), *figures)


def tally(model: Model, rows: pl.DataFrame, target: Integers, naive: Floats, predictions: Floats) -> Tally:
    """The errors of at least one row; the arguments are those of ``compare``."""
    days, day, limit = _days(model, rows)
    actual = target / model.target_unit
    with np.errstate(over="ignore"):
        squares = [_counted((predicted - actual) ** 2, limit) for predicted in (naive, predictions, predictions)]
    parts, sums = _sums(model, rows, day, days, squares)
    return Tally(tuple(parts), sums.rows, sums.naive, sums.candidate)


def compare(
    model: Model, rows: pl.DataFrame, target: Integers, naive: Floats, candidate: Floats, champion: Floats | None
) -> Comparison:
    """Compares on at least one row.

    Predictions are finite and in the unit of the model; ``target`` is the integer it is divided from.
    """
    actual = target / model.target_unit
    days, day, limit = _days(model, rows)
    predictions = (naive, candidate, candidate if champion is None else champion)
    with np.errstate(over="ignore"):
        squares = [_counted((prediction - actual) ** 2, limit) for prediction in predictions]
    parts, sums = _sums(model, rows, day, days, squares)
    drawn = day_draws(days, model.gate)
    results = _results(model, parts, sums, _intervals(sums.candidate, sums.champion, sums.rows, drawn, model.gate))
    if champion is None:
        results = [replace(result, champion=None, difference=None, judged=False) for result in results]
    against_naive = _intervals(sums.candidate[:, :1], sums.naive[:, :1], sums.rows[:, :1], drawn, model.gate)[0]
    mae = int(_counted(np.abs(candidate - actual), limit).sum()) / (rows.height * UNIT)
    return Comparison(results[0], tuple(results[1:]), against_naive, mae)


def _days(model: Model, rows: pl.DataFrame) -> tuple[int, npt.NDArray[np.intp], int]:
    """How many days the rows have, the day of each, and the largest error (in ``UNIT``) whose sums do not overflow."""
    days, day = np.unique(rows[model.features.day].cast(pl.Date).cast(pl.Int32).to_numpy(), return_inverse=True)
    return len(days), day, LARGEST_SUM // (len(days) * int(np.bincount(day).max()))


def _counted(errors: Floats, limit: int) -> Integers:
    """Errors as integers. One so large that sums of it would overflow counts as the largest that do not."""
    return np.rint(np.minimum(errors, limit / UNIT) * UNIT).astype(np.int64)


def _sums(
    model: Model, rows: pl.DataFrame, day: npt.NDArray[np.intp], days: int, squares: list[Integers]
) -> tuple[list[tuple[str, str]], _Sums]:
    """Sums the errors by day and part, for all rows and for each slice in turn."""
    values = pl.DataFrame(
        {"day": day, "rows": np.ones_like(day), **{str(i): square for i, square in enumerate(squares)}}
    )
    labels = rows.select(item.label.cast(pl.String).fill_null("unknown").alias(item.name) for item in model.slices)
    parts: list[tuple[str, str]] = []
    columns: list[npt.NDArray[np.int64]] = []
    for label in (pl.Series(ALL, [ALL]).new_from_index(0, rows.height), *labels):
        grouped = values.with_columns(part=label).group_by("day", "part").agg(pl.all().sum()).sort("part", "day")
        for (name,), group in grouped.group_by("part", maintain_order=True):
            column = np.zeros((days, 4), dtype=np.int64)
            column[group["day"].to_numpy()] = group.select("rows", "0", "1", "2").to_numpy()
            parts.append((label.name, str(name)))
            columns.append(column)
    return parts, _Sums(*np.ascontiguousarray(np.stack(columns).transpose(2, 1, 0)))


def day_draws(days: int, gate: Gate) -> Integers:
    """How often each day is in each resample, [resamples, days]."""
    drawn = np.random.default_rng(gate.seed).integers(0, days, size=(gate.resamples, days))
    at = drawn + days * np.arange(gate.resamples)[:, np.newaxis]
    return np.bincount(at.ravel(), minlength=gate.resamples * days).reshape(gate.resamples, days)


def _intervals(first: Integers, second: Integers, rows: Integers, draws: Integers, gate: Gate) -> list[Interval]:
    """First minus second error of each part, over all days and between the quantiles of the resamples.

    A resample without a row of the part says nothing of it and is left out.
    """
    values = _rmse(first.sum(axis=0), rows.sum(axis=0)) - _rmse(second.sum(axis=0), rows.sum(axis=0))
    resampled = _rmse(draws @ first, draws @ rows) - _rmse(draws @ second, draws @ rows)
    tail = (1 - gate.confidence) / 2
    low, high = np.nanquantile(resampled, [tail, 1 - tail], axis=0)
    return [Interval(float(v), float(a), float(b)) for v, a, b in zip(values, low, high, strict=True)]


def _rmse(squares: Integers, rows: Integers) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sqrt(squares / (rows * UNIT)))


def _results(model: Model, parts: list[tuple[str, str]], sums: _Sums, differences: list[Interval]) -> list[SliceResult]:
    """A row of the table for each part; one with too few rows or days is shown, not judged."""
    matters = {item.name for item in model.slices if item.matters}
    rows, days = sums.rows.sum(axis=0), (sums.rows > 0).sum(axis=0)
    enough = (rows >= model.gate.min_slice_rows) & (days >= model.gate.min_slice_days)
    errors = [_rmse(column.sum(axis=0), rows).tolist() for column in (sums.naive, sums.candidate, sums.champion)]
    return [
        SliceResult(
            slice=name,
            part=part,
            rows=int(rows[i]),
            naive=errors[0][i],
            candidate=errors[1][i],
            champion=errors[2][i],
            difference=differences[i],
            matters=name in matters,
            judged=name in matters and bool(enough[i]),
        )
        for i, (name, part) in enumerate(parts)
    ]
