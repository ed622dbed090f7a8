"""What ``score`` writes, how it ends, and what it leaves where something is wrong."""

import json
import re
from collections.abc import Callable
from dataclasses import replace

import mlflow.pyfunc
import numpy as np
import polars as pl
import pytest
from mlflow import MlflowClient

from flows.datasets import green_trips
from flows.ml import landing, ledger, predictions
from flows.ml.predictions import Predictions
from flows.ml.training import as_pandas, raw_rows
from flows.models.trip_duration import MODEL as DEFINITION
from flows.retrain import retrain
from flows.score import score
from tests.integration import calls
from tests.integration.home import DATASET, GIT_SHA, MODEL, Home, artifacts, run
from tests.integration.warm import Warm

MONTH = "2023-03"


@pytest.fixture
def served(home: Home) -> Home:
    """A home where version 1, trained on 2023-01, is in service, and 2023-03 is there to be scored."""
    home.land("2023-01", "2023-02", MONTH)
    assert run(retrain, model=MODEL, until="2023-02").name == "Promoted"
    return home


def month(home: Home) -> tuple[str, pl.DataFrame]:
    """The address of the month and its rows."""
    found = landing.manifest(home.lake, DATASET, MONTH)
    return found.address, pl.read_parquet(landing.fetch(home.lake, found, home.folder))


def found(home: Home, version: int = 1) -> Predictions:
    """The predictions of the month."""
    manifest = predictions.find(home.lake, MODEL, MONTH, landing.manifest(home.lake, DATASET, MONTH).address, version)
    assert manifest
    return manifest


def test_every_row_of_the_month_has_the_prediction_of_the_stored_model(served: Home) -> None:
    address, rows = month(served)

    state = run(score, model=MODEL, month=MONTH)

    stored = mlflow.pyfunc.load_model(f"models:/{MODEL}@champion")
    expected = stored.predict(as_pandas(raw_rows(rows, DEFINITION)))
    manifest = found(served)
    written = predictions.read(served.lake, manifest, served.folder).collect()
    assert (state.type.value, state.name) == ("COMPLETED", "Scored")
    assert state.message == f"{MONTH}: {rows.height:,} of {rows.height:,} rows scored by version 1"
    assert np.array_equal(written["prediction"].to_numpy(), expected)
    assert written.schema == predictions.SCHEMA
    assert written["reason"].null_count() == rows.height
    assert (manifest.address, manifest.rows, manifest.scored, manifest.reasons) == (
        address,
        rows.height,
        rows.height,
        {},
    )
    assert (manifest.revision, manifest.fingerprint) == (GIT_SHA, ledger.champion(served.lake, MODEL).fingerprint)
    assert manifest.run_id == served.registry.version(MODEL, 1).run_id
    assert manifest.in_scope < manifest.rows  # the training scope keeps no row from being scored
    assert manifest.mean_predicted == pytest.approx(manifest.mean_actual, rel=0.1)


def test_the_operator_sees_what_was_scored_and_where_it_is(served: Home) -> None:
    state = run(score, model=MODEL, month=MONTH)

    shown = artifacts(state)
    card = str(shown[f"predictions-{MODEL}-{MONTH}"].data)
    assert f"`{served.lake.uri(found(served).data.name)}`" in card
    assert f"/#/models/{MODEL}/versions/1)" in card
    assert float(str(shown["progress"].data)) == 100


def test_the_same_again_is_unchanged_and_writes_nothing(served: Home) -> None:
    first = run(score, model=MODEL, month=MONTH)
    before = served.objects()

    again = run(score, model=MODEL, month=MONTH)

    assert (again.type.value, again.name, again.message) == ("COMPLETED", "Unchanged", first.message)
    assert served.objects() == before
    assert f"predictions-{MODEL}-{MONTH}" in artifacts(again)


def test_a_row_that_cannot_be_scored_is_empty_with_its_reason_and_does_not_fail_the_month(served: Home) -> None:
    lack(served, 200)

    state = run(score, model=MODEL, month=MONTH)

    manifest = found(served)
    written = predictions.read(served.lake, manifest, served.folder).collect()
    rows = manifest.rows
    assert (state.type.value, state.name) == ("COMPLETED", "Scored")
    assert state.message == (
        f"{MONTH}: {rows - 200:,} of {rows:,} rows scored by version 1; 200 ({200 / rows:.1%}) could not be"
    )
    assert manifest.reasons == {"no distance": 200}
    assert written["prediction"].is_null().equals(written["reason"].is_not_null())
    assert "of the rows have no prediction**" in str(artifacts(state)[f"predictions-{MODEL}-{MONTH}"].data)


def test_a_month_landed_anew_is_scored_anew_and_the_former_predictions_stay(served: Home) -> None:
    run(score, model=MODEL, month=MONTH)
    former = found(served)
    served.land(MONTH, rows=lambda rows: rows.head(rows.height - 20))

    state = run(score, model=MODEL, month=MONTH)

    assert state.name == "Scored"
    assert found(served).rows == former.rows - 20
    assert predictions.find(served.lake, MODEL, MONTH, former.address, 1) == former


def test_a_month_is_scored_again_by_the_next_champion(served: Home) -> None:
    run(score, model=MODEL, month=MONTH)
    assert run(retrain, model=MODEL).name == "Promoted"

    state = run(score, model=MODEL, month=MONTH)

    assert (state.name, found(served, 2).version) == ("Scored", 2)
    assert found(served, 1).data.sha256 != found(served, 2).data.sha256


def test_predictions_whose_file_is_lost_are_written_again(served: Home) -> None:
    run(score, model=MODEL, month=MONTH)
    first = found(served)
    served.lake.delete(first.data.name)

    state = run(score, model=MODEL, month=MONTH)

    assert state.name == "Scored"
    assert predictions.is_whole(served.lake, found(served))
    assert found(served).data == first.data


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


def lack(home: Home, rows: int) -> None:
    """Land the month with rows that have no distance, as a dataset whose contract lets that pass would."""
    schema = green_trips.SCHEMA.update_column("distance", nullable=True)
    with pytest.MonkeyPatch.context() as lenient:
        lenient.setattr(green_trips, "DATASET", replace(green_trips.DATASET, schema=schema))
        first = pl.int_range(pl.len()) < rows
        home.land(MONTH, rows=lambda month: month.with_columns(trip_distance=pl.when(~first).then("trip_distance")))


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


@pytest.mark.parametrize("answer", [float("nan"), float("inf"), [7.0]])
def test_a_champion_that_does_not_answer_with_a_number_a_row_is_refused(
    served: Home, monkeypatch: pytest.MonkeyPatch, answer: float | list[float]
) -> None:
    stored = mlflow.pyfunc.PyFuncModel
    monkeypatch.setattr(stored, "predict", lambda _, rows: answer if isinstance(answer, list) else [answer] * len(rows))

    state = run(score, model=MODEL, month=MONTH)

    assert (state.type.value, state.name) == ("FAILED", "Refused")
    assert "version 1 cannot be loaded or scored (" in str(state.message)
    assert list(served.lake.keys("predictions/")) == []


def test_rows_that_are_not_those_of_the_manifest_are_not_scored(served: Home) -> None:
    key = f"raw/{DATASET}/{MONTH}/{month(served)[0]}/data.parquet"
    data, etag = served.lake.read(key)
    served.lake.replace(key, data[:-1] + b"?", etag)

    state = run(score, model=MODEL, month=MONTH)

    assert (state.type.value, state.name) == ("FAILED", "Failed")
    assert "The object is damaged or another one" in str(state.message)
    assert list(served.lake.keys("predictions/")) == []


def test_a_manifest_of_predictions_that_is_damaged_is_named_with_the_remedy(served: Home) -> None:
    run(score, model=MODEL, month=MONTH)
    key = next(key for key in served.lake.keys("predictions/") if key.endswith("manifest.json"))
    served.lake.replace(key, b"{", served.lake.read(key)[1])

    state = run(score, model=MODEL, month=MONTH)

    assert state.type.value == "FAILED"
    assert "manifest.json: not a manifest of predictions (1 faults). Remove it and score again." in str(state.message)


def test_two_at_once_leave_one_manifest_and_both_end_clearly(served: Home, warm: Warm) -> None:
    parameters = {"model": MODEL, "month": MONTH}
    with warm.run("score", served.env, **parameters) as one, warm.run("score", served.env, **parameters) as other:
        one.go()
        other.go()
        ends = [run.end() for run in (one, other)]

    assert {end["type"] for end in ends} == {"COMPLETED"}
    assert sorted(end["name"] for end in ends) == ["Scored", "Unchanged"]
    assert ends[0]["message"] == ends[1]["message"]
    assert whole(served)


def test_killed_at_any_call_it_leaves_nothing_half_and_the_next_run_completes_it(served: Home, warm: Warm) -> None:
    parameters = {"model": MODEL, "month": MONTH}
    made = calls.of(warm, served.env, "score", **parameters)
    wanted, completed = found(served), 0
    clear(served)
    for moment in calls.leaving(made, served.objects, warm, served.env, "score", **parameters):
        left = predictions.find(served.lake, MODEL, MONTH, wanted.address, 1)
        assert left is None or whole(served), moment

        with warm.run("score", served.env, **parameters) as rerun:
            end = rerun.end()

        assert end["name"] == ("Unchanged" if left else "Scored"), moment
        assert whole(served), moment
        assert found(served).data == wanted.data, moment
        completed += 1
        clear(served)
    assert completed >= 3  # after the file, before the manifest, after it


def whole(home: Home) -> bool:
    """Whether the one manifest and the one file it names are all there is, and fit each other."""
    manifest = found(home)
    predictions.read(home.lake, manifest, home.folder)
    keys = sorted(home.lake.keys("predictions/"))
    return keys == sorted([manifest.data.name, f"{manifest.data.name.rpartition('/')[0]}/manifest.json"])


def clear(home: Home) -> None:
    """Take all predictions."""
    for key in list(home.lake.keys("predictions/")):
        home.lake.delete(key)
