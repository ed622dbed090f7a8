"""The packages that are noted and pinned with a model."""

from importlib.metadata import PackageNotFoundError

import pytest

from flows.ml import serving_requirements
from flows.ml.serving_requirements import MissingPackageError, trained_with


def test_the_packages_a_model_was_trained_with_are_told_with_their_versions() -> None:
    booster, *others = trained_with().split(", ")

    assert booster.startswith("xgboost")
    assert [part.split()[0] for part in others] == ["numpy", "polars"]
    assert all(part.split()[1][0].isdigit() for part in (booster, *others))


@pytest.mark.parametrize("missing", [("polars",), ("xgboost-cpu", "xgboost"), ("mlflow-skinny",)])
def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...]) -> None:
    def version(name: str) -> str:
        if name in missing:
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(serving_requirements, "version", version)

    with pytest.raises(MissingPackageError, match=rf"{missing[-1]}.* installed: install the locked requirements"):
        serving_requirements.serving_requirements()
