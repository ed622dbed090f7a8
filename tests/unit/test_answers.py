"""Retrains that answer an alarm: one for a month and a cause, completed by whoever finds one begun."""

import pytest

from flows.ml import answers
from flows.ml.answers import Answer
from flows.ml.snapshot import WindowError
from flows.models.trip_duration import MODEL
from tests.unit.memory_lake import Crash, MemoryLake


def lake(*months: str, fail_at: int = 0) -> MemoryLake:
    """A lake that holds months of the model's dataset."""
    return MemoryLake({f"raw/green-trips/{month}/manifest.json": b"{}" for month in months}, fail_at=fail_at)


MONTHS = ("2023-01", "2023-02", "2023-03", "2023-04", "2023-05")


def decide(found: MemoryLake, *causes: str) -> list[Answer]:
    return answers.decide(found, MODEL, "2023-03", 4, causes)  # type: ignore[arg-type]


def test_an_alarm_is_answered_until_the_newest_month_on_the_second_window() -> None:
    [answer] = decide(lake(*MONTHS), "drift")

    assert (answer.until, answer.window, answer.outcome) == ("2023-05", MODEL.limits.second_window, "")
    assert (answer.month, answer.cause, answer.version) == ("2023-03", "drift", 4)


def test_months_before_a_gap_are_not_asked_for() -> None:
    [answer] = decide(lake("2023-01", "2023-03", "2023-04", "2023-05"), "drift")

    assert answer.window == 2


def test_nothing_is_decided_where_no_month_is_there_to_train_on() -> None:
    found = lake("2023-03")

    with pytest.raises(WindowError, match="does not hold 2023-02"):
        decide(found, "drift")

    assert found.keys("monitoring/") == []


def test_a_decision_stays_what_it_was_when_newer_months_come() -> None:
    found = lake(*MONTHS)
    first = decide(found, "drift")
    found.objects["raw/green-trips/2023-06/manifest.json"] = b"{}"

    assert decide(found, "drift") == first
    assert [one.until for one in decide(found, "drift", "error")] == ["2023-05", "2023-06"]


def test_how_a_retrain_ended_is_written_down_once() -> None:
    found = lake(*MONTHS)
    [answer] = decide(found, "drift")

    answers.end(found, answer, "Promoted: version 5")  # type: ignore[arg-type]
    answers.end(found, answer, "Kept: version 6")  # type: ignore[arg-type]

    assert [one.outcome for one in decide(found, "drift")] == ["Promoted: version 5"]


@pytest.mark.parametrize("write", [1, 2, 3, 4])
def test_a_crash_at_any_write_is_completed_by_the_next_run(write: int) -> None:
    found = lake(*MONTHS, fail_at=write)

    def once() -> None:
        for answer in decide(found, "drift", "error"):
            answers.end(found, answer, "Kept")  # type: ignore[arg-type]

    with pytest.raises(Crash):
        once()
    once()

    assert [one.outcome for one in decide(found, "drift", "error")] == ["Kept", "Kept"]
    assert len(found.keys("monitoring/")) == 2
