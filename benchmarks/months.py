"""Months for benchmarks: a public one as an ingest lands it, and any number of rows drawn from it with jitter."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from benchmarks.measuring import ROOT
from flows import datasets
from ops.trial import valid_rows

LANDED = ("pickup_at", "dropoff_at", "distance")
PUBLISHED = ("lpep_pickup_datetime", "lpep_dropoff_datetime", "trip_distance")


def landed(month: str) -> pl.DataFrame:
    """The rows of a month of ``examples/tlc`` that meet the contract."""
    return valid_rows(ROOT / f"examples/tlc/green_tripdata_{month}.parquet", datasets.load("green-trips"), month)


def resampled(
    real: pl.DataFrame, rows: int, random: np.random.Generator, columns: Sequence[str] = LANDED
) -> pl.LazyFrame:
    """So many rows drawn from real ones, with jitter: distance by up to 5 %, duration by up to a minute.

    Both times are shifted by the same part of a second as well: rows whose distance is 0, and stays so, would have
    twins. ``columns`` are those of pickup, drop-off and distance.
    """
    begin, end, distance = columns
    drawn = real[random.integers(0, real.height, rows)].lazy()
    shift = pl.duration(microseconds=pl.lit(pl.Series(random.integers(0, 1_000_000, rows))))
    return drawn.with_columns(
        pl.col(begin) + shift,
        pl.col(end) + shift + pl.duration(seconds=pl.lit(pl.Series(random.integers(0, 60, rows)))),
        pl.col(distance) * pl.lit(pl.Series(random.uniform(0.95, 1.05, rows))),
    )
