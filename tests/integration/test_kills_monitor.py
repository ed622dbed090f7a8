"""A ``monitor`` killed at its calls: one report, one alarm, and one retrain that answers it."""

from typing import Any

from mlflow import MlflowClient

from flows.ml import landing
from flows.monitor import monitor
from tests.integration import calls
from tests.integration.home import DATASET, MODEL, Home, run
from tests.integration.monitored import MONTH, alarms, events, markers, reports
from tests.integration.warm import Warm

pytestmark = calls.timeout()


def test_a_monitor_killed_at_any_call_is_completed_by_the_next_one(alarming: Home, warm: Warm) -> None:
    asked: dict[str, Any] = {"model": MODEL, "month": MONTH, "and_retrain": False}
    address = landing.manifest(alarming.lake, DATASET, MONTH).address
    assert run(monitor, **asked).name == "Alarm"
    forget(alarming, address)
    made = calls.of(warm, alarming.env, "monitor", **asked)

    def left() -> Any:
        return alarming.objects(), [report.info.status for report in reports(alarming, address)], events(address)

    forget(alarming, address)
    completed = 0
    for moment in calls.leaving(made, left, warm, alarming.env, "monitor", **asked):
        state = run(monitor, **asked)
        assert state.name == "Alarm", moment
        assert [report.info.status for report in reports(alarming, address)] == ["FINISHED"], moment
        assert len(alarms(address)) == 1, moment
        completed += 1
        forget(alarming, address)
    assert completed >= 2  # once the report is begun, and once it is whole


def forget(home: Home, address: str) -> None:
    """As if the month had not been monitored: its report is gone."""
    MlflowClient().delete_run(reports(home, address)[0].info.run_id)


def test_an_answer_killed_again_and_again_further_on_leads_to_one_retrain(alarming: Home, warm: Warm) -> None:
    with warm.run("monitor", alarming.env, model=MODEL, and_retrain=False) as scored:
        assert scored.end()["name"] == "Alarm"
    number, step = 0, 1 if calls.every_one() else 11

    # A run that is killed later each time, until none is: what each one finds is what all before it left.
    while calls.kill(warm, alarming.env, calls.Moment(number := number + step, after=True), "monitor", model=MODEL):
        assert len(alarming.outcome()["versions"]) <= 2
    again = run(monitor, model=MODEL, month=MONTH)

    assert number > 40
    assert again.name == "Alarm"
    assert set(alarming.outcome()["versions"]) == {1, 2}
    assert list(markers(alarming)) == ["drift.json"]
    assert markers(alarming)["drift.json"]["outcome"]
