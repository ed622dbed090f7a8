"""A version in service, as the registry stores it and with its own code: loaded once, asked for any number of rows."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from flows.ml import stored
from flows.ml.definition import Model
from flows.ml.errors import TrainyardError
from flows.ml.features import Floats
from flows.ml.ledger import Entry
from flows.ml.registry import Registry, Version
from flows.ml.registry_errors import RegistryUnreachable, VersionMissing
from flows.ml.settings import serving_threads
from flows.ml.training import as_pandas, raw_rows

if TYPE_CHECKING:
    from flows.ml.stored import PyFuncModel

_LOADING = threading.Lock()
"""One at a time: MLflow hands over what it loads, and stored code learns its threads, by what the process has once."""


class ChampionUnusable(TrainyardError):
    """The champion cannot be loaded or scored, so nothing can be compared with it or predicted by it."""


@dataclass(frozen=True)
class Champion:
    """A loaded version; ``trained_on`` are the months it learned from, in order of time."""

    version: Version
    trained_on: tuple[str, ...]
    stored: "PyFuncModel"

    def predict(self, rows: pl.DataFrame, model: Model) -> Floats:
        """The prediction for every row, in the unit of the model. Raises ``ChampionUnusable``."""
        with _named(self.version.number):
            return stored.predict(self.stored, as_pandas(raw_rows(rows, model)))


def load(registry: Registry, model: Model, entry: Entry, threads: int, folder: Path) -> Champion:
    """The version that an entry of the ledger promoted. ``folder`` holds its files for as long as it is used.

    Raises ``ChampionUnusable`` where the stored version is at fault, ``RegistryUnreachable`` where the server is.
    """
    with _named(entry.version):
        version = registry.version(model.name, entry.version)
        if version.fingerprint != entry.fingerprint:  # the number was given anew after the registry was emptied
            raise VersionMissing("it is another training than the one that was promoted")
        months = tuple(str(part["month"]) for part in json.loads(version.tags["snapshot"])["train"])
        with _LOADING, serving_threads(threads):
            return Champion(version, months, stored.load(registry, version, folder))


@contextlib.contextmanager
def _named(number: int) -> Iterator[None]:
    """Whatever a stored version does wrong has no limits, and each means the same."""
    try:
        yield
    except RegistryUnreachable:
        raise
    except Exception as error:
        raise ChampionUnusable(
            f"version {number} cannot be loaded or scored ({error}). Restore it in MLflow, then run this again."
        ) from error
