"""The settings of a flow run, from an environment right and wrong."""

import os
from pathlib import Path

import pytest

from flows.ml.settings import IN_A_POD, STORED_THREADS, SettingsError, load, serving_threads

GOOD = {"TRAINYARD_LAKE_BUCKET": "lake", "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000"}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("TRAINYARD_") or name in ("MLFLOW_TRACKING_URI", IN_A_POD):
            monkeypatch.delenv(name)


def put(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_bucket_and_tracking_server_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, **GOOD)

    found = load()

    assert (found.lake_bucket, found.lake_prefix, found.mlflow_url) == ("lake", "", "http://127.0.0.1:5000")
    assert found.threads >= 1
    assert found.scratch.is_dir()


def test_every_setting_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "LAKE_PREFIX": "team/a",
        "LAKE_CREDENTIALS": "block",
        "MLFLOW_UI": "https://mlflow.example.com/",
        "THREADS": "3",
        "SCRATCH": "/scratch",
        "GIT_SHA": "abc",
    }
    put(monkeypatch, **GOOD, **{f"TRAINYARD_{name}": value for name, value in given.items()})

    found = load()

    assert (found.lake_prefix, found.lake_credentials, found.threads) == ("team/a", "block", 3)
    assert (found.mlflow_url, found.scratch, found.git_sha) == ("https://mlflow.example.com", Path("/scratch"), "abc")


def test_in_a_pod_what_only_a_newer_chart_knows_is_told_and_let_be(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(monkeypatch, **GOOD, KUBERNETES_SERVICE_HOST="10.0.0.1", TRAINYARD_OF_TOMORROW="1", TRAINYARD_KEEP_DAYS="90")

    assert load().keep_days == 90
    assert caplog.messages == ["not known to this code and let be: TRAINYARD_OF_TOMORROW: no such setting"]


def test_all_problems_are_reported_at_once_by_the_names_of_their_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    put(
        monkeypatch,
        MLFLOW_TRACKING_URI="no address",
        TRAINYARD_THREADS="many",
        TRAINYARD_LAKE_PREFIX="/slashed/",
        TRAINYARD_LAKE_BUCKETS="lake",
    )

    with pytest.raises(SettingsError) as caught:
        load()

    text = str(caught.value)
    assert text.startswith("the environment holds 5 wrong settings: ")
    assert "TRAINYARD_LAKE_BUCKETS: no such setting" in text
    assert "TRAINYARD_LAKE_BUCKET: field required" in text
    for name in ("MLFLOW_TRACKING_URI: ", "TRAINYARD_THREADS: ", "TRAINYARD_LAKE_PREFIX: "):
        assert name in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRAINYARD_THREADS", "0"),
        ("TRAINYARD_THREADS", "1025"),
        ("TRAINYARD_LAKE_BUCKET", "ab"),
        ("TRAINYARD_LAKE_PREFIX", "a//b"),
        ("TRAINYARD_MLFLOW_UI", "ftp://example.com"),
        ("MLFLOW_TRACKING_URI", "sqlite:///here.db"),
    ],
)
def test_a_malformed_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    put(monkeypatch, **{**GOOD, name: value})

    with pytest.raises(SettingsError, match=f"holds 1 wrong settings: {name}: "):
        load()


def test_no_value_of_the_environment_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, TRAINYARD_THREADS="hunter2", TRAINYARD_TOKEN="hunter2", MLFLOW_TRACKING_URI="hunter2")

    with pytest.raises(SettingsError) as caught:
        load()

    assert "hunter2" not in str(caught.value)


def test_stored_code_is_told_its_threads_while_it_is_loaded_and_what_is_set_already_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(STORED_THREADS, raising=False)
    with serving_threads(3):
        told = os.environ[STORED_THREADS]
    left = os.environ.get(STORED_THREADS)
    monkeypatch.setenv(STORED_THREADS, "1")
    with serving_threads(3):
        set_before = os.environ[STORED_THREADS]

    assert (told, left, set_before) == ("3", None, "1")
    assert os.environ[STORED_THREADS] == "1"
