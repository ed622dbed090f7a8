"""Encoded rows to a booster, and a stored booster back: what is XGBoost's in training and predicting."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import polars as pl
import xgboost as xgb

from flows.ml.definition import Model
from flows.ml.features import BATCH, Fitted, Integers

Progress = Callable[[int, int], object]
"""Called after each round with the rounds done and the rounds in all."""


def fit(
    fitted: Fitted, rows: pl.DataFrame, target: Integers, model: Model, threads: int, on_round: Progress | None
) -> bytes:
    """Trains a booster (UBJSON) on rows whose encodings were fitted; the same bytes for any number of threads."""
    data = _matrix(_Batches(fitted, rows, target, model), threads, int(model.parameters.get("max_bin", 256)))
    booster = xgb.train(
        _parameters(model, target, threads), data, model.rounds, callbacks=[_Rounds(on_round, model.rounds)]
    )
    return bytes(booster.save_raw("ubj"))


def load(booster: bytes, threads: int) -> xgb.Booster:
    """The booster that ``fit`` gave. Raises XGBoost's errors."""
    return xgb.Booster({"nthread": threads}, model_file=bytearray(booster))


def _matrix(batches: "_Batches", threads: int, max_bin: int) -> xgb.QuantileDMatrix:
    """Built in a thread of its own: a signal to stop is an exception in the main one, and is lost in a callback."""
    with ThreadPoolExecutor(1) as pool:
        built = pool.submit(xgb.QuantileDMatrix, batches, nthread=threads, max_bin=max_bin)
        try:
            return built.result()
        except BaseException:
            batches.end()
            raise


def _parameters(model: Model, target: Integers, threads: int) -> dict[str, Any]:
    # XGBoost would estimate the base score itself, by a sum of floats.
    mean = int(target.sum()) / (len(target) * model.target_unit)
    return {"base_score": mean, "tree_method": "hist", **model.parameters, "seed": model.seed, "nthread": threads}


class _Batches(xgb.DataIter):
    """Encodes the training rows a batch at a time, so that the whole matrix is never in memory.

    XGBoost reads the batches several times; a single one is encoded once.
    """

    def __init__(self, fitted: Fitted, rows: pl.DataFrame, target: Integers, model: Model) -> None:
        self._fitted = fitted
        self._rows = rows
        self._target = target
        self._model = model
        self._start = 0
        self._whole = fitted.transform(rows) if rows.height <= BATCH else None
        self._ended = False
        super().__init__()

    def next(self, input_data: Callable[..., object]) -> bool:
        """Hands over the next batch; False after the last."""
        if self._ended or self._start >= self._rows.height:
            return False
        part = slice(self._start, self._start + BATCH)
        matrix = self._fitted.transform(self._rows[part]) if self._whole is None else self._whole
        label = (self._target[part] / self._model.target_unit).astype(np.float32)
        input_data(data=matrix, label=label, feature_names=list(self._model.features.names))
        self._start += BATCH
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
