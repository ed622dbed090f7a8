"""Encoded rows to a booster, and a stored booster back: what is XGBoost's in training and predicting."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import xgboost as xgb

from flows.ml.definition import Model
from flows.ml.features import BATCH, Fitted, Integers, Matrix

FLOAT = np.dtype(np.float32).itemsize
PROCESS, A_ROW, A_CELL = 600_000_000, 40, 6
"""Bytes that a training in memory takes at most: before its matrix, and for each row and each cell of that.

Measured by ``benchmarks/scale.py``; a cell takes half where no value is missing and ``max_bin`` is 256 at most.
"""
Progress = Callable[[int, int], object]
"""Called after each round with the rounds done and the rounds in all."""


def needed(rows: int, columns: int) -> int:
    """The bytes of memory that boosting takes whose matrix is in memory."""
    return PROCESS + rows * (A_ROW + A_CELL * columns)


@contextlib.contextmanager
def matrix(
    fitted: Fitted,
    rows: pl.DataFrame,
    target: Integers,
    model: Model,
    threads: int,
    folder: Path | None,
    *,
    external: bool,
) -> Iterator[Callable[[float, Progress | None], bytes]]:
    """Rows as a booster is trained on them, binned; gives what trains it, from the mean of their targets: its UBJSON.

    They are encoded once, a batch at a time. Files in ``folder``, or where temporary files go, hold them: until the
    matrix is there as they are encoded, 4 bytes a row and column; with ``external`` the matrix itself, 3 to 6 bytes,
    for as long as the block lasts. The bytes of the booster are the same either way, and for any number of threads.
    Built in a thread of its own: a signal to stop is an exception in the main one, and is lost in a callback.
    """
    kind = xgb.ExtMemQuantileDMatrix if external else xgb.QuantileDMatrix
    with tempfile.TemporaryDirectory(prefix="matrix-", dir=folder) as own:
        if external:
            _require_room(Path(own), rows.height * len(model.features.names) * (FLOAT + A_CELL))
        batches = _Batches(fitted, rows, target, model, Path(own), external=external)
        del rows, target
        with batches, ThreadPoolExecutor(1) as pool:
            built = pool.submit(kind, batches, nthread=threads, max_bin=int(model.parameters.get("max_bin", 256)))
            try:
                data = [built.result()]
            except BaseException:
                batches.end()
                raise
        del built

        def fit(mean: float, on_round: Progress | None) -> bytes:
            # XGBoost would estimate the base score itself, by a sum of floats.
            given = {"base_score": mean, "tree_method": "hist", **model.parameters, "seed": model.seed}
            tell = [_Rounds(on_round, model.rounds)]
            booster = xgb.train({**given, "nthread": threads}, data[0], model.rounds, callbacks=tell)
            return bytes(booster.save_raw("ubj"))

        try:
            yield fit
        finally:
            data.clear()  # with it XGBoost removes its file


def _require_room(folder: Path, size: int) -> None:
    """Raise ``OSError`` where a disk has less room than the files take: XGBoost would end the process there."""
    if (free := shutil.disk_usage(folder).free) < size:
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {free:,} of {size:,} bytes", str(folder))


def load(booster: bytes, threads: int) -> xgb.Booster:
    """The booster that ``fit`` gave. Raises XGBoost's errors."""
    return xgb.Booster({"nthread": threads}, model_file=bytearray(booster))


class _Batches(xgb.DataIter):
    """Encodes the training rows a batch at a time, so that the whole matrix is never in memory.

    XGBoost reads the batches several times: they are encoded for the first, and wait in a file for the others.
    """

    def __init__(
        self, fitted: Fitted, rows: pl.DataFrame, target: Integers, model: Model, folder: Path, *, external: bool
    ) -> None:
        self._fitted = fitted
        self._rows = rows
        self._target = target
        self._model = model
        self._start = 0
        self._encoded = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed with the iterator
        self._known = 0
        self._ended = False
        super().__init__(cache_prefix=str(folder / "pages") if external else None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._encoded.close()
        del self._rows, self._target  # XGBoost and its iterator know each other: only the collector would free them

    def next(self, input_data: Callable[..., object]) -> bool:
        """Hands over the next batch; False after the last."""
        if self._ended or self._start >= self._rows.height:
            return False
        part = slice(self._start, self._start + BATCH)
        label = (self._target[part] / self._model.target_unit).astype(np.float32)
        input_data(data=self._matrix(part), label=label, feature_names=list(self._model.features.names))
        self._start += BATCH
        return True

    def reset(self) -> None:
        """Begins again."""
        self._start = 0

    def end(self) -> None:
        """Hands over no more."""
        self._ended = True

    def _matrix(self, part: slice) -> Matrix:
        """The encoded rows of a batch; those that were not asked for before come in their order."""
        shape = len(self._rows[part]), len(self._model.features.names)
        if part.start < self._known:
            self._encoded.seek(part.start * shape[1] * FLOAT)
            return np.fromfile(self._encoded, np.float32, shape[0] * shape[1]).reshape(shape)
        matrix = self._fitted.transform(self._rows[part])
        self._encoded.seek(0, os.SEEK_END)
        self._encoded.write(matrix.data)
        self._known += shape[0]
        return matrix


class _Rounds(xgb.callback.TrainingCallback):
    """Tells how far the training is."""

    def __init__(self, on_round: Progress | None, rounds: int) -> None:
        self._on_round = on_round
        self._rounds = rounds

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Never stops the training."""
        if self._on_round:
            self._on_round(epoch + 1, self._rounds)
        return False
