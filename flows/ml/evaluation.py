"""The gate: whether a candidate may replace the champion, judged on rows that neither was trained on."""

from dataclasses import dataclass
from math import nan

import numpy as np
import polars as pl

from flows.ml import months
from flows.ml.comparison import Comparison, compare
from flows.ml.definition import Decision, Interval, Model, Verdict
from flows.ml.features import Floats
from flows.ml.training import targets


@dataclass(frozen=True)
class Contender:
    """A model before the gate.

    ``months`` (``YYYY-MM``) are those it was trained on. ``predictions`` are of the judged rows, in the unit of the
    model; one that could not be loaded or scored has None, and the ``fault`` as an operator should read it.
    """

    months: tuple[str, ...]
    predictions: Floats | None
    fault: str = ""


@dataclass(frozen=True)
class _Case:
    """What there is to decide on."""

    model: Model
    month: str
    rows: pl.DataFrame
    candidate: Contender
    champion: Contender | None
    comparison: Comparison | None


def judge(
    model: Model, month: str, rows: pl.DataFrame, naive: Floats, candidate: Contender, champion: Contender | None
) -> Verdict:
    """Decides on the rows of ``month`` (``YYYY-MM``) that are in the model's scope.

    ``naive`` are the baseline's predictions of the rows; ``champion`` is None where no model is in service. The same
    arguments give the same verdict to the last digit. Figures that cannot be computed are NaN, or None where the type
    allows it.
    """
    comparison = None
    if rows.height and _scored(candidate, rows) and np.isfinite(naive).all():
        rival = champion.predictions if champion and _scored(champion, rows) else None
        comparison = compare(model, rows, targets(rows, model), naive, np.asarray(candidate.predictions), rival)
    case = _Case(model, month, rows, candidate, champion, comparison)
    decision, reason = _decision(case)
    if comparison is None:
        return Verdict(decision, reason, rows.height, nan, nan, nan)
    overall = comparison.overall
    return Verdict(
        decision=decision,
        reason=reason,
        rows=rows.height,
        rmse=overall.candidate,
        mae=comparison.mae,
        naive_rmse=overall.naive,
        champion_rmse=overall.champion,
        difference=overall.difference,
        slices=comparison.parts,
    )


def _decision(case: _Case) -> tuple[Decision, str]:
    """Refuses what cannot be compared or is worse where it matters, and only then weighs the errors."""
    refusal = _unfit(case) or _too_little(case) or _unscored(case) or _worse_part(case)
    if refusal or case.comparison is None:
        return "refuse", refusal or "The naive baseline gave predictions that are not finite: check the training rows."
    return _weighed(case, case.comparison)


def _unfit(case: _Case) -> str:
    """A model that saw the judged month, or of which that is not known, cannot be judged on it."""
    for name, contender in _contenders(case):
        if not contender.months and not contender.fault:  # a fault is a reason of its own
            return f"The months the {name} was trained on are not on record, so it cannot be judged: train it again."
        if case.month in contender.months:
            return f"The {name} was trained on {case.month}, the month to judge on: take a month it has not seen."
        if (newest := max(contender.months, default="")) > case.month:
            return f"The {name} was trained on {newest}, after {case.month}: judge on a month that neither can know."
    return ""


def _too_little(case: _Case) -> str:
    gate, count, days = case.model.gate, case.rows.height, case.rows[case.model.features.day].dt.date().n_unique()
    if count < gate.min_rows:
        return f"{case.month} has {count:,} rows to judge on, fewer than {gate.min_rows:,}: check the month's data."
    if days < gate.min_days:
        return f"{case.month} has rows of {days} days to judge on, fewer than {gate.min_days}: check the month's data."
    return ""


def _unscored(case: _Case) -> str:
    for name, contender in _contenders(case):
        if contender.predictions is None:
            return f"The {name} could not be loaded or scored: {contender.fault or 'no reason is on record'}"
        if contender.predictions.shape != (case.rows.height,):
            return f"The {name} gave predictions of shape {contender.predictions.shape} for {case.rows.height:,} rows."
        bad = int((~np.isfinite(contender.predictions)).sum())
        if bad:
            return (
                f"The {name} gave {bad:,} predictions of {case.rows.height:,} that are not finite: check its training."
            )
    return ""


def _worse_part(case: _Case) -> str:
    """The part that is worse by the most, of those whose whole interval lies beyond the slice's margin."""
    margins = {item.name: item.margin for item in case.model.slices}
    worse = [
        (part.difference.low - margins[part.slice], part, part.difference)
        for part in (case.comparison.parts if case.comparison else ())
        if part.judged and part.difference and part.difference.low > margins[part.slice]
    ]
    if not worse:
        return ""
    _, part, difference = max(worse, key=lambda item: item[0])
    return (
        f"The candidate is worse for {part.slice} {part.part} ({part.rows:,} rows of {case.month}): "
        f"{_shown(difference, case.model)}, wholly beyond the margin of {margins[part.slice]:.3f}."
    )


def _weighed(case: _Case, comparison: Comparison) -> tuple[Decision, str]:
    """Weighs a candidate that can be compared."""
    model, overall = case.model, comparison.overall
    error = f"error {overall.candidate:.3f} {model.unit} on {overall.rows:,} rows of {case.month}"
    if not comparison.against_naive.high < 0:
        against = f"{overall.naive:.3f} ({_shown(comparison.against_naive, model)})"
        return "keep", f"The candidate ({error}) does not beat the naive baseline's {against}."
    if case.champion is None or overall.difference is None:
        return (
            "promote",
            f"The candidate ({error}) beats the naive baseline's {overall.naive:.3f}, and no model is in service.",
        )
    against = f"the champion's {overall.champion:.3f} ({_shown(overall.difference, model)})"
    if overall.difference.high < 0:
        return "promote", f"The candidate ({error}) is better than {against}, beyond noise."
    limit, age = model.gate.max_champion_age, months.apart(max(case.champion.months), case.month)
    margin = f"the margin of {model.gate.margin:.3f}"
    if overall.difference.high > model.gate.margin:
        return "keep", f"The candidate ({error}) may be worse than {against} by more than {margin}."
    if age <= limit:
        trained = f"was trained to {max(case.champion.months)}, {age} months before (limit {limit})"
        return "keep", f"The candidate ({error}) is not better than {against} beyond noise, and the champion {trained}."
    trained = f"was trained to {max(case.champion.months)}, {age} months before, beyond the limit of {limit}"
    return "promote", f"The candidate ({error}) is within {margin} of {against}, and the champion {trained}."


def _contenders(case: _Case) -> list[tuple[str, Contender]]:
    return [("candidate", case.candidate)] + ([("champion", case.champion)] if case.champion else [])


def _scored(contender: Contender, rows: pl.DataFrame) -> bool:
    found = contender.predictions
    return found is not None and found.shape == (rows.height,) and bool(np.isfinite(found).all())


def _shown(difference: Interval, model: Model) -> str:
    confidence = f"{100 * model.gate.confidence:g} % interval"
    return f"difference {difference.value:+.3f}, {confidence} {difference.low:+.3f} to {difference.high:+.3f}"
