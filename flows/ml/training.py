"""Rows to a fitted model, and a fitted model to predictions."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import xgboost as xgb

from flows.ml import features as current
from flows.ml.definition import Model
from flows.ml.errors import TrainyardError
from flows.ml.features import Floats, Integers

Progress = Callable[[int, int], object]
"""Called after each round with the rounds done and the rounds in all."""


class TrainingError(TrainyardError):
    """The rows cannot be trained on."""


class PredictionError(TrainyardError):
    """A stored model cannot be loaded or does not fit the rows."""


@dataclass(frozen=True)
class Trained:
    """A model as it is stored: booster (UBJSON), encoder (JSON) and the text of the code that feeds it.

    ``names`` are the columns of the matrix, ``rows`` the rows in scope that it was trained on, ``target_unit`` what the
    integer target is divided by.
    """

    booster: bytes
    encoder: bytes
    code: str
    names: tuple[str, ...]
    rows: int
    target_unit: int


class Predictor:
    """Predicts by a stored model, with the feature code that was stored with it."""

    def __init__(self, booster: bytes, encoder: bytes, code: str, threads: int) -> None:
        """Loads the parts of a ``Trained``. Raises PredictionError."""
        try:
            self._encoder = _module(code).Encoder.from_json(encoder)
            self._booster = xgb.Booster({"nthread": threads}, model_file=bytearray(booster))
        except (
            Exception
        ) as error:  # Stored code may fail in any way, and each means the same: this version is unusable.
            raise PredictionError(f"The stored model cannot be loaded ({error}): train it again.") from error

    def predict(self, rows: pl.DataFrame) -> Floats:
        """The prediction for every row, in the unit of the model. Raises PredictionError."""
        try:
            matrix = self._encoder.transform(rows)
            return np.asarray(self._booster.inplace_predict(matrix), dtype=np.float64)
        except Exception as error:
            raise PredictionError(f"The stored model does not fit the rows ({error}): check their columns.") from error


def in_scope(rows: pl.DataFrame, model: Model) -> pl.DataFrame:
    """The rows the model is for; a row without a target is none of them."""
    return rows.filter(model.target.is_not_null() & model.scope)


def targets(rows: pl.DataFrame, model: Model) -> Integers:
    """The integer target of every row, in ``1 / model.target_unit`` of the model's unit. Raises TrainingError."""
    target = rows.select(model.target.alias("target"))["target"]
    if not target.dtype.is_integer():
        raise TrainingError(
            f"The target of {model.name} is {target.dtype}, not an integer: choose a smaller unit for it."
        )
    if target.null_count():
        raise TrainingError(
            f"{target.null_count():,} rows have no target: keep to the rows in the scope of {model.name}."
        )
    return target.cast(pl.Int64).to_numpy()


def train(rows: pl.DataFrame, model: Model, threads: int, on_round: Progress | None = None) -> Trained:
    """Trains on the rows in scope. The bytes are the same for any number of threads. Raises TrainingError."""
    scoped = in_scope(rows, model)
    if not scoped.height:
        raise TrainingError(
            f"None of {rows.height:,} rows is in the scope of {model.name}: check the months and the scope."
        )
    target = targets(scoped, model)
    try:
        encoder, matrix = current.fit_transform(scoped, target, model.features)
    except ValueError as error:
        raise TrainingError(str(error)) from error
    label = (target / model.target_unit).astype(np.float32)
    data = xgb.QuantileDMatrix(matrix, label, nthread=threads, feature_names=list(model.features.names))
    del matrix, label
    booster = xgb.train(
        _parameters(model, target, threads), data, model.rounds, callbacks=[_Rounds(on_round, model.rounds)]
    )
    return Trained(
        booster=bytes(booster.save_raw("ubj")),
        encoder=encoder.to_json(),
        code=Path(current.__file__).read_text("utf-8"),
        names=model.features.names,
        rows=scoped.height,
        target_unit=model.target_unit,
    )


def _parameters(model: Model, target: Integers, threads: int) -> dict[str, Any]:
    # XGBoost would estimate the base score itself, by a sum of floats.
    mean = int(target.sum()) / (len(target) * model.target_unit)
    return {"base_score": mean, "tree_method": "hist", **model.parameters, "seed": model.seed, "nthread": threads}


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


def _module(code: str) -> ModuleType:
    """The stored code as a module of its own name, beside the present one; dataclasses look their module up by it."""
    module = ModuleType(f"_stored_features_{abs(hash(code)):x}")
    sys.modules[module.__name__] = module
    exec(compile(code, "features.py", "exec"), module.__dict__)
    return module
