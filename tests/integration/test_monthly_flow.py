"""``monthly``: the schedule's way from the newest month in the lake to the next verdict."""

import polars as pl
import pytest
from mlflow import MlflowClient

from flows.ml import landing, ledger, monitored, predictions, scoring
from flows.ml.lake import Conflict
from flows.monthly import monthly
from flows.promote import promote
from flows.retrain import retrain
from tests.integration.home import DATASET, MODEL, NOTHING, Home, run


def months(home: Home) -> list[str]:
    """The months in the lake."""
    return landing.months(home.lake, DATASET)


def test_no_month_means_the_one_after_the_newest_which_is_landed_and_judges(home: Home) -> None:
    home.land("2023-01")
    home.publish("2023-02")

    state = run(monthly, model=MODEL, source=home.source)

    assert (state.type.value, state.name) == ("COMPLETED", "Promoted")
    assert str(state.message).startswith("retrain until 2023-02: version 1: ")
    assert str(state.message).endswith(" Not monitored: no model was in service.")
    assert months(home) == ["2023-01", "2023-02"]
    assert home.outcome() == {"versions": {1: "promote"}, "champion": 1, "ledger": [1]}


def test_a_month_not_published_yet_ends_well_and_writes_nothing(home: Home) -> None:
    home.land("2023-01")
    before = home.objects()

    state = run(monthly, model=MODEL, source=home.source)

    assert (state.type.value, state.name) == ("COMPLETED", "Not published")
    assert state.message == f"2023-02 of green-trips is not at {home.path('2023-02')} yet; the next run looks again"
    assert home.objects() == before
    assert home.outcome() == NOTHING


def test_the_first_month_of_a_lake_is_landed_and_nothing_is_trained(home: Home) -> None:
    home.publish("2023-01")

    state = run(monthly, model=MODEL, month="2023-01", source=home.source)

    assert (state.type.value, state.name) == ("COMPLETED", "Landed")
    assert "there is none before it to train on" in str(state.message)
    assert months(home) == ["2023-01"]
    assert home.outcome() == NOTHING


def test_the_first_month_again_is_no_fault_where_later_ones_are_there(home: Home) -> None:
    home.land("2023-01", "2023-02")
    home.publish("2023-01")

    state = run(monthly, model=MODEL, month="2023-01", source=home.source)

    assert (state.type.value, state.name) == ("COMPLETED", "Landed")
    assert home.outcome() == NOTHING


def test_a_month_that_was_landed_and_not_judged_is_judged_before_the_next_one(home: Home) -> None:
    home.land("2023-01", "2023-02")
    home.publish("2023-03")

    state = run(monthly, model=MODEL, source=home.source)

    assert (state.type.value, state.name) == ("COMPLETED", "Promoted")
    assert str(state.message).startswith("retrain until 2023-02, landed before: version 1: ")
    assert months(home) == ["2023-01", "2023-02"]


def test_a_promotion_that_was_broken_off_before_the_ledger_is_made_by_the_next_run(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.land("2023-01", "2023-02")

    def fail(*_: object, **__: object) -> None:
        raise Conflict("the run is killed here")

    with monkeypatch.context() as killed:
        killed.setattr(ledger, "promote", fail)
        assert run(retrain, model=MODEL).type.value == "FAILED"
    assert home.outcome() == {"versions": {1: "promote"}, "champion": None, "ledger": []}

    state = run(monthly, model=MODEL, source=home.source)

    assert state.name == "Promoted"
    assert str(state.message).startswith("retrain until 2023-02, landed before: version 1: ")
    assert home.outcome() == {"versions": {1: "promote"}, "champion": 1, "ledger": [1]}


def test_a_month_whose_version_was_taken_out_and_deleted_does_not_keep_the_next_one_from_coming(home: Home) -> None:
    home.land("2023-01", "2023-02")
    assert run(retrain, model=MODEL).name == "Promoted"
    home.land("2023-03")
    assert run(retrain, model=MODEL).name == "Promoted"
    run(promote, model=MODEL, version="previous", operator="ada", reason="trips to the airport are 9 minutes off")
    MlflowClient().delete_model_version(MODEL, "2")

    state = run(monthly, model=MODEL, source=home.source)

    assert (state.type.value, state.name) == ("COMPLETED", "Not published")
    assert str(state.message).startswith("2023-04 of green-trips is not at ")
    assert home.outcome()["champion"] == 1


def test_an_empty_lake_asks_for_the_month_to_begin_with(home: Home) -> None:
    state = run(monthly, model=MODEL, source=home.source)

    assert state.type.value == "FAILED"
    assert "the lake holds no month of green-trips: run this once with the month to begin with" in str(state.message)
    assert home.objects() == {}


def test_a_refusal_is_the_end_of_the_whole_month(home: Home) -> None:
    home.land("2023-01")
    out_of_scope = pl.int_range(pl.len()) < 6_000
    end = pl.when(out_of_scope).then(pl.col("lpep_pickup_datetime")).otherwise(pl.col("lpep_dropoff_datetime"))
    home.publish("2023-02", home.rows("2023-02").with_columns(lpep_dropoff_datetime=end))

    state = run(monthly, model=MODEL, source=home.source)

    assert (state.type.value, state.name) == ("FAILED", "Refused")
    assert "retrain until 2023-02: version 1: 2023-02 has " in str(state.message)
    assert "rows to judge on, fewer than 6,000" in str(state.message)
    assert home.outcome() == {"versions": {1: "refuse"}, "champion": None, "ledger": []}


def test_a_month_that_breaks_the_contract_ends_the_run_before_anything_is_trained(home: Home) -> None:
    home.land("2023-01")
    before = home.objects()
    home.publish("2023-02", home.rows("2023-02").drop("trip_distance"))

    state = run(monthly, model=MODEL, source=home.source)

    assert (state.type.value, state.name) == ("FAILED", "Failed")
    assert "2023-02 was not landed: " in str(state.message)
    assert "column trip_distance is missing" in str(state.message)
    assert home.objects() == before
    assert home.outcome() == NOTHING


@pytest.fixture
def served(home: Home) -> Home:
    """A home where version 1, trained on 2023-01, is in service, and 2023-03 is published."""
    home.land("2023-01", "2023-02")
    assert run(retrain, model=MODEL).name == "Promoted"
    home.publish("2023-03")
    return home


def scored(home: Home) -> dict[int, bool]:
    """Whether the versions have predictions of 2023-03."""
    address = landing.manifest(home.lake, DATASET, "2023-03").address
    return {number: bool(predictions.find(home.lake, MODEL, "2023-03", address, number)) for number in (1, 2)}


def test_the_champion_in_service_scores_and_is_monitored_before_another_is_promoted(served: Home) -> None:
    state = run(monthly, model=MODEL, source=served.source)
    before = served.objects()
    again = run(monthly, model=MODEL, month="2023-03", source=served.source)

    message = str(state.message)
    assert state.name == "Promoted"
    assert message.startswith("retrain until 2023-03: version 2: ")
    assert "Monitored: Within limits: version 1 on 2023-03: error " in message
    assert scored(served) == {1: True, 2: False}
    assert again.name == "Unchanged"
    assert "version 2, the champion, was judged on 2023-03 when it was promoted." in str(again.message)
    assert {key for key in served.objects().items() ^ before.items() if not key[0].startswith("results/")} == set()


def test_an_alarm_is_said_and_leaves_the_retrain_to_the_month(served: Home) -> None:
    served.publish("2023-03", served.rows("2023-03").filter(pl.col("PULocationID") != 75))

    state = run(monthly, model=MODEL, source=served.source)

    assert "Monitored: Alarm: version 1 on 2023-03: pickup zone has moved by " in str(state.message)
    assert list(served.lake.keys("monitoring/")) == []
    assert set(served.outcome()["versions"]) == {1, 2}


@pytest.mark.parametrize(
    ("module", "broken", "told"),
    [
        (scoring, "score", "Not monitored, as it was not scored: Failed: "),
        (monitored, "examine", "Monitored: Failed: "),
        (monitored, "look_up", "Not monitored: "),
    ],
    ids=["score", "monitor", "look up"],
)
def test_a_fault_of_score_or_monitor_is_said_and_keeps_no_retrain_from_running(
    served: Home, monkeypatch: pytest.MonkeyPatch, module: object, broken: str, told: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise monitored.Incomplete("something is gone: put it back.")

    monkeypatch.setattr(module, broken, fail)

    state = run(monthly, model=MODEL, source=served.source)

    assert (state.type.value, state.name) == ("FAILED", "Not monitored")
    assert str(state.message).startswith("Promoted: retrain until 2023-03: version 2: ")
    assert told in str(state.message)
    assert "something is gone: put it back." in str(state.message)
