"""What MLflow stores and serves: raw rows in, predictions out, and nothing of this repository needed.

The file is an MLflow model from code: MLflow copies its text beside the artifacts and runs it to load the model. The
artifacts are ``booster`` (UBJSON), ``encoder`` (JSON) and ``features`` (the feature code of the day it was trained).
"""

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped, unused-ignore]
import polars as pl
import xgboost as xgb
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class RawRowsModel(PythonModel):  # type: ignore[misc, unused-ignore]
    """Encodes raw rows and predicts them, in the unit of the model."""

    def load_context(self, context: Any) -> None:
        """Loads the artifacts. Threads are those of OMP_NUM_THREADS, else the cores this process may use."""
        features = _module(Path(context.artifacts["features"]))
        self._encoder = features.Encoder.from_json(Path(context.artifacts["encoder"]).read_bytes())
        threads = int(os.environ.get("OMP_NUM_THREADS") or _cores())
        self._booster = xgb.Booster({"nthread": threads}, model_file=context.artifacts["booster"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> Any:
        """The prediction for every row, float64 [rows]. Columns are those of the model's signature."""
        matrix = self._encoder.transform(_rows(model_input))
        return np.asarray(self._booster.inplace_predict(matrix), dtype=np.float64)


def _rows(frame: pd.DataFrame) -> pl.DataFrame:
    """The rows as the encoder knows them: times in microseconds, whatever unit they came in."""
    return pl.DataFrame({str(name): _series(frame[name]) for name in frame.columns})


def _series(column: pd.Series) -> pl.Series:
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iufb":
        return pl.Series(column.to_numpy())
    if pd.api.types.is_numeric_dtype(column.dtype):
        return pl.Series(column.to_numpy(dtype=np.float64, na_value=np.nan))
    times = pd.to_datetime(column)
    if times.dt.tz is not None:
        raise ValueError(f"{column.name} has a time zone: give the local time of the pickup without one.")
    return pl.Series(times.to_numpy(dtype="datetime64[us]"))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _module(path: Path) -> ModuleType:
    """The stored feature code under a name of its own: two versions may be loaded in one process."""
    name = f"_stored_features_{abs(hash(path.resolve())):x}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not Python code: the stored model is damaged, log it again.")
    module = module_from_spec(spec)
    sys.modules[name] = module  # Dataclasses look their module up by its name.
    spec.loader.exec_module(module)
    return module


set_model(RawRowsModel())
