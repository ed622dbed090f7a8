"""What an alarm of ``monitor`` leads to, once; killed on the way: ``test_kills_monitor.py``."""

from flows.monitor import monitor
from flows.promote import promote
from flows.retrain import retrain
from tests.integration.home import MODEL, Home, run
from tests.integration.monitored import MONTH, markers


def test_without_a_champion_there_is_nothing_to_monitor(home: Home) -> None:
    home.land("2023-01")

    state = run(monitor, model=MODEL)

    assert (state.type.value, state.name) == ("FAILED", "Refused")
    assert "no model of trip-duration is in service" in str(state.message)


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


def test_an_alarm_is_answered_by_a_training_that_an_operator_took_out_of_service(alarming: Home) -> None:
    assert run(retrain, model=MODEL, until=MONTH, window=2).name == "Promoted"
    assert run(promote, model=MODEL, version="previous", operator="ada", reason="wrong at night").name == "Promoted"
    before = alarming.outcome()

    state, again = (run(monitor, model=MODEL, month=MONTH) for _ in range(2))

    assert (state.type.value, state.name) == ("COMPLETED", "Alarm")
    assert "Barred: version 2 is this very training and was taken out of service on " in str(state.message)
    assert "by ada (wrong at night)" in str(state.message)
    assert "Retrained before: Barred: " in str(again.message)
    assert alarming.outcome() == before
