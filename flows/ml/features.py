"""Rows to the model matrix, fitted on training rows only.

This file is stored as text with every model version and is loaded from there to score it, so that a model is always fed
by the code it was trained with. It therefore imports nothing of this repository: the types of a feature definition live
here, and ``flows.ml.definition`` passes them on.

Sums are sums of integers and are divided once, so neither the order of the rows nor the number of threads changes a
digit. Codes of groups are integers from 0; whatever is null, negative or was not seen in training falls back on purpose
to the encoding's prior.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float32]

UNKNOWN = -1
NANOSECONDS_A_MINUTE = 60_000_000_000
BATCH = 1 << 17
LARGEST_TABLE = 1 << 20
LARGEST_SUM = 2**53


@dataclass(frozen=True)
class Clock:
    """A part of a time: the minute of the day, from 0, or the ISO weekday, from 1 for Monday."""

    name: str
    source: str
    part: Literal["minute", "weekday"]

    def codes(self, source: pl.Series) -> Integers:
        """The part for every row."""
        if self.part == "weekday":
            return _codes(source.dt.weekday())
        return _codes(source.dt.time().cast(pl.Int64) // NANOSECONDS_A_MINUTE)


@dataclass(frozen=True)
class Band:
    """The number of the band a value lies in: band 0 is below the first edge; an edge belongs to the band above it."""

    name: str
    source: str
    edges: tuple[float, ...]

    def codes(self, source: pl.Series) -> Integers:
        """The band for every row."""
        values = source.cast(pl.Float64).to_numpy()
        # Counting the edges that are reached takes a quarter of the time of a binary search for every value.
        bands = np.zeros(len(values), dtype=np.int32)
        for edge in self.edges:
            bands += values >= edge
        return np.where(np.isfinite(values), bands, UNKNOWN).astype(np.int64)


@dataclass(frozen=True)
class Group:
    """The group an integer code belongs to; codes in none of the groups make up the last one."""

    name: str
    source: str
    groups: tuple[tuple[int, ...], ...]

    def codes(self, source: pl.Series) -> Integers:
        """The group for every row."""
        table = np.full(max(map(max, self.groups)) + 2, len(self.groups), dtype=np.int64)
        for code, members in enumerate(self.groups):
            table[list(members)] = code
        codes = _codes(source)
        return table[np.where((codes < 0) | (codes >= len(table)), len(table) - 1, codes)]


@dataclass(frozen=True)
class Scaled:
    """A value in integer units of ``1 / factor``, so that its sums are exact."""

    name: str
    source: str
    factor: int

    def codes(self, source: pl.Series) -> Integers:
        """The scaled value for every row; what is not a number counts nothing."""
        values = source.cast(pl.Float64).fill_null(0.0).to_numpy() * self.factor
        return np.rint(np.where(np.isfinite(values), values, 0.0)).astype(np.int64)


Derived = Clock | Band | Group | Scaled
_KINDS: Mapping[str, type[Derived]] = {kind.__name__: kind for kind in (Clock, Band, Group, Scaled)}


@dataclass(frozen=True)
class Encoding:
    """A mean over the training rows with the same ``keys``, shrunk towards that of a wider group.

    The mean of ``value`` (the target where it is empty) over the rows or, with ``per``, the ratio of its sum to that of
    ``per``. ``prior`` is the weight of the wider group, in rows; ``parent`` names the wider group's encoding, listed
    before, and without one it is all rows. Keys, value and per are integer columns of the rows or derived ones.
    """

    name: str
    keys: tuple[str, ...]
    value: str = ""
    per: str = ""
    prior: int = 10
    parent: str = ""


@dataclass(frozen=True)
class Features:
    """How raw rows become the model matrix: ``columns`` as they are, then the ``encodings``.

    ``day`` is the time column whose calendar day makes the folds of the encodings, and the blocks of the bootstrap.
    Every name must be known before the event that is predicted.
    """

    day: str
    columns: tuple[str, ...]
    derived: tuple[Derived, ...]
    encodings: tuple[Encoding, ...]
    folds: int = 5

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the matrix, in order."""
        return self.columns + tuple(encoding.name for encoding in self.encodings)


@dataclass(frozen=True)
class Table:
    """Sums of an encoding, [cells, views] each: one view of all training rows, or one without each fold.

    ``shape`` is the number of codes of each key, ``total`` [2, views] the sums over all cells, ``mass`` the weight of
    an average row. The last cell is for rows whose keys are unknown, and counts nothing.
    """

    shape: tuple[int, ...]
    sums: Floats
    weights: Floats
    total: Floats
    mass: float


@dataclass(frozen=True)
class Encoder:
    """A fitted feature definition."""

    features: Features
    tables: tuple[Table, ...]

    def transform(self, rows: pl.DataFrame) -> Matrix:
        """The matrix [rows, names] of rows that were not trained on."""
        return _matrix(rows, self.features, self.tables, held_out=False)

    def to_json(self) -> bytes:
        """The encoder as JSON; only cells that hold rows are written."""
        derived = [{"kind": type(item).__name__, **asdict(item)} for item in self.features.derived]
        features = {**asdict(self.features), "derived": derived}
        return json.dumps({"features": features, "tables": [_stored(table) for table in self.tables]}).encode()

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """The encoder that ``to_json`` wrote."""
        stored = json.loads(text)
        spec = stored["features"]
        features = Features(
            day=spec["day"],
            columns=tuple(spec["columns"]),
            derived=tuple(_derived(item) for item in spec["derived"]),
            encodings=tuple(Encoding(**{**item, "keys": tuple(item["keys"])}) for item in spec["encodings"]),
            folds=spec["folds"],
        )
        return cls(features, tuple(_restored(table) for table in stored["tables"]))


@dataclass(frozen=True)
class Fitted:
    """An encoder, with what it takes to encode its own training rows out of fold."""

    encoder: Encoder
    held_out: tuple[Table, ...]

    def transform(self, rows: pl.DataFrame) -> Matrix:
        """The matrix [rows, names] of some of the training rows, each encoded from the folds it is not in."""
        return _matrix(rows, self.encoder.features, self.held_out, held_out=True)


def fit(rows: pl.DataFrame, target: Integers, features: Features) -> Fitted:
    """Fits the encodings on training rows; ``target`` is an integer a row (seconds, for a duration).

    A fold is a set of calendar days: trips of one day share its traffic, and a trip that was recorded twice has its
    twin in its own fold. Raises ValueError where sums could not be kept exactly.
    """
    shapes = _shapes(rows, features)
    summed = list(zip(shapes, _summed(rows, target, features, shapes), strict=True))
    merged = tuple(_table(shape, sums.sum(axis=2, keepdims=True), rows.height) for shape, sums in summed)
    others = tuple(_table(shape, sums.sum(axis=2, keepdims=True) - sums, rows.height) for shape, sums in summed)
    held_out = tuple(replace(other, mass=table.mass) for other, table in zip(others, merged, strict=True))
    return Fitted(Encoder(features, merged), held_out)


def fit_transform(rows: pl.DataFrame, target: Integers, features: Features) -> tuple[Encoder, Matrix]:
    """The encoder fitted on training rows, and their matrix [rows, names] out of fold. Raises as ``fit`` does."""
    fitted = fit(rows, target, features)
    return fitted.encoder, fitted.transform(rows)


def _shapes(rows: pl.DataFrame, features: Features) -> list[tuple[int, ...]]:
    """The number of codes of each key, from 0 to the largest, for each encoding."""
    sizes = dict.fromkeys((key for encoding in features.encodings for key in encoding.keys), 1)
    for start in range(0, rows.height, BATCH):
        columns = _Columns(rows.slice(start, BATCH), features)
        sizes = {key: max(size, int(columns.codes(key).max()) + 1) for key, size in sizes.items()}
    shapes = [tuple(sizes[key] for key in encoding.keys) for encoding in features.encodings]
    for encoding, shape in zip(features.encodings, shapes, strict=True):
        if math.prod(shape) > LARGEST_TABLE:
            raise ValueError(f"Encoding {encoding.name} has too many groups {list(shape)}: leave out a key or band it.")
    return shapes


def _summed(rows: pl.DataFrame, target: Integers, features: Features, shapes: list[tuple[int, ...]]) -> list[Floats]:
    """The sums and weights of each encoding, [2, cells, folds]."""
    found = [np.zeros((2, math.prod(shape) + 1, features.folds)) for shape in shapes]
    for start in range(0, rows.height, BATCH):
        columns = _Columns(rows.slice(start, BATCH), features)
        folds = columns.folds()
        for encoding, shape, sums in zip(features.encodings, shapes, found, strict=True):
            at = columns.cells(encoding.keys, shape) * features.folds + folds
            value = columns.codes(encoding.value) if encoding.value else target[start : start + BATCH]
            for total, values in zip(sums, (value, columns.codes(encoding.per) if encoding.per else None), strict=True):
                total += np.bincount(at, values, minlength=total.size).reshape(total.shape)
    for encoding, sums in zip(features.encodings, found, strict=True):
        if np.abs(sums).sum(axis=(1, 2)).max() >= LARGEST_SUM:
            raise ValueError(f"The sums of encoding {encoding.name} are too large to be exact: take a larger unit.")
    return found


def _table(shape: tuple[int, ...], sums: Floats, rows: int) -> Table:
    total = sums.sum(axis=1)
    sums = sums.copy()
    sums[:, -1] = 0.0
    return Table(shape, sums[0], sums[1], total, float(total[1].sum()) / rows)


def _matrix(rows: pl.DataFrame, features: Features, tables: tuple[Table, ...], *, held_out: bool) -> Matrix:
    """Fills the matrix a batch at a time, so that intermediate columns stay small."""
    matrix = np.empty((rows.height, len(features.names)), dtype=np.float32)
    for start in range(0, rows.height, BATCH):
        columns = _Columns(rows.slice(start, BATCH), features)
        out = matrix[start : start + BATCH]
        for place, name in enumerate(features.columns):
            out[:, place] = columns.numbers(name)
        view = columns.folds() if held_out else np.zeros(len(out), dtype=np.int64)
        encoded: dict[str, Floats] = {}
        for place, (encoding, table) in enumerate(zip(features.encodings, tables, strict=True), len(features.columns)):
            parent = encoded[encoding.parent] if encoding.parent else None
            cells = columns.cells(encoding.keys, table.shape)
            encoded[encoding.name] = _means(table, cells, view, encoding.prior, parent)
            out[:, place] = encoded[encoding.name]
    return matrix


def _means(table: Table, cells: Integers, view: Integers, prior: int, parent: Floats | None) -> Floats:
    """The shrunk mean of each row's cell in its view; NaN where the view is empty."""
    at = cells * table.sums.shape[1] + view
    weight = prior * table.mass
    with np.errstate(invalid="ignore", divide="ignore"):
        wider = (table.total[0] / table.total[1])[view] if parent is None else parent
        return np.asarray((table.sums.ravel()[at] + weight * wider) / (table.weights.ravel()[at] + weight))


class _Columns:
    """Raw and derived columns of some rows, each worked out once."""

    def __init__(self, rows: pl.DataFrame, features: Features) -> None:
        self._rows = rows
        self._day = features.day
        self._folds = features.folds
        self._derived = {item.name: item for item in features.derived}
        self._codes: dict[str, Integers] = {}
        self._cells: dict[tuple[tuple[str, ...], tuple[int, ...]], Integers] = {}

    def source(self, name: str) -> pl.Series:
        """A raw column, or a derived one with null for unknown."""
        if name in self._rows.columns and name not in self._derived:
            return self._rows[name]
        item = self._derived[name]
        codes = pl.Series(name, self.codes(name))
        return codes if isinstance(item, Scaled) else codes.set(codes == UNKNOWN, None)

    def codes(self, name: str) -> Integers:
        """A column, raw or derived (maybe from a derived one), as integers, with UNKNOWN for null."""
        if name not in self._codes:
            item = self._derived.get(name)
            self._codes[name] = item.codes(self.source(item.source)) if item else _codes(self.source(name))
        return self._codes[name]

    def numbers(self, name: str) -> Floats:
        """A column as numbers; the booster reads NaN as missing, and knows no infinity."""
        values = self.source(name).cast(pl.Float64).to_numpy()
        return np.where(np.isfinite(values), values, np.nan)

    def cells(self, keys: tuple[str, ...], shape: tuple[int, ...]) -> Integers:
        """The cell of every row; the last cell is for keys that are unknown or were not seen in training."""
        if (keys, shape) not in self._cells:
            self._cells[keys, shape] = self._cells_of(keys, shape)
        return self._cells[keys, shape]

    def _cells_of(self, keys: tuple[str, ...], shape: tuple[int, ...]) -> Integers:
        cells = np.zeros(self._rows.height, dtype=np.int64)
        unknown = np.zeros(self._rows.height, dtype=bool)
        for key, size in zip(keys, shape, strict=True):
            codes = self.codes(key)
            unknown |= (codes < 0) | (codes >= size)
            cells = cells * size + codes
        cells[unknown] = int(np.prod(shape))
        return cells

    def folds(self) -> Integers:
        """The fold of every row: its day's number since 1970, modulo the folds."""
        days = self._rows[self._day].cast(pl.Date).cast(pl.Int32).cast(pl.Int64).fill_null(0)
        return np.asarray(days.to_numpy() % self._folds)


def _codes(source: pl.Series) -> Integers:
    return source.cast(pl.Int64).fill_null(UNKNOWN).to_numpy()


def _derived(item: dict[str, Any]) -> Derived:
    values = {key: value for key, value in item.items() if key != "kind"}
    for key in ("edges", "groups"):
        if key in values:
            values[key] = tuple(tuple(value) if isinstance(value, list) else value for value in values[key])
    return _KINDS[item["kind"]](**values)


def _stored(table: Table) -> dict[str, Any]:
    """A table of one view; its sums are integers."""
    sums, weights = table.sums[:, 0], table.weights[:, 0]
    filled = np.flatnonzero((sums != 0) | (weights != 0))
    return {
        "shape": list(table.shape),
        "mass": table.mass,
        "total": table.total[:, 0].astype(np.int64).tolist(),
        "cells": filled.tolist(),
        "sums": sums[filled].astype(np.int64).tolist(),
        "weights": weights[filled].astype(np.int64).tolist(),
    }


def _restored(stored: dict[str, Any]) -> Table:
    sums, weights = np.zeros((2, int(np.prod(stored["shape"])) + 1, 1))
    sums[stored["cells"], 0] = stored["sums"]
    weights[stored["cells"], 0] = stored["weights"]
    total = np.asarray(stored["total"], dtype=np.float64).reshape(2, 1)
    return Table(tuple(stored["shape"]), sums, weights, total, stored["mass"])
