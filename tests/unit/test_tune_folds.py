"""The folds of a search: in order of time, and none too few."""

from dataclasses import replace

import polars as pl
import pytest

from ops import tune
from tests.unit.strategies import small_model, trips

MODEL = small_model()


def test_every_day_that_judges_comes_after_all_days_that_are_trained_on() -> None:
    rows = trips(1, 3_000)

    found = tune.folds(rows, MODEL)

    day = pl.col("pickup_at").dt.date()
    assert len(found) == tune.FOLDS
    for train, judge in found:
        assert train.height
        assert judge.height
        assert train.select(day.max()).item() < judge.select(day.min()).item()
    assert pl.concat([found[0][0], *(judge for _, judge in found)]).height == rows.height


def test_too_few_days_are_an_error_that_says_what_to_do() -> None:
    rows = trips(1, 3_000)
    days = rows.filter(pl.col("pickup_at").dt.date() == rows["pickup_at"].dt.date().min())

    with pytest.raises(tune.NotSearched, match="3 folds need more days than 1: land more months"):
        tune.folds(days, MODEL)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"eta": 0.1}, "trip-duration lacks colsample_bytree, max_depth, .*: add them to its parameters"),
        ({**dict.fromkeys(tune.SPACE, 1), "reg_lambda": 0}, "reg_lambda of trip-duration must be above 0"),
    ],
)
def test_a_model_that_cannot_be_searched_around_is_an_error(tmp_path, parameters, said) -> None:
    with pytest.raises(tune.NotSearched, match=said):
        tune.load(replace(MODEL, parameters=parameters), [], tmp_path / "study.db")


def test_a_second_search_at_once_is_refused_and_one_afterwards_is_not(tmp_path) -> None:
    refused = pytest.raises(tune.NotSearched, match="another search goes on here")
    with tune.alone(tmp_path / "lock"), refused, tune.alone(tmp_path / "lock"):
        pass
    with tune.alone(tmp_path / "lock"):
        pass
