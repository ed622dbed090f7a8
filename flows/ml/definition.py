"""What a dataset and a model are made of: the types their files fill in.

Pure types: a dataset file (``flows/datasets``) and a model file (``flows/models``) are values of these classes and
nothing else, so that all that is particular to a model can be read in one place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import polars as pl

from flows.ml.features import Band, Clock, Derived, Encoding, Features, Group, Scaled

__all__ = [
    "Band",
    "Clock",
    "Dataset",
    "Decision",
    "Derived",
    "Encoding",
    "Features",
    "Gate",
    "Group",
    "Interval",
    "Limits",
    "Model",
    "Parameter",
    "Scaled",
    "Slice",
    "SliceResult",
    "Verdict",
    "Watched",
]

if TYPE_CHECKING:
    from pandera.polars import DataFrameSchema

Parameter = str | int | float | bool


@dataclass(frozen=True)
class Dataset:
    """Everything particular to one monthly dataset.

    ``url`` is where a month's file is published, with ``{dataset}`` and ``{month}`` to fill in. ``schema`` holds the
    typed columns and the rules every row must meet; ``sources`` maps each of its columns to the name in the file, and
    ``ignored`` are the file's other columns, so that a new one can be told. ``outcomes`` are the columns that are known
    only afterwards: a target or a scope may use them, an input of a model may not. ``time`` is the column that must lie
    in the month. A month with more than the share ``max_broken`` of broken rows, or fewer rows than ``min_rows``, is
    refused.
    """

    name: str
    title: str
    url: str
    schema: "DataFrameSchema"
    sources: Mapping[str, str]
    outcomes: frozenset[str]
    ignored: frozenset[str]
    time: str
    max_broken: float
    min_rows: int


@dataclass(frozen=True)
class Slice:
    """A part of the rows the gate looks at on its own.

    ``label`` gives every row the name of its part. ``matters``: a part that is worse by an interval wholly beyond
    ``margin`` refuses the candidate; other slices are shown, not judged.
    """

    name: str
    label: pl.Expr
    matters: bool = False
    margin: float = 0.0


@dataclass(frozen=True)
class Gate:
    """When a candidate may replace the champion. Errors and margins are RMSE in the unit of the model.

    ``max_champion_age`` is in months of data, from the newest month the champion was trained on to the judged one. Days
    have a floor beside rows, because the intervals come from resampled days.
    """

    margin: float
    min_rows: int
    min_slice_rows: int
    max_champion_age: int
    min_days: int = 14
    min_slice_days: int = 7
    confidence: float = 0.95
    resamples: int = 2_000
    seed: int = 42


@dataclass(frozen=True)
class Watched:
    """An input whose distribution is held against that of the training rows.

    ``value`` is what is counted of a row, null where the input is missing: a category or, with ``bins``, a number that
    falls into one of as many bins, between the quantiles of the training rows. ``drift`` is the limit of how far the
    distribution may move, 0 to 1 (``flows/ml/drift.py``).
    """

    name: str
    value: pl.Expr
    drift: float
    bins: int = 0


@dataclass(frozen=True)
class Limits:
    """How far the champion in service, and the months it meets, may be from what they were; beyond them is an alarm.

    ``growth`` is of the error relative to the naive baseline's, as a multiple of that at promotion, and
    ``slice_growth`` that of a slice that matters. ``unseen`` is the share of rows with a category that training never
    saw, ``missing`` by how much the share of rows without an input may exceed that at training, and ``broken`` the same
    of the rows in quarantine. A bin or category counts on its own from ``min_bin_rows`` rows on. ``second_window`` is
    how many months a retrain after an alarm trains on at most.
    """

    watched: tuple[Watched, ...]
    growth: float
    slice_growth: float
    unseen: float
    missing: float
    broken: float
    second_window: int
    min_bin_rows: int = 100


@dataclass(frozen=True)
class Model:
    """Everything particular to one model.

    ``target`` is an integer expression (seconds for a duration); predictions are ``target / target_unit`` in ``unit``.
    ``scope`` keeps the rows the model is for, in training and in judging. ``inputs`` are the raw columns it needs to
    predict. ``window`` is how many months it trains on at most. ``naive`` are the keys of the baseline, finest first.
    ``limits`` are those of monitoring, and no part of what a training is identified by.
    """

    name: str
    title: str
    dataset: str
    target: pl.Expr
    target_unit: int
    unit: str
    scope: pl.Expr
    inputs: tuple[str, ...]
    features: Features
    parameters: Mapping[str, Parameter]
    rounds: int
    seed: int
    window: int
    naive: tuple[tuple[str, ...], ...]
    slices: tuple[Slice, ...]
    gate: Gate
    limits: Limits


Decision = Literal["promote", "keep", "refuse"]


@dataclass(frozen=True)
class Interval:
    """An estimate with its bootstrap interval, in the unit of the model."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class SliceResult:
    """The errors (RMSE) of one part of the judged rows; ``difference`` is candidate minus champion."""

    slice: str
    part: str
    rows: int
    naive: float
    candidate: float
    champion: float | None
    difference: Interval | None
    matters: bool
    judged: bool


@dataclass(frozen=True)
class Verdict:
    """What the gate decided, why, and on what figures.

    RMSE and MAE are in the unit of the model, and NaN where they could not be computed. ``slices`` are the parts of the
    model's slices, in their order.
    """

    decision: Decision
    reason: str
    rows: int
    rmse: float
    mae: float
    naive_rmse: float
    champion_rmse: float | None = None
    difference: Interval | None = None
    slices: tuple[SliceResult, ...] = field(default_factory=tuple)
