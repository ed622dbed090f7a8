"""What two months' ``retrain`` leave for people and for those who serve the model."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import mlflow
import polars as pl
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from prefect.client.schemas.objects import State

from flows import models
from flows import retrain as flow
from flows.ml import ledger, training
from flows.ml import snapshot as snapshots
from flows.retrain import retrain
from tests.integration import home as homes
from tests.integration.home import GIT_SHA, MODEL, Home, artifacts, run


@pytest.fixture(scope="module")
def kept_home(platform: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home with three months that all tests of this module share."""
    with homes.home(platform, tmp_path_factory.mktemp("home")) as own:
        own.land("2023-01", "2023-02", "2023-03")
        yield own


@pytest.fixture(scope="module")
def first(kept_home: Home) -> State:
    """The end of the first retrain."""
    return run(retrain, model=MODEL, until="2023-02")


@pytest.fixture(scope="module")
def second(kept_home: Home, first: State) -> State:
    """The end of a retrain a month later."""
    return run(retrain, model=MODEL)


@pytest.fixture(scope="module")
def version(first: State) -> ModelVersion:
    """The first version, as MLflow has it."""
    return MlflowClient().get_model_version(MODEL, "1")


@pytest.fixture(scope="module")
def mlflow_run(version: ModelVersion) -> Run:
    """The run of the first version."""
    return MlflowClient().get_run(str(version.run_id))


def test_the_first_version_that_beats_the_naive_baseline_is_promoted(kept_home: Home, first: State) -> None:
    entry = ledger.entries(kept_home.lake, MODEL)[0]

    assert (first.type.value, first.name) == ("COMPLETED", "Promoted")
    assert str(first.message).startswith("version 1: The candidate (error ")
    assert "no model is in service" in str(first.message)
    assert (entry.number, entry.version, entry.champion) == (1, 1, None)
    assert kept_home.registry.versions(MODEL)[0].fingerprint == entry.fingerprint


def test_the_next_version_is_judged_against_the_champion_on_the_same_rows(kept_home: Home, second: State) -> None:
    version = kept_home.registry.version(MODEL, 2)
    metrics = kept_home.registry.metrics(version)

    assert (second.type.value, second.name) == ("COMPLETED", "Promoted")
    assert version.tags["judged_against"] == "1"
    assert version.tags["judged"] == "2023-03"
    assert {"rmse", "mae", "naive_rmse", "champion_rmse"} <= set(metrics)
    assert metrics["rmse"] < metrics["naive_rmse"]
    assert kept_home.outcome() == {"versions": {1: "promote", 2: "promote"}, "champion": 2, "ledger": [1, 2]}


def test_a_training_that_was_promoted_is_not_done_again(
    kept_home: Home, second: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, objects = kept_home.outcome(), kept_home.objects()
    monkeypatch.setattr(training, "train", None)

    again = run(retrain, model=MODEL, until="2023-02")

    assert (again.type.value, again.name) == ("COMPLETED", "Unchanged")
    assert "version 1 is this very training and was promoted on " in str(again.message)
    assert kept_home.outcome() == before
    assert kept_home.objects() == objects


def test_an_alias_that_differs_from_the_ledger_is_put_right(kept_home: Home, second: State) -> None:
    before = kept_home.outcome()
    MlflowClient().delete_registered_model_alias(MODEL, "champion")

    assert run(retrain, model=MODEL, until="2023-02").name == "Unchanged"
    assert kept_home.outcome() == before


def test_a_training_that_another_run_promoted_meanwhile_is_not_promoted_twice(
    kept_home: Home, second: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = kept_home.outcome()
    before_it = ledger.Standing(ledger.entries(kept_home.lake, MODEL)[0], None)
    monkeypatch.setattr(flow, "look_up", lambda model, fingerprint: before_it)

    state = run(retrain, model=MODEL)

    assert (state.name, state.message) == (second.name, second.message)
    assert kept_home.outcome() == before


def test_a_version_says_by_its_tags_what_it_is_and_how_it_was_judged(version: ModelVersion, mlflow_run: Run) -> None:
    snapshot = json.loads(version.tags["snapshot"])

    assert len(version.tags["fingerprint"]) == 64
    assert [part["month"] for part in snapshot["train"]] == ["2023-01"]
    assert snapshot["judge"]["month"] == "2023-02"
    assert version.tags["verdict"] == "promote"
    assert version.tags["reason"] in str(version.description)
    assert version.tags["git_sha"] == GIT_SHA
    assert version.tags.items() <= mlflow_run.data.tags.items()


def test_a_run_has_the_errors_the_parameters_and_the_months_it_used(mlflow_run: Run) -> None:
    inputs = {each.dataset.name: each.tags[0].value for each in mlflow_run.inputs.dataset_inputs}

    assert {"rmse", "mae", "naive_rmse"} <= set(mlflow_run.data.metrics)
    assert "champion_rmse" not in mlflow_run.data.metrics
    assert mlflow_run.data.params["max_depth"] == "9"
    assert inputs == {"green-trips 2023-01": "training", "green-trips 2023-02": "judging"}


def test_the_report_is_kept_with_the_run(mlflow_run: Run, tmp_path: Path) -> None:
    folder = Path(MlflowClient().download_artifacts(mlflow_run.info.run_id, "report", str(tmp_path)))

    assert (folder / "decision.md").read_text().startswith("# Promote: trip-duration on 2023-02")
    assert (folder / "errors.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_that_is_stored_with_a_version_is_a_pickle(first: State, tmp_path: Path) -> None:
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{MODEL}/1", dst_path=str(tmp_path)))
    files = [path for path in folder.rglob("*") if path.is_file()]

    assert {path.suffix for path in files} <= {".json", ".py", ".ubj", ".yaml", ".txt", ""}
    assert [path for path in files if path.suffix == ".ubj"]
    assert not [path for path in files if path.read_bytes()[:1] == b"\x80"]


def test_the_champion_loads_by_its_alias_and_predicts_raw_rows_in_minutes(
    kept_home: Home, first: State, tmp_path: Path
) -> None:
    month = snapshots.take(kept_home.lake, homes.DATASET, "2023-03", 1, 12).judge
    rows = snapshots.read(kept_home.lake, homes.DATASET, [month], tmp_path, models.load(MODEL).inputs).head(100)
    raw = training.raw_rows(rows.collect(), models.load(MODEL)).to_pandas()

    minutes = pl.Series(mlflow.pyfunc.load_model(f"models:/{MODEL}@champion").predict(raw))

    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert minutes.len() == 100
    assert minutes.is_between(1, 90).all()
    assert minutes.n_unique() > 50


def test_the_operator_sees_snapshot_progress_decision_and_plot(
    platform: dict[str, str], first: State, version: ModelVersion
) -> None:
    shown = artifacts(first)
    months = json.loads(str(shown["snapshot-trip-duration"].data))
    card = str(shown["decision-trip-duration"].data)

    assert [(row["month"], row["use"]) for row in months] == [("2023-01", "train"), ("2023-02", "judge")]
    assert shown["progress"].data == 100
    assert version.tags["reason"] in card
    assert "## By slice" in card
    assert f"({platform['MLFLOW_TRACKING_URI']}/#/models/{MODEL}/versions/1)" in card
    assert f"/runs/{version.run_id})" in card
    assert str(shown["errors-trip-duration"].data).startswith("data:image/png;base64,")
    assert len(str(shown["errors-trip-duration"].data)) < 100_000
