"""The naive baseline: what a model has to beat to be worth its trouble."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from flows.ml.features import Floats, Integers

ROWS = 2_000_000
"""About as many rows are grouped at once."""


@dataclass(frozen=True)
class Baseline:
    """The median target of the rows with the same keys, from the finest level of keys to all rows.

    ``medians`` holds a frame a level: its keys and ``median``, in the integer unit of the target.
    """

    levels: tuple[tuple[str, ...], ...]
    medians: tuple[pl.DataFrame, ...]
    overall: float
    target_unit: int

    @classmethod
    def fit(cls, rows: pl.DataFrame, target: Integers, levels: Sequence[Sequence[str]], target_unit: int) -> Self:
        """Takes the medians of training rows; a median of integers is exact, whatever the order of the rows.

        The groups of a level are worked out a share at a time: Polars copies the rows of those it is at.
        """
        frame = rows.select({key for keys in levels for key in keys}).with_columns(target=pl.Series(target))
        median = pl.col("target").median().alias("median")
        shares = 1 + rows.height // ROWS
        medians = tuple(
            pl.concat(
                frame.filter(pl.col(keys[0]).hash() % shares == share).group_by(keys).agg(median)
                for share in range(shares)
            )
            for keys in levels
        )
        return cls(tuple(map(tuple, levels)), medians, float(np.median(target)), target_unit)

    def to_json(self) -> bytes:
        """The baseline as it is kept beside the model."""
        levels = [
            {"keys": keys, "columns": medians.sort(keys).to_dict(as_series=False)}
            for keys, medians in zip(self.levels, self.medians, strict=True)
        ]
        return json.dumps({"levels": levels, "overall": self.overall, "target_unit": self.target_unit}).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """The baseline that ``to_json`` wrote."""
        stored = json.loads(text)
        levels = tuple(tuple(level["keys"]) for level in stored["levels"])
        medians = tuple(pl.DataFrame(level["columns"]) for level in stored["levels"])
        return cls(levels, medians, stored["overall"], stored["target_unit"])

    def predict(self, rows: pl.DataFrame) -> Floats:
        """The prediction for every row, in the unit of the model: the finest level that has seen the row's keys."""
        found = pl.Series("median", [None], dtype=pl.Float64).new_from_index(0, rows.height)
        for keys, medians in zip(self.levels, self.medians, strict=True):
            wanted = rows.select(pl.col(key).cast(medians.schema[key]) for key in keys)
            joined = wanted.join(medians, on=keys, how="left", maintain_order="left")
            found = found.zip_with(found.is_not_null(), joined["median"])
        return found.fill_null(self.overall).to_numpy() / self.target_unit
