"""The folds of a search, in order of time, and none too few; what it says that it found."""

from dataclasses import replace

import optuna
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


def studied(*tried: tuple[int, float, float]) -> optuna.Study:
    """A study with trials of a depth that took seconds and had an error; the first is the model as it is."""
    study = optuna.create_study()
    spread = {name: optuna.distributions.FloatDistribution(0, 100) for name in tune.SPACE}
    for depth, seconds, error in tried:
        parameters = {**dict.fromkeys(tune.SPACE, 1.0), "max_depth": depth}
        said = {"seconds": seconds, "folds": [error] * tune.FOLDS}
        study.add_trial(optuna.create_trial(params=parameters, distributions=spread, value=error, user_attrs=said))
    return study


@pytest.mark.parametrize(
    ("tried", "found"),
    [
        ([(8, 6.3, 4.352), (10, 9.3, 4.331), (9, 5.6, 4.333), (7, 5.0, 4.340)], (10, 9)),
        ([(8, 6.3, 4.352), (10, 6.3, 4.331)], (10, 10)),
        ([(8, 6.3, 4.352), (10, 6.4, 4.331)], (10, 8)),
    ],
    ids=["another", "the best", "the model as it is"],
)
def test_what_was_found_has_the_best_trial_that_is_no_slower_than_the_model(tried, found) -> None:
    as_it_is = replace(MODEL, parameters={**dict.fromkeys(tune.SPACE, 1.0), "max_depth": 8})
    took, errors = ({depth: one[at] for depth, *one in tried} for at in (0, 1))

    lines = tune.told(studied(*tried), as_it_is).splitlines()

    heads = [line.split("  (")[0].rsplit(" ", 1) for line in lines if line.endswith(" s")]
    assert [(name.strip(), float(error)) for name, error in heads] == (
        [("now", 4.352), *((name, errors[depth]) for name, depth in zip(("best", "no slower"), found, strict=True))]
    )
    assert [line for line in lines if "max_depth" in line] == [f'    "max_depth": {depth},' for depth in found]
    assert lines[-len(tune.SPACE) - 1].endswith(f"{took[found[1]]:.1f} s")
