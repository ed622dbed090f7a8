"""What ``score`` writes, how it ends, and what it leaves where something is wrong."""

import re
from pathlib import Path
from typing import Any

import boto3
import mlflow.pyfunc
import numpy as np
import polars as pl
import pytest
from mlflow import MlflowClient

from flows.ml import landing, ledger, predictions
from flows.ml.predictions import Predictions
from flows.ml.training import as_pandas, raw_rows
from flows.models.trip_duration import MODEL as DEFINITION
from flows.retrain import retrain
from flows.score import score
from tests.integration.home import DATASET, GIT_SHA, MODEL, Home, artifacts, run

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
