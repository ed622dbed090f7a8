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

    with pytest.raises(tune.NotSearched, match="1 days are too few for 3 folds: land more months"):
        tune.folds(days, MODEL)


def test_a_model_that_does_not_say_what_it_has_is_an_error(tmp_path) -> None:
    with pytest.raises(tune.NotSearched, match=r"trip-duration names no .*max_depth.* in its parameters: write what"):
        tune.load(replace(MODEL, parameters={"eta": 0.1}), [], tmp_path / "study.db")
