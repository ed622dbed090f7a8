"""The packages a stored model needs to be loaded and served, pinned to those it was trained and checked with."""

from importlib.metadata import PackageNotFoundError, version

from flows.ml.errors import TrainyardError

PACKAGES = ("numpy", "pandas", "polars")
BOOSTERS = ("xgboost-cpu", "xgboost")


class MissingPackageError(TrainyardError):
    """A package that a stored model needs is not installed here."""


def serving_requirements() -> list[str]:
    """Pinned requirements for ``log_model``. Raises MissingPackageError.

    The CPU build of xgboost has no wheel for macOS, where the same release goes by its plain name.
    """
    booster = next((pinned for name in BOOSTERS if (pinned := _installed(name))), None)
    if booster is None:
        raise MissingPackageError("Neither xgboost-cpu nor xgboost is installed: install the locked requirements.")
    return [
        f"mlflow=={_required('mlflow-skinny')}",
        *(f"{name}=={_required(name)}" for name in PACKAGES),
        *_boosters(booster),
    ]


def _boosters(pinned: str) -> list[str]:
    return [
        f"xgboost-cpu=={pinned} ; sys_platform == 'linux'",
        f"xgboost=={pinned} ; sys_platform != 'linux'",
    ]


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _required(name: str) -> str:
    pinned = _installed(name)
    if pinned is None:
        raise MissingPackageError(f"{name} is not installed: install the locked requirements.")
    return pinned
