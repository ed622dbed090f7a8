"""A month that is scored by the champion in service, and what of it is in the lake."""

from flows.ml import landing, predictions
from flows.ml.predictions import Predictions
from tests.integration.home import DATASET, MODEL, Home

MONTH = "2023-03"


def found(home: Home, version: int = 1) -> Predictions:
    """The predictions of the month."""
    manifest = predictions.find(home.lake, MODEL, MONTH, landing.manifest(home.lake, DATASET, MONTH).address, version)
    assert manifest
    return manifest


def whole(home: Home) -> bool:
    """Whether the one manifest and the one file it names are all there is, and fit each other."""
    manifest = found(home)
    predictions.read(home.lake, manifest, home.folder)
    keys = sorted(home.lake.keys("predictions/"))
    return keys == sorted([manifest.data.name, f"{manifest.data.name.rpartition('/')[0]}/manifest.json"])


def clear(home: Home) -> None:
    """Take all predictions."""
    for key in list(home.lake.keys("predictions/")):
        home.lake.delete(key)
