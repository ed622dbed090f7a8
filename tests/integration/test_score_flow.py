"""What ``score`` writes, how it ends, and what it leaves where something is wrong."""

from dataclasses import replace

import mlflow.pyfunc
import numpy as np
import polars as pl
import pytest

from flows.datasets import green_trips
from flows.ml import landing, ledger, predictions
from flows.ml.training import as_pandas, raw_rows
from flows.models.trip_duration import MODEL as DEFINITION
from flows.score import score
from tests.integration.home import DATASET, GIT_SHA, MODEL, Home, artifacts, run
from tests.integration.scored import MONTH, found, whole
from tests.integration.warm import Warm


def month(home: Home) -> tuple[str, pl.DataFrame]:
    """The address of the month and its rows."""
    found = landing.manifest(home.lake, DATASET, MONTH)
    return found.address, pl.read_parquet(landing.fetch(home.lake, found, home.folder))


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
    assert f"\n{served.lake.uri(found(served).data.name)}\n" in card
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


def test_predictions_whose_file_is_lost_are_written_again(served: Home) -> None:
    run(score, model=MODEL, month=MONTH)
    first = found(served)
    served.lake.delete(first.data.name)

    state = run(score, model=MODEL, month=MONTH)

    assert state.name == "Scored"
    assert predictions.is_whole(served.lake, found(served))
    assert found(served).data == first.data


def lack(home: Home, rows: int) -> None:
    """Land the month with rows that have no distance, as a dataset whose contract lets that pass would."""
    schema = green_trips.SCHEMA.update_column("distance", nullable=True)
    with pytest.MonkeyPatch.context() as lenient:
        lenient.setattr(green_trips, "DATASET", replace(green_trips.DATASET, schema=schema))
        first = pl.int_range(pl.len()) < rows
        home.land(MONTH, rows=lambda month: month.with_columns(trip_distance=pl.when(~first).then("trip_distance")))


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
