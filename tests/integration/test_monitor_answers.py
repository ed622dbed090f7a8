"""What an alarm of ``monitor`` leads to, once; killed on the way: ``test_kills_monitor.py``."""

import json

import pytest

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


@pytest.mark.parametrize(
    ("alarming", "causes", "told"),
    [
        ("a closed zone", ["drift"], "pickup zone has moved by"),
        ("kilometres", ["drift", "error"], "distance has moved by"),
        ("clocks an hour off", ["drift"], "hour of pickup has moved by"),
    ],
    indirect=["alarming"],
)
def test_an_alarm_registers_a_version_of_the_second_window_once_for_a_month_and_a_cause(
    alarming: Home, causes: list[str], told: str
) -> None:
    state = run(monitor, model=MODEL)
    outcome, kept = alarming.outcome(), markers(alarming)
    again = run(monitor, model=MODEL, month=MONTH)

    snapshot = json.loads(alarming.registry.version(MODEL, 2).tags["snapshot"])
    assert (state.type.value, state.name) == ("COMPLETED", "Alarm")
    assert told in str(state.message)
    assert outcome == {"versions": {1: "promote", 2: "promote"}, "champion": 2, "ledger": [1, 2]}
    assert [part["month"] for part in snapshot["train"]] == ["2023-01", "2023-02"]
    assert snapshot["judge"]["month"] == MONTH
    assert sorted(kept) == [f"{cause}.json" for cause in causes]
    for answer in kept.values():
        assert (answer["until"], answer["window"], answer["version"]) == (MONTH, 2, 1)
        assert str(state.message).endswith(f"Retrained until {MONTH}, on 2 months before it: {answer['outcome']}")
    assert again.name == "Alarm"
    assert str(again.message).startswith(f"version 2 on {MONTH}: ")
    assert str(again.message).endswith(f"Retrained before: {kept['drift.json']['outcome']}")
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
