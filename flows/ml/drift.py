"""How far a month's inputs are from those of the rows that a model was trained on.

The measure is the Jensen-Shannon distance: the root of the divergence, in bits, of the two distributions from their
mean (Lin, Divergence Measures Based on the Shannon Entropy, 1991; Endres and Schindelin, A New Metric for Probability
Distributions, 2003). It is 0 for the same distribution, 1 for two without a bin in common, and needs no row in every
bin. Two samples of one distribution are never alike: what of the divergence is expected of their numbers of rows and
bins alone is taken off, so that a limit means the same for ten thousand rows as for a million.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from flows.ml.definition import Watched
from flows.ml.features import Floats

OTHER = "other"
SHOWN = 3
"""How many of the bins that moved most are told."""


@dataclass(frozen=True)
class Counts:
    """Rows of an input by bin, and those without a value."""

    bins: Mapping[str, int]
    missing: int

    @property
    def present(self) -> int:
        """The rows that have a value."""
        return sum(self.bins.values())

    @property
    def missing_share(self) -> float:
        """The share of the rows that have none; 0 where there is no row."""
        return self.missing / max(1, self.present + self.missing)


@dataclass(frozen=True)
class Reference:
    """An input as it was at training; ``edges`` are those of the bins of a number."""

    watched: Watched
    edges: tuple[float, ...]
    counts: Counts


@dataclass(frozen=True)
class Moved:
    """The share of the rows that a bin had at training and has now."""

    bin: str
    before: float
    now: float


@dataclass(frozen=True)
class Drift:
    """How an input stands against training.

    ``distance`` is that of the distributions, 0 to 1, over ``bins`` bins, and ``moved`` are those that make up most of
    it. ``unseen`` is the share of the rows with a category that training never saw, ``missing`` that of rows without a
    value and ``missing_before`` the same at training.
    """

    name: str
    distance: float
    limit: float
    bins: int
    moved: tuple[Moved, ...]
    unseen: float
    missing: float
    missing_before: float


def reference(rows: pl.LazyFrame, watched: Watched) -> Reference:
    """An input over training rows; a number's bins hold equally many of them, as far as equal values allow."""
    edges: tuple[float, ...] = ()
    if watched.bins:
        number = _numbers(watched)
        quantiles = [number.quantile(part / watched.bins).alias(str(part)) for part in range(1, watched.bins)]
        found = rows.select(quantiles).collect(engine="streaming").row(0)
        edges = tuple(sorted({float(edge) for edge in found if edge is not None}))
    return Reference(watched, edges, count(rows, watched, edges))


def count(rows: pl.LazyFrame, watched: Watched, edges: tuple[float, ...]) -> Counts:
    """The rows of an input by bin; an edge belongs to the bin above it. What is not a number has no value."""
    value = watched.value
    if watched.bins:
        number = _numbers(watched)
        value = pl.when(number.is_not_null()).then(pl.sum_horizontal(pl.lit(0), *(number >= edge for edge in edges)))
    found = rows.select(bin=value).group_by("bin").len().collect(engine="streaming")
    rows_of = dict(found.iter_rows())
    missing = rows_of.pop(None, 0)
    names = _names(edges)
    named = {names[key] if watched.bins else str(key): number for key, number in rows_of.items()}
    return Counts(dict(sorted(named.items())), missing)


def compare(reference: Reference, now: Counts, min_bin_rows: int) -> Drift:
    """How far an input has moved.

    A bin of which either side would have fewer than ``min_bin_rows`` rows at training's share goes into a common one.
    """
    before = reference.counts
    enough = min_bin_rows * before.present / max(1, min(before.present, now.present))
    kept = [name for name, rows in before.bins.items() if rows >= enough]
    first, second = (_columns(counts, kept) for counts in (before, now))
    parts = divergences(first, second)
    shares = [column / max(1.0, column.sum()) for column in (first, second)]
    order = np.argsort(-parts, kind="stable")[:SHOWN]
    names = [*kept, OTHER]
    unseen = 0 if reference.watched.bins else sum(n for name, n in now.bins.items() if name not in before.bins)
    return Drift(
        name=reference.watched.name,
        distance=distance(first, second),
        limit=reference.watched.drift,
        bins=int(((first + second) > 0).sum()),
        moved=tuple(Moved(names[i], float(shares[0][i]), float(shares[1][i])) for i in order if parts[i] > 0),
        unseen=unseen / max(1, now.present + now.missing),
        missing=now.missing_share,
        missing_before=before.missing_share,
    )


def distance(first: Floats, second: Floats) -> float:
    """The Jensen-Shannon distance of two samples' rows by bin, less what chance alone makes of it.

    For two samples of one distribution the divergence is expected to be (bins - 1) / (8 ln 2) (1/n + 1/m) bits, n and m
    being their rows (half a chi-squared over the rows; Grosse et al., Analysis of symbolic sequences using the
    Jensen-Shannon divergence, 2002).
    """
    rows = first.sum(), second.sum()
    if not all(rows):
        return float(any(rows))
    bins = int(((first + second) > 0).sum())
    chance = (bins - 1) / (8 * math.log(2)) * (1 / rows[0] + 1 / rows[1])
    return math.sqrt(min(1.0, max(0.0, float(divergences(first, second).sum()) - chance)))


def divergences(first: Floats, second: Floats) -> Floats:
    """What each bin adds to the Jensen-Shannon divergence, in bits; together at most 1."""
    p, q = (column / max(1.0, column.sum()) for column in (first, second))
    mean = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [np.where(side > 0, side * np.log2(side / mean), 0.0) for side in (p, q)]
    return np.asarray((terms[0] + terms[1]) / 2)


def _columns(counts: Counts, kept: list[str]) -> Floats:
    """The rows of the kept bins, and those of all others together."""
    rows = [counts.bins.get(name, 0) for name in kept]
    return np.array([*rows, counts.present - sum(rows)], dtype=np.float64)


def _numbers(watched: Watched) -> pl.Expr:
    """The values of an input that are numbers; null where one is none."""
    number = watched.value.cast(pl.Float64)
    return pl.when(number.is_finite()).then(number)


def _names(edges: tuple[float, ...]) -> list[str]:
    """The bins of a number as people read them: by six digits, or as many as tell the edges apart."""
    if not edges:
        return ["any"]
    digits = 6
    while len({f"{edge:.{digits}g}" for edge in edges}) < len(edges):
        digits += 1
    written = [f"{edge:.{digits}g}" for edge in edges]
    between = (f"{low} to {high}" for low, high in pairwise(written))
    return [f"below {written[0]}", *between, f"{written[-1]} and above"]
