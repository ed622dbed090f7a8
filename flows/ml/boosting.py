"""Encoded rows to a booster, and a stored booster back: what is XGBoost's in training and predicting."""

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import xgboost as xgb

from flows.ml.definition import Model
from flows.ml.features import BATCH, Fitted, Integers, Matrix

FLOAT = np.dtype(np.float32).itemsize
Progress = Callable[[int, int], object]
"""Called after each round with the rounds done and the rounds in all."""


def matrix(
    fitted: Fitted, rows: pl.DataFrame, target: Integers, model: Model, threads: int, folder: Path | None
) -> xgb.QuantileDMatrix:
    """The rows as a booster is trained on them, binned; they are encoded once, a batch at a time.

    A file in ``folder``, or where temporary files go, holds them meanwhile: 4 bytes a row and column. Built in a thread
    of its own: a signal to stop is an exception in the main one, and is lost in a callback.
    """
    with _Batches(fitted, rows, target, model, folder) as batches, ThreadPoolExecutor(1) as pool:
        built = pool.submit(
            xgb.QuantileDMatrix, batches, nthread=threads, max_bin=int(model.parameters.get("max_bin", 256))
        )
        try:
            return built.result()
        except BaseException:
            batches.end()
            raise


def fit(data: xgb.QuantileDMatrix, mean: float, model: Model, threads: int, on_round: Progress | None) -> bytes:
    """Trains a booster (UBJSON) on a matrix whose targets have that mean; the same bytes for any number of threads."""
    # XGBoost would estimate the base score itself, by a sum of floats.
    parameters = {"base_score": mean, "tree_method": "hist", **model.parameters, "seed": model.seed, "nthread": threads}
    booster = xgb.train(parameters, data, model.rounds, callbacks=[_Rounds(on_round, model.rounds)])
    return bytes(booster.save_raw("ubj"))


def load(booster: bytes, threads: int) -> xgb.Booster:
    """The booster that ``fit`` gave. Raises XGBoost's errors."""
    return xgb.Booster({"nthread": threads}, model_file=bytearray(booster))


class _Batches(xgb.DataIter):
    """Encodes the training rows a batch at a time, so that the whole matrix is never in memory.

    XGBoost reads the batches several times: they are encoded for the first, and wait in a file for the others.
    """

    def __init__(self, fitted: Fitted, rows: pl.DataFrame, target: Integers, model: Model, folder: Path | None) -> None:
        self._fitted = fitted
        self._rows = rows
        self._target = target
        self._model = model
        self._start = 0
        self._encoded = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed with the iterator
        self._known = 0
        self._ended = False
        super().__init__()

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
        matrix.tofile(self._encoded)
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
