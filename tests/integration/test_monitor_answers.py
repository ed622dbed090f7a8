"""What an alarm of ``monitor`` leads to, once, wherever a run is killed."""

import json
from typing import Any

import polars as pl
import pytest
from mlflow import MlflowClient

from flows.ml import landing
from flows.monitor import monitor
from flows.retrain import retrain
from tests.integration import calls
from tests.integration.home import DATASET, MODEL, Home, run
from tests.integration.monitored import alarms, events, reports
from tests.integration.warm import Warm

MONTH = "2023-03"
ZONE = pl.col("PULocationID")


def test_without_a_champion_there_is_nothing_to_monitor(home: Home) -> None:
    home.land("2023-01")

    state = run(monitor, model=MODEL)

    assert (state.type.value, state.name) == ("FAILED", "Refused")
    assert "no model of trip-duration is in service" in str(state.message)


@pytest.fixture
def alarming(home: Home) -> Home:
    """A home where version 1, trained on 2023-01, is in service, and a zone is closed in 2023-03."""
    home.land("2023-01", "2023-02")
    assert run(retrain, model=MODEL).name == "Promoted"
    home.land(MONTH, rows=lambda rows: rows.filter(ZONE != 75))
    return home


def markers(home: Home) -> dict[str, Any]:
    """The retrains that answered alarms of the month, by cause."""
    keys = home.lake.keys(f"monitoring/{MODEL}/{MONTH}/")
    return {key.rpartition("/")[2]: json.loads(home.lake.get(key)) for key in keys}


def test_an_alarm_retrains_on_the_second_window_once_for_a_month_and_a_cause(alarming: Home) -> None:
    state = run(monitor, model=MODEL)
    outcome, kept = alarming.outcome(), markers(alarming)
    again = run(monitor, model=MODEL, month=MONTH)

    assert (state.type.value, state.name) == ("COMPLETED", "Alarm")
    assert "pickup zone has moved by" in str(state.message)
    assert "Retrained until 2023-03, on 2 months before it: " in str(state.message)
    assert set(outcome["versions"]) == {1, 2}
    assert list(kept) == ["drift.json"]
    assert (kept["drift.json"]["until"], kept["drift.json"]["window"], kept["drift.json"]["version"]) == (MONTH, 2, 1)
    assert kept["drift.json"]["outcome"] in str(state.message)
    assert again.name == "Alarm"
    assert "Retrained before: " in str(again.message) or outcome["champion"] == 2
    assert (alarming.outcome(), markers(alarming)) == (outcome, kept)


def test_a_monitor_killed_at_any_call_is_completed_by_the_next_one(alarming: Home, warm: Warm) -> None:
    asked: dict[str, Any] = {"model": MODEL, "month": MONTH, "and_retrain": False}
    address = landing.manifest(alarming.lake, DATASET, MONTH).address
    assert run(monitor, **asked).name == "Alarm"
    forget(alarming, address)
    made = calls.of(warm, alarming.env, "monitor", **asked)

    def left() -> Any:
        return alarming.objects(), [report.info.status for report in reports(alarming, address)], events(address)

    forget(alarming, address)
    for moment in calls.leaving(made, left, warm, alarming.env, "monitor", **asked):
        state = run(monitor, **asked)
        assert state.name == "Alarm", moment
        assert [report.info.status for report in reports(alarming, address)] == ["FINISHED"], moment
        assert len(alarms(address)) == 1, moment
        forget(alarming, address)


def forget(home: Home, address: str) -> None:
    """As if the month had not been monitored: its report is gone."""
    MlflowClient().delete_run(reports(home, address)[0].info.run_id)


def test_an_answer_killed_again_and_again_further_on_leads_to_one_retrain(alarming: Home, warm: Warm) -> None:
    with warm.run("monitor", alarming.env, model=MODEL, and_retrain=False) as scored:
        assert scored.end()["name"] == "Alarm"
    number = 0

    # A run that is killed later each time, until none is: what each one finds is what all before it left.
    while calls.kill(warm, alarming.env, calls.Moment(number := number + 11, after=True), "monitor", model=MODEL):
        assert len(alarming.outcome()["versions"]) <= 2
    again = run(monitor, model=MODEL, month=MONTH)

    assert number > 40
    assert again.name == "Alarm"
    assert set(alarming.outcome()["versions"]) == {1, 2}
    assert list(markers(alarming)) == ["drift.json"]
    assert markers(alarming)["drift.json"]["outcome"]
