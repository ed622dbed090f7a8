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
    _, pinned = _booster()
    return [
        f"mlflow=={_required('mlflow-skinny')}",
        *(f"{name}=={_required(name)}" for name in PACKAGES),
        f"xgboost-cpu=={pinned} ; sys_platform == 'linux'",
        f"xgboost=={pinned} ; sys_platform != 'linux'",
    ]


def trained_with() -> str:
    """The packages a model's bytes depend on, as installed, for people to read. Raises MissingPackageError."""
    return ", ".join([" ".join(_booster()), *(f"{name} {_required(name)}" for name in ("numpy", "polars"))])


def _booster() -> tuple[str, str]:
    """The build of XGBoost that is installed, and its version."""
    for name in BOOSTERS:
        if found := _installed(name):
            return name, found
    raise MissingPackageError("Neither xgboost-cpu nor xgboost is installed: install the locked requirements.")


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
