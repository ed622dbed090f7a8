"""Whatever is wrong with what a run is given: a terminal state, a sentence with the remedy, nothing left behind."""

import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.backfill import backfill, backfill_scores
from flows.ingest import ingest
from flows.monitor import monitor
from flows.monthly import monthly
from flows.promote import promote
from flows.retrain import retrain
from flows.score import score
from tests.integration.home import DATASET, MODEL, NOTHING, Home, run, sample

MONTH = "2023-02"
YELLOW = {f"lpep_{what}_datetime": f"tpep_{what}_datetime" for what in ("pickup", "dropoff")}
"""What TLC calls columns of the green taxis in the file of the yellow ones."""
INGEST: dict[str, Any] = {"dataset": DATASET, "month": MONTH}
RETRAIN: dict[str, Any] = {"model": MODEL}
OF_A_MODEL: list[tuple[Any, dict[str, Any]]] = [
    (retrain, RETRAIN),
    (monthly, RETRAIN),
    (score, {"model": MODEL, "month": MONTH}),
    (monitor, RETRAIN),
    (promote, {"model": MODEL, "version": "previous", "operator": "ada", "reason": "worse at night"}),
    (backfill_scores, RETRAIN),
]
"""The flows that work with a model's versions, and parameters of each."""


def as_file(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[Path], None]:
    """Write the month with a change."""
    return lambda path: change(sample(MONTH)).write_parquet(path)


def cut_off(path: Path) -> None:
    """Write all but the end of the month."""
    sample(MONTH).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-1_000])


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no file": (lambda path: None, r"2023-02: there is no file .*\. Check the path, or wait for the month"),
    "cut off": (cut_off, r"the Parquet file is cut off\. Fetch it again"),
    "empty": (lambda path: path.touch(), r"the file is empty \(0 bytes\)\. Check the source"),
    "no Parquet": (lambda path: path.write_text("<html>no such page</html>"), r"not a Parquet file .*Check the addr"),
    "no rows": (as_file(lambda rows: rows.clear()), r"the file of green-trips has no rows\. Check the source"),
    "another month": (
        lambda path: sample("2023-01").write_parquet(path),
        r"2023-02: 11,\d{3} of 11,\d{3} rows are of 2023-01: is this the file of another month\?",
    ),
    "another dataset": (
        as_file(lambda rows: rows.rename(YELLOW).drop("trip_type", "ehail_fee")),
        r"2023-02: not a file of green taxi trips: column lpep_pickup_datetime is missing; column lpep_dropoff_.*Check",
    ),
    "a column less": (
        as_file(lambda rows: rows.drop("PULocationID")),
        r"column PULocationID is missing\. Check the source; if it changed for good, change flows/datasets/green",
    ),
    "a column retyped": (
        as_file(lambda rows: rows.with_columns(pl.col("trip_distance").cast(pl.String))),
        r"column trip_distance is String, expected a number\. Check the source",
    ),
    "all rows broken": (
        as_file(lambda rows: rows.with_columns(trip_distance=pl.lit(-1.0))),
        r"all 1\d,\d{3} rows break the contract of green-trips \(.*distance negative: .*Check the source",
    ),
    "too many broken": (
        as_file(lambda rows: pl.concat([rows.head(500).with_columns(trip_distance=-1.0), rows.slice(500)])),
        r"of 1\d,\d{3} rows \(.*%, limit 1\.00%\) break the contract of green-trips \(distance negative: .*Check the s",
    ),
}


@pytest.mark.parametrize("fault", FILES)
def test_a_file_that_is_no_valid_month_is_refused_by_name(home: Home, fault: str) -> None:
    write, sentence = FILES[fault]
    write(home.path(MONTH))

    state = run(ingest, **INGEST, source=home.source)

    assert_refused(home, state, sentence)


@pytest.mark.parametrize("month", ["2023-13", "february", ""])
def test_a_text_that_is_no_month_is_refused_by_name(home: Home, month: str) -> None:
    state = run(ingest, dataset=DATASET, month=month, source=home.source)

    assert_refused(home, state, "month")


@pytest.mark.parametrize("flow", [retrain, monthly])
def test_an_unknown_model_is_refused_with_the_ones_there_are(home: Home, flow: Any) -> None:
    state = run(flow, model="trip-tip")

    assert_refused(home, state, "model.*'trip-duration'")


def test_a_window_longer_than_the_lake_holds_is_refused_with_the_months_it_lacks(home: Home) -> None:
    home.land("2023-01", "2023-02")
    before = home.objects()

    state = run(retrain, **RETRAIN, window=3)

    assert_refused(home, state, r"lake does not hold 2022-11, 2022-12, .*Ingest them, or ask for a smaller", before)


def test_a_month_to_judge_by_that_the_lake_lacks_is_refused(home: Home) -> None:
    home.land("2023-01", "2023-02")
    before = home.objects()

    state = run(retrain, **RETRAIN, until="2023-03", window=1)

    assert_refused(home, state, r"does not hold 2023-03", before)


def test_an_empty_lake_is_refused(home: Home) -> None:
    assert_refused(home, run(retrain, **RETRAIN), "lake holds no month yet: ingest at least two")


@pytest.mark.parametrize(("flow", "parameters"), [(ingest, INGEST), (retrain, RETRAIN)])
def test_wrong_credentials_are_refused_by_name_and_stay_secret(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flow: Any, parameters: dict[str, Any]
) -> None:
    keys = "[default]\naws_access_key_id = someone\naws_secret_access_key = a-secret-no-one-may-read\n"
    (tmp_path / "credentials").write_text(keys)
    with monkeypatch.context() as wrong:
        wrong.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        state = run(flow, **parameters)

    assert_refused(home, state, "S3 refuses the credentials .*Check the access key")
    assert "a-secret-no-one-may-read" not in str(state.message)


@pytest.mark.parametrize(("flow", "parameters"), [(ingest, INGEST), (retrain, RETRAIN)])
def test_a_bucket_that_does_not_exist_is_named(
    home: Home, monkeypatch: pytest.MonkeyPatch, flow: Any, parameters: dict[str, Any]
) -> None:
    with monkeypatch.context() as wrong:
        wrong.setenv("TRAINYARD_LAKE_BUCKET", "nowhere")
        state = run(flow, **parameters)

    assert_refused(home, state, "there is no bucket 'nowhere'. Create it")


@pytest.mark.parametrize(("flow", "parameters"), [(ingest, INGEST), *OF_A_MODEL, (backfill, {"dataset": DATASET})])
def test_an_s3_that_does_not_answer_is_named_within_fifteen_seconds(
    home: Home, monkeypatch: pytest.MonkeyPatch, closed: str, flow: Any, parameters: dict[str, Any]
) -> None:
    began = time.monotonic()
    with monkeypatch.context() as wrong:
        wrong.setenv("AWS_ENDPOINT_URL", closed)
        state = run(flow, **parameters)

    assert time.monotonic() - began < 15
    assert_refused(home, state, f"{closed}: no answer .*Check that S3 runs, and AWS_ENDPOINT_URL")


@pytest.mark.parametrize(("flow", "parameters"), OF_A_MODEL)
def test_an_mlflow_that_does_not_answer_is_named_within_fifteen_seconds(
    home: Home, monkeypatch: pytest.MonkeyPatch, closed: str, flow: Any, parameters: dict[str, Any]
) -> None:
    home.land("2023-01", "2023-02")
    before, began = home.objects(), time.monotonic()
    with monkeypatch.context() as wrong:
        wrong.setenv("MLFLOW_TRACKING_URI", closed)
        state = run(flow, **parameters)

    assert time.monotonic() - began < 15
    assert_refused(home, state, f"MLflow at {closed} does not answer .*Start it, or set MLFLOW_TRACKING_URI", before)


@pytest.mark.parametrize(("flow", "parameters"), [(ingest, INGEST), *OF_A_MODEL])
def test_malformed_settings_are_all_named_at_once(
    home: Home, monkeypatch: pytest.MonkeyPatch, flow: Any, parameters: dict[str, Any]
) -> None:
    wrong = {
        "TRAINYARD_LAKE_BUCKET": "b",
        "TRAINYARD_THREADS": "many",
        "MLFLOW_TRACKING_URI": "nonsense",
        "TRAINYARD_LAKE_BUKET": "trainyard",
    }
    with monkeypatch.context() as patch:
        for name, value in wrong.items():
            patch.setenv(name, value)
        state = run(flow, **parameters)

    assert_refused(home, state, "the environment holds 4 wrong settings")
    assert all(name in str(state.message) for name in wrong)


@pytest.fixture
def closed() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def assert_refused(home: Home, state: Any, sentence: str, objects: dict[str, str] | None = None) -> None:
    """The run failed with the sentence; there is no object but those given, no version, no alias."""
    assert state.type.value == "FAILED"
    assert re.search(sentence, str(state.message), re.DOTALL), state.message
    assert home.objects() == (objects or {})
    assert home.outcome() == NOTHING
