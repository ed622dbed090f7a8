"""One version a training: the registry is MLflow's own store in a file, a server only where one is away."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.entities import PagedList
from mlflow.tracking import MlflowClient

from flows.ml.registry import Record, Registry, all_pages
from flows.ml.registry_errors import RegistryError, RegistryUnreachable
from tests.integration import calls
from tests.integration.calls import Moment

MODEL = "small"
TAGS = {"verdict": "refuse", "reason": "The champion could not be scored", "decision": "d1", "git_sha": "c1"}


def record(tags: Mapping[str, str], rmse: float = 5.0) -> Record:
    return Record(
        model=MODEL,
        fingerprint="first",
        title="small",
        description=f"Small. {tags['reason']}",
        tags=tags,
        parameters={"seed": "42"},
        metrics={"rmse": rmse},
        inputs=[],
        reports=[],
        code=Path("serving.py"),
        artifacts={},
        example=pd.DataFrame(),
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return Registry(f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db")


@pytest.fixture
def registry(store: Registry) -> Iterator[Registry]:
    """Two callers registered one training at once, and the second died before it took its version back."""
    client = store._client
    client.create_registered_model(MODEL)
    experiment = client.create_experiment(MODEL)
    for _ in range(2):
        run = client.create_run(experiment).info.run_id
        client.create_model_version(MODEL, "s3://lake/nothing", run, tags={"fingerprint": "first", **TAGS})
    yield store
    client.delete_registered_model(MODEL)
    client.rename_experiment(experiment, f"{MODEL} {experiment}")


def test_of_two_versions_of_one_training_the_lowest_stays_though_its_double_was_left_by_a_crash(registry: Registry):
    version = registry.register(record(TAGS))

    assert version.number == 1
    assert [found.number for found in registry.versions(MODEL)] == [1]


def test_another_verdict_on_the_same_decision_is_written_everywhere(registry: Registry):
    """A champion that was out of order refuses; put right, it is judged against under the same decision."""
    again = {**TAGS, "verdict": "promote", "reason": "Better"}

    version = registry.register(record(again, rmse=4.0))

    assert {key: version.tags[key] for key in again} == again
    assert registry.metrics(version) == {"rmse": 4.0}
    assert registry._client.get_model_version(MODEL, "1").description == "Small. Better"


def test_the_same_verdict_again_writes_nothing(registry: Registry):
    version = registry.register(replace(record({**TAGS, "git_sha": "c2"}), metrics={"rmse": 3.0}))

    assert version.tags["git_sha"] == "c1"
    assert registry.metrics(version) == {}


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("API request to http://mlflow/api/x failed with exception refused", RegistryUnreachable),
        ("API request to endpoint /api/x failed with error code 503 != 200. Response body: ''", RegistryUnreachable),
        ("API request to endpoint /api/x failed with error code 404 != 200. Response body: ''", RegistryUnreachable),
        ("API request to endpoint /api/x failed with error code 404 != 200. Response body: 'No'", RegistryUnreachable),
        (
            "API request to x failed with error code 404 != 200. Response body: '404 page not found'",
            RegistryUnreachable,
        ),
        ("API request to endpoint /api/x failed with error code 400 != 200. Response body: ''", RegistryError),
        ("BAD_REQUEST: (sqlite3.IntegrityError) UNIQUE constraint failed: inputs.source_id", RegistryUnreachable),
        ("BAD_REQUEST: (psycopg2.errors.UniqueViolation) duplicate key value violates it", RegistryUnreachable),
        ("BAD_REQUEST: (sqlite3.IntegrityError) NOT NULL constraint failed: runs.name", RegistryError),
    ],
)
def test_a_server_that_cannot_serve_now_is_told_from_one_that_refuses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, named: type[Exception]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MlflowException(said)

    monkeypatch.setattr(MlflowClient, "search_model_versions", fail)

    with pytest.raises(named):
        Registry(f"sqlite:///{tmp_path}/mlflow.db").versions(MODEL)


@pytest.mark.parametrize(
    ("moment", "times"),
    [(Moment(1, False, how="503"), 2), (Moment(1, False, how="reset"), 2), (Moment(1, True, how="cut"), 1)],
    ids=["503", "reset", "cut"],
)
def test_a_server_that_is_away_for_a_moment_is_asked_again(platform: Mapping[str, str], moment: Moment, times: int):
    """Its status is enough: the rest of an answer may be lost."""
    with calls.between(platform) as between:
        between.kill(os.getpid(), moment)
        Registry(between.env["MLFLOW_TRACKING_URI"]).check()

    assert between.made == ["MLflow GET /health"] * times


def test_a_server_that_stays_away_is_named(platform: Mapping[str, str]) -> None:
    with calls.between(platform) as between:
        between.kill(os.getpid(), Moment(1, after=False, how="away"))
        with pytest.raises(RegistryUnreachable, match=r"does not answer \(HTTPError\)\. Start it, or set MLFLOW"):
            Registry(between.env["MLFLOW_TRACKING_URI"]).check()

    assert len(between.made) > 2  # where the connection is found closed an attempt is none of them


def test_what_a_search_finds_is_taken_from_all_its_pages() -> None:
    pages = {None: PagedList([1, 2], "more"), "more": PagedList([3, 4], "last"), "last": PagedList([5], None)}

    assert all_pages(lambda page_token=None: pages[page_token]) == [1, 2, 3, 4, 5]
