"""Settings are shown in links, logs and reports: they hold no secret."""

import pytest

from flows.ml import settings


@pytest.mark.parametrize("name", ["MLFLOW_TRACKING_URI", "TRAINYARD_MLFLOW_UI"])
def test_an_address_with_a_password_is_refused_by_name_and_never_repeated(monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setenv("TRAINYARD_LAKE_BUCKET", "lake")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    monkeypatch.setenv(name, "http://someone:hunter2@mlflow:5000")

    with pytest.raises(settings.SettingsError, match=f"{name}: .*holds a user or a password") as refused:
        settings.load()

    assert "hunter2" not in str(refused.value)
    assert refused.value.__context__ is None  # whose text would quote the address
