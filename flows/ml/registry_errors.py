"""What can go wrong between Trainyard and MLflow, by name."""

import contextlib
import re
from collections.abc import Iterator

import requests

from flows.ml.errors import TrainyardError

AWAY = re.compile(r"API request to .* failed with (exception|error code (5\d\d|404))", re.DOTALL)
"""What MLflow's client says of a server that does not answer, or only that it cannot serve now.

Of what it does not have MLflow says so in JSON, which its client puts in other words; a 404 of other words is of a
proxy without MLflow behind it, or of MLflow's first second.
"""
TWICE = re.compile("UNIQUE constraint failed|UniqueViolation")
"""What it says, of its database, where its client asked again for what was done: the answer was lost on its way."""


class RegistryUnreachable(TrainyardError):
    """MLflow does not answer."""


class RegistryError(TrainyardError):
    """MLflow refused what was asked of it."""


class SnapshotUnreadable(TrainyardError):
    """What a version says of the months it was trained on cannot be read."""


class VersionMissing(TrainyardError):
    """The registry has no such version or alias."""


@contextlib.contextmanager
def unless_there() -> Iterator[None]:
    """Let pass that a thing is there already: another caller made it."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


@contextlib.contextmanager
def named(uri: str) -> Iterator[None]:
    """Turn MLflow's errors into named ones."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except requests.RequestException as error:
        raise RegistryUnreachable(f"MLflow at {uri} does not answer ({type(error).__name__}).") from error
    except MlflowException as error:
        if AWAY.search(str(error)) or error.error_code == "TEMPORARILY_UNAVAILABLE":
            raise RegistryUnreachable(f"MLflow at {uri} does not answer. Start it and run this again.") from error
        if TWICE.search(str(error)):
            raise RegistryUnreachable(f"An answer of MLflow at {uri} was lost. Run this again.") from error
        if error.error_code == "RESOURCE_DOES_NOT_EXIST" or "not found" in str(error).lower():
            raise VersionMissing(f"MLflow at {uri}: {error.message}") from error
        raise RegistryError(f"MLflow at {uri} refused: {error.message}") from error
