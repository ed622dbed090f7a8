"""What ``monitor`` says of real months and of months made to drift, by one champion that all these tests share."""

import json
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
from mlflow import MlflowClient
from prefect.client.orchestration import SyncPrefectClient

from flows.ml import judging, landing, predictions
from flows.monitor import monitor
from flows.retrain import retrain
from tests.integration import home as homes
from tests.integration.home import DATASET, MODEL, Home, artifacts, run
from tests.integration.monitored import alarms, events, reports
from tests.integration.servers import ROOT

MONTH = "2023-03"
PICKUP, DROPOFF, ZONE = pl.col("lpep_pickup_datetime"), pl.col("lpep_dropoff_datetime"), pl.col("PULocationID")


def whole(home: Home, month: str) -> pl.DataFrame:
    """A month as TLC published it, but for what tells this home's from another's."""
    return home.marked(pl.read_parquet(ROOT / f"examples/tlc/green_tripdata_{month}.parquet"))


@pytest.fixture(scope="module")
def served(platform: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home where version 1, trained on the whole 2023-01 and judged on 2023-02, is in service."""
    with homes.home(platform, tmp_path_factory.mktemp("served")) as home:
        for month in ("2023-01", "2023-02"):
            home.land(month, rows=lambda _, month=month: whole(home, month))  # type: ignore[misc]
        assert run(retrain, model=MODEL).name == "Promoted"
        yield home


def land(home: Home, *changes: pl.Expr, only: pl.Expr | None = None) -> str:
    """Land the month anew with something changed in it; gives its address."""
    rows = whole(home, MONTH).filter(pl.lit(True) if only is None else only).with_columns(*changes)
    home.land(MONTH, rows=lambda _: rows)
    return landing.manifest(home.lake, DATASET, MONTH).address


def test_a_real_month_is_within_the_limits_and_its_report_is_where_an_operator_looks(served: Home) -> None:
    address = land(served)

    state = run(monitor, model=MODEL)

    assert (state.type.value, state.name) == ("COMPLETED", "Within limits")
    assert str(state.message).startswith("version 1 on 2023-03: error 0.63")
    assert predictions.find(served.lake, MODEL, MONTH, address, 1)
    assert events(address) == []
    shown = artifacts(state)
    [report] = reports(served, address)
    card = str(shown[f"monitor-{MODEL}"].data)
    assert f"/runs/{report.info.run_id}" in card
    assert "| **all rows** | 69," in card
    assert str(shown[f"monitored-{MODEL}"].data).startswith("data:image/png;base64,")
    assert (report.info.status, report.data.tags["outcome"]) == ("FINISHED", "Within limits")
    assert report.data.tags["mlflow.parentRunId"] == served.registry.version(MODEL, 1).run_id
    assert 0.9 < report.data.metrics["growth"] < 1.1
    kept = {file.path for file in MlflowClient().list_artifacts(report.info.run_id, "report")}
    assert kept == {"report/monitoring.md", "report/monitoring.png"}


@pytest.mark.parametrize(
    ("changes", "only", "causes", "told"),
    [
        (
            [pl.col("trip_distance") * 1.609344],
            None,
            ["error", "drift"],
            ["the error of all rows is 0.9", "distance has moved by 0.2"],
        ),
        ([], ZONE != 41, ["drift"], ["pickup zone has moved by 0.17", ": 41 from 6.0% to 0.0% of the rows"]),
        (
            [PICKUP + pl.duration(hours=1), DROPOFF + pl.duration(hours=1)],
            None,
            ["drift"],
            ["hour of pickup has moved by 0.1", ": 7 from 3.9% to 1.5% of the rows"],
        ),
        ([DROPOFF + (DROPOFF - PICKUP) * 0.3], None, ["error"], ["the error of all rows is 0.7", "1.1"]),
        (
            [
                pl.when(pl.int_range(pl.len()) % 10 == 0)
                .then(0)
                .otherwise(pl.col("trip_distance"))
                .alias("trip_distance")
            ],
            None,
            ["missing"],
            ["of the rows have no distance, 4.91% at training (limit 2.00% more)"],
        ),
        (
            [pl.when(pl.int_range(pl.len()) % 150 == 0).then(199).otherwise(ZONE).alias("PULocationID")],
            None,
            ["unseen"],
            ["% of the rows have a pickup zone that training never saw (limit 0.50%)"],
        ),
    ],
    ids=["kilometres", "a closed zone", "clocks an hour off", "slower traffic", "no distances", "a new zone"],
)
def test_a_month_made_to_drift_alarms_with_its_cause(
    served: Home, changes: list[pl.Expr], only: pl.Expr | None, causes: list[str], told: list[str]
) -> None:
    address = land(served, *changes, only=only)

    state = run(monitor, model=MODEL, month=MONTH, and_retrain=False)

    [event], [report] = alarms(address), reports(served, address)
    assert (state.type.value, state.name) == ("COMPLETED", "Alarm")
    for text in told:
        assert text in str(state.message)
    assert event["payload"]["causes"] == causes
    told_of = event["payload"]
    assert (told_of["model"], told_of["version"], told_of["month"], told_of["address"]) == (MODEL, 1, MONTH, address)
    assert told_of["alarms"]
    assert all(text in str(state.message) for text in told_of["alarms"])
    assert told_of["figures"] == pytest.approx(report.data.metrics)
    assert told_of["report"].endswith(f"/runs/{report.info.run_id}")
    assert f"prefect.flow-run.{state.state_details.flow_run_id}" in str(event["related"])
    assert (report.data.tags["outcome"], report.data.tags["causes"]) == ("Alarm", ", ".join(causes))
    assert served.outcome() == {"versions": {1: "promote"}, "champion": 1, "ledger": [1]}


def test_an_alarm_run_again_makes_no_second_report_and_is_not_told_of_again(
    served: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told of an event it wrote before, Prefect would let automations act on it once more."""
    told, request = [], SyncPrefectClient.request

    def telling(self: SyncPrefectClient, method: Any, path: Any, **options: Any) -> Any:
        told.extend(options["json"] if path == "/events" else ())
        return request(self, method, path, **options)

    monkeypatch.setattr(SyncPrefectClient, "request", telling)
    address = land(served, only=ZONE != 166)
    first = run(monitor, model=MODEL, month=MONTH, and_retrain=False)
    assert len(alarms(address)) == 1

    again = run(monitor, model=MODEL, month=MONTH, and_retrain=False)

    assert (again.name, again.message) == ("Alarm", first.message)
    assert len(reports(served, address)) == len(alarms(address)) == len(told) == 1


@pytest.mark.parametrize(
    ("month", "told"),
    [
        ("2023-01", "version 1, the champion, was trained on 2023-01"),
        ("2022-07", "the lake has no 2022-07 of green-trips (it has: 2023-01, 2023-02, 2023-03): ingest it first."),
    ],
)
def test_a_month_that_cannot_be_monitored_is_refused_with_the_reason(served: Home, month: str, told: str) -> None:
    land(served)
    before = served.objects()

    state = run(monitor, model=MODEL, month=month)

    assert (state.type.value, state.name) == ("FAILED", "Refused")
    assert told in str(state.message)
    assert served.objects() == before


def test_a_champion_that_mlflow_has_lost_is_told(served: Home) -> None:
    key = max(served.lake.keys(f"ledger/{MODEL}/"))
    entry = served.lake.get(key)
    served.lake.delete(key)
    served.lake.put_new(key, json.dumps({**json.loads(entry), "version": 70}).encode())

    state = run(monitor, model=MODEL, month=MONTH)

    served.lake.delete(key)
    served.lake.put_new(key, entry)
    assert (state.type.value, state.name) == ("FAILED", "Refused")
    assert "70" in str(state.message)


def test_a_champion_of_which_the_ledger_knows_nothing_is_told(served: Home) -> None:
    entries = {key: served.lake.get(key) for key in served.lake.keys(f"ledger/{MODEL}/")}
    for key in entries:
        served.lake.delete(key)

    state = run(monitor, model=MODEL, month=MONTH)

    for key, entry in entries.items():
        served.lake.put_new(key, entry)
    assert (state.type.value, state.name) == ("FAILED", "Refused")
    assert f"ledger/{MODEL}/ is empty" in str(state.message)


def test_without_what_was_kept_at_promotion_the_ratio_on_record_is_what_all_rows_are_held_against(served: Home) -> None:
    address = land(served, pl.col("trip_distance") * 1.609344, only=ZONE != 7)
    decision = served.registry.version(MODEL, 1).tags["decision"]
    key = f"decisions/{MODEL}/{decision}/errors.json"
    kept = served.lake.get(key)
    served.lake.delete(key)
    assert judging.errors(served.lake, MODEL, decision) is None

    state = run(monitor, model=MODEL, month=MONTH, and_retrain=False)

    served.lake.put_new(key, kept)
    assert alarms(address)[0]["payload"]["causes"] == ["error", "drift"]
    assert "and was 0.63" in str(state.message)
    assert "the error of zone group" not in str(state.message)


def test_predictions_that_are_gone_are_made_again(served: Home) -> None:
    address = land(served, only=ZONE != 95)
    run(monitor, model=MODEL, month=MONTH, and_retrain=False)
    found = predictions.find(served.lake, MODEL, MONTH, address, 1)
    assert found
    served.lake.delete(found.data.name)

    state = run(monitor, model=MODEL, month=MONTH, and_retrain=False)

    assert state.name == "Alarm"
    assert predictions.is_whole(served.lake, found)


def test_a_lost_baseline_ends_the_run_with_the_remedy(served: Home) -> None:
    land(served)
    [key] = [key for key in served.lake.keys(f"candidates/{MODEL}/") if key.endswith("-baseline.json")]
    kept = served.lake.get(key)
    served.lake.delete(key)

    state = run(monitor, model=MODEL, month=MONTH)

    served.lake.put_new(key, kept)
    assert (state.type.value, state.name) == ("FAILED", "Failed")
    assert "the naive baseline of version 1 is gone from s3://" in str(state.message)
    assert "restore it, or retrain" in str(state.message)
