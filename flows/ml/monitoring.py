"""Whether the champion in service, and the month it met, are within the limits: realised error, drift, what is missing.

A raw error moves with the season, and the naive baseline's moves with it: what is watched is the ratio of the two, as a
multiple of the ratio at promotion (its growth). The two months have different days, so the days of each are resampled
by themselves (percentile intervals of a two-sample bootstrap; Efron and Tibshirani, An Introduction to the Bootstrap,
1993, chapters 8 and 13).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from flows.ml.comparison import ALL, Tally, day_draws
from flows.ml.definition import Gate, Interval, Model
from flows.ml.drift import Drift
from flows.ml.features import Floats

Cause = Literal["error", "drift", "unseen", "missing"]


@dataclass(frozen=True)
class Promotion:
    """The errors at promotion: by day and slice, None where they were not kept, and the ratio that is on record."""

    errors: Tally | None
    ratio: float | None


@dataclass(frozen=True)
class PartError:
    """The error of a part of the month, relative to the naive baseline's.

    ``ratio`` is of the two RMSE, ``before`` the same at promotion and ``growth`` one over the other; without what was
    at promotion it is ``ratio`` itself, and ``limit`` is 1: no worse than the baseline. ``judged``: it may alarm.
    """

    slice: str
    part: str
    rows: int
    ratio: float
    before: float | None
    growth: Interval
    limit: float
    judged: bool

    @property
    def name(self) -> str:
        """For people."""
        return "all rows" if self.slice == ALL else f"{self.slice} {self.part}"


@dataclass(frozen=True)
class Completeness:
    """Rows that are of no use: ``broken`` those in quarantine and ``unscored`` those in scope without a prediction,
    as shares now; ``broken_before`` at training."""

    broken: float
    broken_before: float
    unscored: float


@dataclass(frozen=True)
class Alarm:
    """A limit that is passed, in a sentence without its full stop."""

    cause: Cause
    text: str


@dataclass(frozen=True)
class Findings:
    """What is known of a month under the champion; ``errors`` begin with all rows, empty where none could be scored."""

    errors: tuple[PartError, ...]
    drifts: tuple[Drift, ...]
    completeness: Completeness
    alarms: tuple[Alarm, ...]

    @property
    def causes(self) -> tuple[Cause, ...]:
        """The kinds of limits that are passed, each once."""
        return tuple(dict.fromkeys(alarm.cause for alarm in self.alarms))

    @property
    def sentence(self) -> str:
        """What is past its limit and how far, or that nothing is."""
        if self.alarms:
            return "; ".join(alarm.text for alarm in self.alarms)
        error = f"error {_against(self.errors[0])}" if self.errors else "no row could be scored"
        furthest = max(self.drifts, key=lambda drift: drift.distance / drift.limit, default=None)
        moved = (
            f"; {furthest.name} has moved most, by {furthest.distance:.3f} of {furthest.limit:g}" if furthest else ""
        )
        return f"{error}{moved}"


def findings(
    model: Model, now: Tally | None, promotion: Promotion, drifts: Sequence[Drift], completeness: Completeness
) -> Findings:
    """Everything that is watched, and what of it is past the model's limits; ``now`` None: no row could be scored."""
    errors = part_errors(model, now, promotion) if now else ()
    alarms = [*_errors(errors), *_drifts(drifts), *_unseen(model, drifts), *_missing(model, drifts, completeness)]
    return Findings(tuple(errors), tuple(drifts), completeness, tuple(alarms))


def part_errors(model: Model, now: Tally, promotion: Promotion) -> tuple[PartError, ...]:
    """The errors of all rows and of each part, against those at promotion as far as they were kept."""
    before = promotion.errors
    later = _resampled(now, model.gate)
    earlier = _resampled(before, replace(model.gate, seed=model.gate.seed + 1)) if before else None
    found = []
    for at, (name, part) in enumerate(now.parts):
        there = before.parts.index((name, part)) if before and (name, part) in before.parts else None
        ratio = _ratio(now, at)
        reference, resampled = promotion.ratio if name == ALL else None, later[:, at]
        if before is not None and earlier is not None and there is not None:
            reference = _ratio(before, there)
            resampled = resampled / earlier[:, there]
        elif reference:
            resampled = resampled / reference
        value = ratio / reference if reference else ratio
        found.append(
            PartError(
                slice=name,
                part=part,
                rows=int(now.rows[:, at].sum()),
                ratio=ratio,
                before=reference,
                growth=_interval(value, resampled, model.gate),
                limit=_limit(model, name, reference),
                judged=_enough(model, name, now, at) and _enough_before(model, name, before, there),
            )
        )
    return tuple(found)


def _resampled(tally: Tally, gate: Gate) -> Floats:
    """The ratio of errors in each resample of the days, [resamples, parts]; NaN where it has no row of a part."""
    draws = day_draws(len(tally.rows), gate)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.sqrt((draws @ tally.model) / (draws @ tally.naive)))


def _ratio(tally: Tally, at: int) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.sqrt(tally.model[:, at].sum() / tally.naive[:, at].sum()))


def _interval(value: float, resampled: Floats, gate: Gate) -> Interval:
    tail = (1 - gate.confidence) / 2
    known = resampled[np.isfinite(resampled)]
    low, high = np.quantile(known, [tail, 1 - tail]) if known.size else (np.nan, np.nan)
    return Interval(value, float(low), float(high))


def _limit(model: Model, name: str, reference: float | None) -> float:
    if reference is None:
        return 1.0
    return model.limits.growth if name == ALL else model.limits.slice_growth


def _enough_before(model: Model, name: str, before: Tally | None, at: int | None) -> bool:
    """The same at promotion. Without what was kept then, all rows are held against the baseline, and no part is."""
    return name == ALL if before is None or at is None else _enough(model, name, before, at)


def _enough(model: Model, name: str, tally: Tally, at: int) -> bool:
    """Whether a part matters and has the rows and days that its figures mean something."""
    gate = model.gate
    if name not in {ALL, *(item.name for item in model.slices if item.matters)}:
        return False
    rows, days = tally.rows[:, at].sum(), (tally.rows[:, at] > 0).sum()
    least = (gate.min_rows, gate.min_days) if name == ALL else (gate.min_slice_rows, gate.min_slice_days)
    return bool(rows >= least[0] and days >= least[1])


def _errors(errors: Sequence[PartError]) -> list[Alarm]:
    """All rows, and of the parts the one furthest beyond its limit: only where the whole interval is beyond."""
    beyond = [error for error in errors if error.judged and error.growth.low > error.limit]
    whole = [error for error in beyond if error.slice == ALL]
    parts = sorted((error for error in beyond if error.slice != ALL), key=lambda error: error.limit - error.growth.low)
    return [Alarm("error", f"the error of {error.name} is {_against(error)}") for error in [*whole, *parts[:1]]]


def _against(error: PartError) -> str:
    growth = error.growth
    interval = f"interval {growth.low:.3f} to {growth.high:.3f}, limit {error.limit:g}"
    if error.before is None:
        return f"{error.ratio:.3f} of the naive baseline's ({interval}; nothing was kept at promotion)"
    was = f"{error.ratio:.3f} of the naive baseline's and was {error.before:.3f} at promotion"
    return f"{was}: {growth.value:.3f} times that ({interval})"


def _drifts(drifts: Sequence[Drift]) -> list[Alarm]:
    return [Alarm("drift", _drift(drift)) for drift in drifts if drift.distance > drift.limit]


def _drift(drift: Drift) -> str:
    moved = ", ".join(f"{one.bin} from {one.before:.1%} to {one.now:.1%} of the rows" for one in drift.moved[:2])
    return f"{drift.name} has moved by {drift.distance:.3f} (limit {drift.limit:g}): {moved}"


def _unseen(model: Model, drifts: Sequence[Drift]) -> list[Alarm]:
    limit = model.limits.unseen
    return [
        Alarm(
            "unseen", f"{drift.unseen:.2%} of the rows have a {drift.name} that training never saw (limit {limit:.2%})"
        )
        for drift in drifts
        if drift.unseen > limit
    ]


def _missing(model: Model, drifts: Sequence[Drift], found: Completeness) -> list[Alarm]:
    limits = model.limits
    shares = [(f"rows have no {drift.name}", drift.missing, drift.missing_before, limits.missing) for drift in drifts]
    shares.append(("rows are in quarantine", found.broken, found.broken_before, limits.broken))
    alarms = [
        Alarm("missing", f"{now:.2%} of the {what}, {before:.2%} at training (limit {limit:.2%} more)")
        for what, now, before, limit in shares
        if now - before > limit
    ]
    if found.unscored > limits.missing:
        text = f"{found.unscored:.2%} of the rows in scope could not be scored (limit {limits.missing:.2%})"
        alarms.append(Alarm("missing", text))
    return alarms
