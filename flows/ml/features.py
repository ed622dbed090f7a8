"""Rows to the model matrix, fitted on training rows only.

This file is stored as text with every model version and is loaded from there to score it, so that a model is always fed
by the code it was trained with. It therefore imports nothing of this repository: the types of a feature definition live
here, and ``flows.ml.definition`` passes them on.

Sums are sums of integers and are divided once, so neither the order of the rows nor the number of threads changes a
digit. Codes of groups are integers from 0; whatever is null, negative or was not seen in training falls back on purpose
to the encoding's prior.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float32]

UNKNOWN = -1
BATCH = 1 << 18
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
        return _codes(source.dt.hour().cast(pl.Int64) * 60 + source.dt.minute())


@dataclass(frozen=True)
class Band:
    """The number of the band a value lies in: band 0 is below the first edge; an edge belongs to the band above it."""

    name: str
    source: str
    edges: tuple[float, ...]

    def codes(self, source: pl.Series) -> Integers:
        """The band for every row."""
        values = source.cast(pl.Float64).to_numpy()
        bands = np.searchsorted(np.asarray(self.edges), values, side="right").astype(np.int64)
        bands[~np.isfinite(values)] = UNKNOWN
        return bands


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
    """Sums of an encoding: ``sums`` and ``weights`` a cell (and a fold, while fitting), over all rows in ``total``.

    ``shape`` is the number of codes of each key; ``rows`` counts the training rows.
    """

    shape: tuple[int, ...]
    sums: Floats
    weights: Floats
    total: Floats
    rows: int


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


def fit_transform(rows: pl.DataFrame, target: Integers, features: Features) -> tuple[Encoder, Matrix]:
    """Fits the encodings on training rows and gives their matrix [rows, names], encoded out of fold.

    ``target`` is an integer a row (seconds, for a duration). A row's encodings come from the other folds only, and a
    fold is a set of calendar days: trips of one day share its traffic, and a trip that was recorded twice has its twin
    in its own fold. Raises ValueError where sums could not be kept exactly.
    """
    fitting = tuple(_fit(rows, target, encoding, features) for encoding in features.encodings)
    matrix = _matrix(rows, features, fitting, held_out=True)
    return Encoder(features, tuple(_merged(table) for table in fitting)), matrix


def _fit(rows: pl.DataFrame, target: Integers, encoding: Encoding, features: Features) -> Table:
    """The sums by cell and fold; the last cell takes the rows whose keys are unknown."""
    shape = tuple(int(_column(rows, key, features).max(initial=0)) + 1 for key in encoding.keys)
    if np.prod([float(size) for size in shape]) > LARGEST_TABLE:
        raise ValueError(f"Encoding {encoding.name} has too many groups {shape}: leave out a key or band it.")
    size = (int(np.prod(shape)) + 1, features.folds)
    sums, weights = np.zeros(size), np.zeros(size)
    for start in range(0, rows.height, BATCH):
        part = rows.slice(start, BATCH)
        at = _cells(part, encoding, shape, features) * features.folds + _folds(part, features)
        value = _column(part, encoding.value, features) if encoding.value else target[start : start + BATCH]
        weight = _column(part, encoding.per, features) if encoding.per else None
        sums += np.bincount(at, value, minlength=sums.size).reshape(size)
        weights += np.bincount(at, weight, minlength=sums.size).reshape(size)
    if max(np.abs(sums).sum(), np.abs(weights).sum()) >= LARGEST_SUM:
        raise ValueError(
            f"The sums of encoding {encoding.name} are too large to be exact: take fewer rows or a larger unit."
        )
    return Table(shape, sums, weights, np.stack([sums.sum(axis=0), weights.sum(axis=0)]), rows.height)


def _matrix(rows: pl.DataFrame, features: Features, tables: tuple[Table, ...], *, held_out: bool) -> Matrix:
    """Fills the matrix a batch at a time, so that intermediate columns stay small."""
    matrix = np.empty((rows.height, len(features.names)), dtype=np.float32)
    for start in range(0, rows.height, BATCH):
        part = rows.slice(start, BATCH)
        out = matrix[start : start + BATCH]
        for place, name in enumerate(features.columns):
            out[:, place] = _number(part, name, features)
        fold = _folds(part, features) if held_out else None
        encoded: dict[str, Floats] = {}
        for place, (encoding, table) in enumerate(zip(features.encodings, tables, strict=True), len(features.columns)):
            cells = _cells(part, encoding, table.shape, features)
            encoded[encoding.name] = _means(table, cells, fold, encoding.prior, encoded.get(encoding.parent))
            out[:, place] = encoded[encoding.name]
    return matrix


def _means(table: Table, cells: Integers, fold: Integers | None, prior: int, parent: Floats | None) -> Floats:
    """The shrunk mean of each row's cell, without the row's own fold where ``fold`` is given; NaN of nothing."""
    sums, weights, total = table.sums, table.weights, table.total
    if fold is not None:
        sums, weights = _without_fold(sums), _without_fold(weights)
        total = total.sum(axis=1, keepdims=True) - total
    at = cells if fold is None else cells * sums.shape[1] + fold
    weight = prior * table.total[1].sum() / table.rows
    with np.errstate(invalid="ignore", divide="ignore"):
        overall = total[0] / total[1]
        wider = parent if parent is not None else overall[0 if fold is None else fold]
        return np.asarray((sums.ravel()[at] + weight * wider) / (weights.ravel()[at] + weight))


def _without_fold(sums: Floats) -> Floats:
    """The sums over the other folds. Rows with unknown keys share the last cell, which counts nothing."""
    other = sums.sum(axis=1, keepdims=True) - sums
    other[-1] = 0.0
    return other


def _merged(table: Table) -> Table:
    """The sums over all folds, for rows that were not trained on."""
    sums, weights = table.sums.sum(axis=1), table.weights.sum(axis=1)
    sums[-1] = weights[-1] = 0.0
    return Table(table.shape, sums, weights, table.total.sum(axis=1, keepdims=True), table.rows)


def _cells(rows: pl.DataFrame, encoding: Encoding, shape: tuple[int, ...], features: Features) -> Integers:
    """The cell of every row; the last cell is for keys that are unknown or were not seen in training."""
    cells = np.zeros(rows.height, dtype=np.int64)
    unknown = np.zeros(rows.height, dtype=bool)
    for key, size in zip(encoding.keys, shape, strict=True):
        codes = _column(rows, key, features)
        unknown |= (codes < 0) | (codes >= size)
        cells *= size
        cells += codes
    cells[unknown] = int(np.prod(shape))
    return cells


def _folds(rows: pl.DataFrame, features: Features) -> Integers:
    days = rows[features.day].cast(pl.Date).cast(pl.Int32).cast(pl.Int64).fill_null(0)
    return np.asarray(days.to_numpy() % features.folds)


def _column(rows: pl.DataFrame, name: str, features: Features) -> Integers:
    return _codes(_source(rows, name, features))


def _source(rows: pl.DataFrame, name: str, features: Features) -> pl.Series:
    """A raw column, or a derived one (which may be derived from another) with null for unknown."""
    for item in features.derived:
        if item.name == name:
            codes = pl.Series(name, item.codes(_source(rows, item.source, features)))
            return codes if isinstance(item, Scaled) else codes.replace(UNKNOWN, None)
    return rows[name]


def _number(rows: pl.DataFrame, name: str, features: Features) -> Floats:
    """A column as numbers; the booster reads NaN as missing, and knows no infinity."""
    values = _source(rows, name, features).cast(pl.Float64).to_numpy()
    return np.where(np.isfinite(values), values, np.nan)


def _codes(source: pl.Series) -> Integers:
    return source.cast(pl.Int64).fill_null(UNKNOWN).to_numpy()


def _derived(item: dict[str, Any]) -> Derived:
    values = {key: value for key, value in item.items() if key != "kind"}
    for key in ("edges", "groups"):
        if key in values:
            values[key] = tuple(tuple(value) if isinstance(value, list) else value for value in values[key])
    return _KINDS[item["kind"]](**values)


def _stored(table: Table) -> dict[str, Any]:
    filled = np.flatnonzero((table.sums != 0) | (table.weights != 0))
    return {
        "shape": list(table.shape),
        "rows": table.rows,
        "total": table.total.astype(np.int64).ravel().tolist(),
        "cells": filled.tolist(),
        "sums": table.sums[filled].astype(np.int64).tolist(),
        "weights": table.weights[filled].astype(np.int64).tolist(),
    }


def _restored(stored: dict[str, Any]) -> Table:
    sums, weights = np.zeros((2, int(np.prod(stored["shape"])) + 1))
    sums[stored["cells"]] = stored["sums"]
    weights[stored["cells"]] = stored["weights"]
    total = np.asarray(stored["total"], dtype=np.float64).reshape(2, 1)
    return Table(tuple(stored["shape"]), sums, weights, total, stored["rows"])
