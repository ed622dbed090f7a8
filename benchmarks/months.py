"""Months for benchmarks: a public one as an ingest lands it, and any number of rows drawn from it with jitter."""

import numpy as np
import polars as pl

from benchmarks.measuring import ROOT
from flows import datasets
from ops.trial import valid_rows


def landed(month: str) -> pl.DataFrame:
    """The rows of a month of ``examples/tlc`` that meet the contract."""
    return valid_rows(ROOT / f"examples/tlc/green_tripdata_{month}.parquet", datasets.load("green-trips"), month)


def resampled(
    real: pl.DataFrame, rows: int, random: np.random.Generator, distance: str = "distance", end: str = "dropoff_at"
) -> pl.LazyFrame:
    """So many rows drawn from real ones, none like another: distance by up to 5 %, duration by up to a minute."""
    drawn = real[random.integers(0, real.height, rows)].lazy()
    return drawn.with_columns(
        pl.col(distance) * pl.lit(pl.Series(random.uniform(0.95, 1.05, rows))),
        pl.col(end) + pl.duration(seconds=pl.lit(pl.Series(random.integers(0, 60, rows)))),
    )
