"""Rows to a fitted model, and a fitted model to predictions."""

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import polars.selectors as selectors

from flows.ml import features as current
from flows.ml.baseline import Baseline
from flows.ml.definition import Model
from flows.ml.errors import TrainyardError
from flows.ml.features import Floats, Integers

if TYPE_CHECKING:
    import pandas as pd

    from flows.ml.boosting import Progress


TARGET = "__target"


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
        from flows.ml import boosting

        try:
            self._encoder = _module(code).Encoder.from_json(encoder)
            self._booster = boosting.load(booster, threads)
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


def in_scope[Rows: (pl.DataFrame, pl.LazyFrame)](rows: Rows, model: Model) -> Rows:
    """The rows the model is for; a row without a target is none of them."""
    return rows.filter(model.target.is_not_null() & model.scope)


def targets(rows: pl.DataFrame, model: Model) -> Integers:
    """The integer target of every row, in ``1 / model.target_unit`` of the model's unit. Raises TrainingError."""
    return _integers(rows.select(model.target.alias("target"))["target"], model)


def _integers(target: pl.Series, model: Model) -> Integers:
    if not target.dtype.is_integer():
        raise TrainingError(
            f"The target of {model.name} is {target.dtype}, not an integer: choose a smaller unit for it."
        )
    if target.null_count():
        raise TrainingError(
            f"{target.null_count():,} rows have no target: keep to the rows in the scope of {model.name}."
        )
    return target.cast(pl.Int64).to_numpy()


def train(
    rows: pl.DataFrame | pl.LazyFrame,
    model: Model,
    threads: int,
    on_round: "Progress | None" = None,
    folder: Path | None = None,
) -> Trained:
    """Trains on the inputs and the target of the rows in scope. The bytes are the same for any number of threads.

    Of lazy rows no more is ever in memory than inputs and target of those in scope, and while it boosts not even that.
    ``folder`` is for files on the way, of which the matrix of many rows is one. Raises TrainingError.
    """
    from flows.ml import boosting

    known = in_scope(rows.lazy(), model).select(*model.inputs, model.target.alias(TARGET)).collect(engine="streaming")
    if not known.height:
        count = rows.lazy().select(pl.len()).collect().item()
        raise TrainingError(f"None of {count:,} rows is in the scope of {model.name}: check the months and the scope.")
    target, known = _integers(known[TARGET], model), known.drop(TARGET)
    try:
        fitted = current.fit(known, target, model.features)
    except ValueError as error:
        raise TrainingError(str(error)) from error
    except KeyError as error:
        raise TrainingError(f"A feature of {model.name} needs {error}, which is none of its inputs.") from error
    count, mean = known.height, int(target.sum()) / (known.height * model.target_unit)
    baseline = Baseline.fit(known, target, model.naive, model.target_unit).to_json()
    example = raw_rows(known.head(5), model).write_json().encode()
    encoded = boosting.encode(fitted, known, target, model, folder)
    del known, target
    with boosting.matrix(encoded, model, threads, folder) as boost:
        booster = boost(mean, on_round)
    return Trained(
        booster=booster,
        encoder=fitted.encoder.to_json(),
        code=Path(current.__file__).read_text("utf-8"),
        names=model.features.names,
        rows=count,
        target_unit=model.target_unit,
        baseline=baseline,
        example=example,
    )


def raw_rows(rows: pl.DataFrame, model: Model) -> pl.DataFrame:
    """What the stored model takes: its inputs, whole numbers as 64-bit ones."""
    return rows.select(model.inputs).with_columns(selectors.integer().cast(pl.Int64))


def as_pandas(rows: pl.DataFrame) -> "pd.DataFrame":
    """The rows as MLflow takes them. Polars' own way there needs pyarrow, 160 MB in every job's image."""
    import pandas as pd

    return pd.DataFrame({column.name: column.to_numpy() for column in rows})


def _module(code: str) -> ModuleType:
    """The stored code as a module of its own name, beside the present one; dataclasses look their module up by it."""
    module = ModuleType(f"_stored_features_{abs(hash(code)):x}")
    sys.modules[module.__name__] = module
    exec(compile(code, "features.py", "exec"), module.__dict__)  # noqa: S102 - it was stored with the model
    return module
