"""The Parquet files of a checked month, the same input giving the same bytes at any number of threads."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from flows.ml.contract import SLICE_ROWS, Checked, typed_columns
from flows.ml.definition import Dataset

ROW_GROUP = 250_000
"""Rows in a row group: what a reader holds at a time (about 6 MB of green trips)."""
_ROW = "__row"


@dataclass(frozen=True)
class Written:
    """A file on the way to the lake: its size in bytes and its sha256 (hex)."""

    path: Path
    size: int
    sha256: str


def write_kept(file: pl.LazyFrame, checked: Checked, dataset: Dataset, path: Path) -> Written:
    """The valid rows in their order, with the dataset's columns and types."""
    columns = typed_columns(file.collect_schema(), dataset)
    valid = (
        part.with_row_index(_ROW).filter(~pl.col(_ROW).is_in(broken.implode())).select(columns)
        for part, broken in _slices(file, checked)
    )
    return write(pl.concat(valid), path)


def write_broken(file: pl.LazyFrame, checked: Checked, path: Path) -> Written:
    """The broken rows in their order, with all columns of the file and ``reason``."""
    rows = pl.concat(part.collect()[broken] for part, broken in _slices(file, checked) if len(broken))
    return write(rows.with_columns(reason=checked.broken["reason"].cast(pl.String)).lazy(), path)


def _slices(file: pl.LazyFrame, checked: Checked) -> Iterator[tuple[pl.LazyFrame, pl.Series]]:
    """The slices of a file, each with the places of the broken rows in it: one is in memory at a time."""
    index = checked.broken["index"]
    for start in range(0, checked.rows, SLICE_ROWS):
        broken = index.filter(index.is_between(start, start + SLICE_ROWS, closed="left"))
        yield file.slice(start, SLICE_ROWS), broken - start


def write(rows: pl.LazyFrame, path: Path) -> Written:
    """The rows in their order as Parquet; it streams, and holds some row groups at a time."""
    rows.sink_parquet(
        path, compression="zstd", compression_level=3, statistics=True, row_group_size=ROW_GROUP, maintain_order=True
    )
    with path.open("rb") as file:
        return Written(path, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())
