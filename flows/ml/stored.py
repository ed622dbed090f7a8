"""A stored version as MLflow serves it, with its own code: loaded, held to a number a row, tried on its own example."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.ml.errors import TrainyardError
from flows.ml.features import Floats
from flows.ml.registry import Registry, Version
from flows.ml.registry_errors import RegistryUnreachable
from flows.ml.training import PredictionError

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel as PyFuncModel


class VersionUnusable(TrainyardError):
    """A version cannot be loaded, or does not predict its own input example."""


def load(registry: Registry, version: Version, folder: Path) -> "PyFuncModel":
    """A version, ready to predict; ``folder`` holds its files while it is used. Raises what its code raises."""
    import mlflow.pyfunc

    stored: PyFuncModel = mlflow.pyfunc.load_model(str(registry.download(version, folder)))
    return stored


def predict(stored: "PyFuncModel", rows: Any) -> Floats:
    """The predictions of ``rows``, in the model's unit. Raises ``PredictionError`` unless they are a number a row."""
    predictions = np.asarray(stored.predict(rows), dtype=np.float64)
    if predictions.shape != (len(rows),):
        raise PredictionError(f"it gave predictions of shape {predictions.shape} for {len(rows):,} rows")
    if wrong := int((~np.isfinite(predictions)).sum()):
        raise PredictionError(f"{wrong:,} of {len(rows):,} predictions are no finite numbers")
    return predictions


def try_out(registry: Registry, version: Version, folder: Path) -> int:
    """Predict the input example of a version; gives its rows. ``folder`` is for the files on the way.

    Raises ``VersionUnusable`` where the stored version is at fault, ``RegistryUnreachable`` where the server is.
    """
    try:
        stored = load(registry, version, folder)
        if stored.input_example is None:
            raise PredictionError("no input example is stored with it")
        return len(predict(stored, stored.input_example))
    except RegistryUnreachable:
        raise
    except Exception as error:  # what a stored version may do wrong has no limits, and each means the same
        raise VersionUnusable(
            f"version {version.number} of {version.model} cannot be loaded or does not predict its own example "
            f"({error}). Restore its files in MLflow, or promote another version."
        ) from error
