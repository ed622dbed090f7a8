"""The second model of the dataset: what it promises on the public months, and that it lives beside the first."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from flows import datasets
from flows.ml.training import Predictor, in_scope, targets, train
from flows.models.trip_fare import MODEL as FARE
from flows.monitor import monitor
from flows.monthly import monthly
from flows.promote import promote
from flows.retrain import retrain
from ops.trial import valid_rows
from tests.integration.home import MODEL, Home, run
from tests.integration.servers import ROOT


def month(name: str) -> pl.DataFrame:
    """A public month as an ingest lands it."""
    path = Path(ROOT, "examples", "tlc", f"green_tripdata_{name}.parquet")
    return valid_rows(path, datasets.load(FARE.dataset), name)


@pytest.mark.parametrize(
    ("months", "judged", "limit"), [(["2023-01"], "2023-02", 4.95), (["2023-01", "2023-02"], "2023-03", 4.80)]
)
def test_the_error_on_the_next_month_is_within_the_promise(months: list[str], judged: str, limit: float) -> None:
    trained = train(pl.concat(map(month, months)), FARE, threads=1)
    rows = in_scope(month(judged), FARE)

    predicted = Predictor(trained.booster, trained.encoder, trained.code, 1).predict(rows)

    assert np.sqrt(np.mean((predicted - targets(rows, FARE) / 100) ** 2)) <= limit


@pytest.mark.parametrize(
    ("fare", "cents"),
    [(2.49, []), (2.5, [250]), (12.1, [1210]), (100.0, [10_000]), (100.01, []), (-3.0, [])]
    + [(odd, []) for odd in (None, float("nan"), float("inf"))],
)
def test_the_scope_is_what_a_meter_shows_and_the_target_is_in_cents(fare: float | None, cents: list[int]) -> None:
    rows = in_scope(pl.DataFrame({"fare": pl.Series([fare], dtype=pl.Float64)}), FARE)

    assert targets(rows, FARE).tolist() == cents


def test_the_second_model_takes_the_month_the_first_has_landed_and_has_a_champion_of_its_own(home: Home) -> None:
    home.land("2023-01")
    home.publish("2023-02")
    assert run(monthly, model=MODEL, source=home.source).name == "Promoted"
    first, landed = home.outcome(), {key: etag for key, etag in home.objects().items() if key.startswith("raw/")}

    state = run(monthly, model=FARE.name, source=home.source)

    assert (state.type.value, state.name) == ("COMPLETED", "Promoted")
    assert str(state.message).startswith("retrain until 2023-02, landed before: version 1: ")
    assert "dollars on" in str(state.message)
    assert home.outcome(FARE.name) == {"versions": {1: "promote"}, "champion": 1, "ledger": [1]}
    assert home.outcome() == first
    assert {key: etag for key, etag in home.objects().items() if key.startswith("raw/")} == landed


def test_the_second_model_is_monitored_and_rolled_back_without_the_first(home: Home) -> None:
    home.land("2023-01", "2023-02", "2023-03")
    for model in (MODEL, FARE.name):
        assert run(retrain, model=model, until="2023-02").name == "Promoted"
    assert run(retrain, model=FARE.name, until="2023-03").name == "Promoted"
    first, by_hand = home.outcome(), {"operator": "ada", "reason": "fares from the airport are off"}

    back = run(promote, model=FARE.name, version="previous", **by_hand)
    watched = run(monitor, model=FARE.name, month="2023-03", and_retrain=False)

    assert back.name == "Promoted"
    assert (watched.type.value, watched.name) == ("COMPLETED", "Within limits")
    assert home.outcome(FARE.name)["ledger"] == [1, 2, 1]
    assert home.outcome() == first == {"versions": {1: "promote"}, "champion": 1, "ledger": [1]}
