"""Encoded rows to a booster, and a stored booster back: what is XGBoost's in training and predicting."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import polars as pl
import xgboost as xgb

from flows.ml.definition import Model
from flows.ml.features import BATCH, Fitted, Integers, Matrix

FLOAT = np.dtype(np.float32).itemsize
PAGE = 1 << 21
"""Rows of a page of a matrix on disk. A matrix of no more rows is in memory.

XGBoost holds four pages in memory, and for each of all pages 32 KiB for every leaf of a tree: so pages are to be few.
"""
A_CELL = 6
"""Bytes that a cell of a matrix on disk takes at most: half where none is missing and ``max_bin`` is 256 or less."""
Progress = Callable[[int, int], object]
"""Called after each round with the rounds done and the rounds in all."""


class Encoded:
    """Training rows as a booster is trained on them, in a file: 4 bytes a row for its label, and 4 for each column.

    The labels of all before the matrix. As a context it is gone at the end.
    """

    def __init__(self, file: IO[bytes], rows: int, names: tuple[str, ...]) -> None:
        self._file = file
        self.rows = rows
        self.names = names

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, start: int, rows: int) -> tuple[Matrix, Matrix]:
        """Labels [rows] and matrix [rows, names] from a row on, of fewer rows at the end."""
        rows, columns = min(rows, self.rows - start), len(self.names)
        self._file.seek(start * FLOAT)
        labels = np.fromfile(self._file, np.float32, rows)
        self._file.seek((self.rows + start * columns) * FLOAT)
        return labels, np.fromfile(self._file, np.float32, rows * columns).reshape(rows, columns)


def encode(fitted: Fitted, rows: pl.DataFrame, target: Integers, model: Model, folder: Path | None) -> Encoded:
    """Training rows, encoded a batch at a time, in a file in ``folder``, or where temporary files go.

    Encoding is most of what is not boosting, and XGBoost reads the rows several times. Raises ``OSError``.
    """
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed with what is given back
    try:
        batches = [slice(start, start + BATCH) for start in range(0, rows.height, BATCH)]
        for batch in batches:
            file.write((target[batch] / model.target_unit).astype(np.float32).data)
        for batch in batches:
            file.write(fitted.transform(rows[batch]).data)
    except BaseException:
        file.close()
        raise
    return Encoded(file, rows.height, model.features.names)


@contextlib.contextmanager
def matrix(
    encoded: Encoded, model: Model, threads: int, folder: Path | None
) -> Iterator[Callable[[float, Progress | None], bytes]]:
    """Rows as they are binned; gives what trains a booster on them, from the mean of their targets: its UBJSON.

    What they were ``encoded`` in is closed then. A matrix of more than a page is kept in files in ``folder``, or where
    temporary files go, 3 to 6 bytes a row and column, for as long as the block lasts. The bytes of the booster are the
    same either way, and for any number of threads. Built in a thread of its own: a signal to stop is an exception in
    the main one, and is lost in a callback. Raises ``OSError`` where there is no room.
    """
    external = encoded.rows > PAGE
    kind = xgb.ExtMemQuantileDMatrix if external else xgb.QuantileDMatrix
    with tempfile.TemporaryDirectory(prefix="matrix-", dir=folder) as own:
        if external:
            _require_room(Path(own), encoded.rows * len(encoded.names) * A_CELL)
        with encoded, ThreadPoolExecutor(1) as pool:
            batches = _Batches(encoded, Path(own) / "pages" if external else None)
            try:  # with what starts the thread: a signal that comes while it does leaves a thread that nobody waits for
                built = pool.submit(kind, batches, nthread=threads, max_bin=int(model.parameters.get("max_bin", 256)))
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
    """Hands the rows to XGBoost a batch at a time, as often as it asks; ``pages`` is where it keeps each as a page."""

    def __init__(self, encoded: Encoded, pages: Path | None) -> None:
        self._encoded = encoded
        self._rows = PAGE if pages else BATCH
        self._start = 0
        self._ended = False
        super().__init__(cache_prefix=str(pages) if pages else None)

    def next(self, input_data: Callable[..., object]) -> bool:
        """Hands over the next batch; False after the last."""
        if self._ended or self._start >= self._encoded.rows:
            return False
        labels, matrix = self._encoded.read(self._start, self._rows)
        input_data(data=matrix, label=labels, feature_names=list(self._encoded.names))
        self._start += self._rows
        return True

    def reset(self) -> None:
        """Begins again."""
        self._start = 0

    def end(self) -> None:
        """Hands over no more."""
        self._ended = True


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
