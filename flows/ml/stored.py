"""A stored version on trial: loaded as MLflow serves it, it predicts the rows that were stored with it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flows.ml.errors import TrainyardError
from flows.ml.registry import Registry, RegistryUnreachable, Version


class VersionUnusable(TrainyardError):
    """A version cannot be loaded, or does not predict its own input example."""


def try_out(registry: Registry, version: Version, folder: Path) -> int:
    """Predict the input example of a version; gives its rows. ``folder`` is for the files on the way.

    Raises ``VersionUnusable`` where the stored version is at fault, ``RegistryUnreachable`` where the server is.
    """
    import mlflow.pyfunc

    try:
        stored = mlflow.pyfunc.load_model(str(registry.download(version, folder)))
        example = stored.input_example
        if example is None:
            raise ValueError("no input example is stored with it")
        predictions = np.asarray(stored.predict(example), dtype=np.float64)
        _check(predictions, len(example))
    except RegistryUnreachable:
        raise
    except Exception as error:  # what a stored version may do wrong has no limits, and each means the same
        raise VersionUnusable(
            f"version {version.number} of {version.model} cannot be loaded or does not predict its own example "
            f"({error}). Restore its files in MLflow, or promote another version."
        ) from error
    return len(example)


def _check(predictions: NDArray[np.float64], rows: int) -> None:
    if predictions.shape != (rows,):
        raise ValueError(f"it gave predictions of shape {predictions.shape} for {rows} rows")
    if not np.isfinite(predictions).all():
        raise ValueError(f"{int((~np.isfinite(predictions)).sum())} of {rows} predictions are no finite numbers")
