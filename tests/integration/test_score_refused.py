"""Where ``score`` refuses, what it puts right, and the next champion: each test changes a home of its own."""

import json
import re
from collections.abc import Callable

import pytest
from mlflow import MlflowClient

from flows.ml import landing, predictions
from flows.retrain import retrain
from flows.score import score
from tests.integration.home import DATASET, MODEL, Home, run

MONTH = "2023-03"


@pytest.fixture
def served(home: Home) -> Home:
    """A home where version 1, trained on 2023-01, is in service, and 2023-03 is there to be scored."""
    home.land("2023-01", "2023-02", MONTH)
    assert run(retrain, model=MODEL, until="2023-02").name == "Promoted"
    return home


def address(home: Home) -> str:
    """The address of the month."""
    return landing.manifest(home.lake, DATASET, MONTH).address


def test_a_month_is_scored_again_by_the_next_champion(served: Home) -> None:
    run(score, model=MODEL, month=MONTH)
    assert run(retrain, model=MODEL).name == "Promoted"

    state = run(score, model=MODEL, month=MONTH)

    one, two = (predictions.find(served.lake, MODEL, MONTH, address(served), version) for version in (1, 2))
    assert state.name == "Scored"
    assert one
    assert two
    assert (one.version, two.version) == (1, 2)
    assert one.data.sha256 != two.data.sha256


def test_an_alias_that_a_crash_left_behind_is_put_right(served: Home) -> None:
    MlflowClient().delete_registered_model_alias(MODEL, "champion")

    assert run(score, model=MODEL, month=MONTH).name == "Scored"
    assert served.registry.champion(MODEL) == 1


def lose_files(home: Home) -> None:
    """Take the files of the champion."""
    home.lose_model(1)


def lose_version(home: Home) -> None:
    """Take the champion's version."""
    MlflowClient().delete_model_version(MODEL, "1")


def begin_anew(home: Home) -> None:
    """Take the ledger, and the alias with it."""
    for key in list(home.lake.keys("ledger/")):
        home.lake.delete(key)
    MlflowClient().delete_registered_model_alias(MODEL, "champion")


def lose_ledger(home: Home) -> None:
    """Take the ledger alone."""
    for key in list(home.lake.keys("ledger/")):
        home.lake.delete(key)


def lose_month(home: Home) -> None:
    """Take the month."""
    home.lake.delete(f"raw/{DATASET}/{MONTH}/manifest.json")


def change_manifest(home: Home, **changed: object) -> None:
    """Let the month's manifest say something else."""
    key = f"raw/{DATASET}/{MONTH}/manifest.json"
    text, etag = home.lake.read(key)
    home.lake.replace(key, json.dumps({**json.loads(text), **changed}).encode(), etag)


REFUSED: dict[str, tuple[Callable[[Home], object], str]] = {
    "nobody was promoted": (begin_anew, r"No version of trip-duration was promoted yet: run retrain"),
    "the ledger is lost": (lose_ledger, r"version 1 of trip-duration is the champion in MLflow, and .* is empty"),
    "the champion's files are lost": (lose_files, r"version 1 cannot be loaded or scored .*Restore it in MLflow"),
    "the champion's version is lost": (lose_version, r"version 1 cannot be loaded or scored .*Restore it in MLflow"),
    "the month is not in the lake": (lose_month, r"The lake has no 2023-03 of green-trips .*Run ingest for 2023-03"),
    "a month of another dataset": (
        lambda home: change_manifest(home, dataset="yellow-trips"),
        r"raw/green-trips/2023-03/manifest\.json is that of yellow-trips 2023-03",
    ),
    "a month without the columns": (
        lambda home: change_manifest(home, columns={"pickup_at": "Datetime"}),
        r"has no column distance, dropoff_at, dropoff_zone, pickup_zone, which trip-duration needs",
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_an_operator_has_to_put_right_first_is_refused_by_name(served: Home, fault: str) -> None:
    spoil, sentence = REFUSED[fault]
    spoil(served)

    state = run(score, model=MODEL, month=MONTH)

    assert (state.type.value, state.name) == ("FAILED", "Refused")
    assert re.search(sentence, str(state.message)), state.message
    assert list(served.lake.keys("predictions/")) == []


def test_rows_that_are_not_those_of_the_manifest_are_not_scored(served: Home) -> None:
    key = f"raw/{DATASET}/{MONTH}/{address(served)}/data.parquet"
    data, etag = served.lake.read(key)
    served.lake.replace(key, data[:-1] + b"?", etag)

    state = run(score, model=MODEL, month=MONTH)

    assert (state.type.value, state.name) == ("FAILED", "Failed")
    assert "The object is damaged or another one" in str(state.message)
    assert list(served.lake.keys("predictions/")) == []
