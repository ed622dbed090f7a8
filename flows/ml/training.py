"""Rows to a fitted model, and a fitted model to predictions."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as selectors
import xgboost as xgb

from flows.ml import features as current
from flows.ml.baseline import Baseline
from flows.ml.definition import Model
from flows.ml.errors import TrainyardError
from flows.ml.features import BATCH, Fitted, Floats, Integers

Progress = Callable[[int, int], object]
"""Called after each round with the rounds done and the rounds in all."""


class TrainingError(TrainyardError):
    """The rows cannot be trained on."""


class PredictionError(TrainyardError):
    """A stored model cannot be loaded or does not fit the rows."""


@dataclass(frozen=True)
class Trained:
    """A model as it is stored: booster (UBJSON), encoder (JSON) and the text of the code that feeds it.

    ``baseline`` is the naive baseline (JSON) of the same rows, ``example`` a few of them as the stored model takes them
    (JSON).
    ``names`` are the columns of the matrix, ``rows`` the rows in scope that it was trained on, ``target_unit`` what the
    integer target is divided by.
    """

    booster: bytes
    encoder: bytes
    code: str
    names: tuple[str, ...]
    rows: int
    target_unit: int
    baseline: bytes
    example: bytes

    def files(self) -> dict[str, bytes]:
        """What of it is kept, by file name."""
        return {
            "booster.ubj": self.booster,
            "encoder.json": self.encoder,
            "features.py": self.code.encode(),
            "baseline.json": self.baseline,
            "example.json": self.example,
        }


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
        fitted = current.fit(scoped, target, model.features)
    except ValueError as error:
        raise TrainingError(str(error)) from error
    batches = _Batches(fitted, scoped, target, model)
    data = xgb.QuantileDMatrix(batches, nthread=threads, max_bin=int(model.parameters.get("max_bin", 256)))
    booster = xgb.train(
        _parameters(model, target, threads), data, model.rounds, callbacks=[_Rounds(on_round, model.rounds)]
    )
    return Trained(
        booster=bytes(booster.save_raw("ubj")),
        encoder=fitted.encoder.to_json(),
        code=Path(current.__file__).read_text("utf-8"),
        names=model.features.names,
        rows=scoped.height,
        target_unit=model.target_unit,
        baseline=Baseline.fit(scoped, target, model.naive, model.target_unit).to_json(),
        example=raw_rows(scoped.head(5), model).write_json().encode(),
    )


def raw_rows(rows: pl.DataFrame, model: Model) -> pl.DataFrame:
    """What the stored model takes: its inputs, whole numbers as 64-bit ones."""
    return rows.select(model.inputs).with_columns(selectors.integer().cast(pl.Int64))


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
        super().__init__()

    def next(self, input_data: Callable[..., object]) -> bool:
        """Hands over the next batch; False after the last."""
        if self._start >= self._rows.height:
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
    exec(compile(code, "features.py", "exec"), module.__dict__)  # noqa: S102 - it was stored with the model
    return module
