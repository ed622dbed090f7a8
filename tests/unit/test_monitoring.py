"""When a month under the champion is an alarm: errors by interval, drift, what is missing."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.ml import monitoring, monitoring_report
from flows.ml.comparison import Tally, compare, tally
from flows.ml.definition import Model
from flows.ml.drift import Drift, Moved
from flows.ml.monitoring import Completeness, Findings, Promotion
from flows.ml.training import targets
from tests.unit.strategies import small_model, trips

WHOLE = Completeness(0.001, 0.001, 0.0)


def counted(model: Model, error: float, seed: int = 1, rows: int = 3_000, naive: float = 8.0) -> Tally:
    """The errors of a month of trips that a model misses by ``error`` minutes on the average, and a baseline by
    ``naive``."""
    month, random = trips(seed, rows), np.random.default_rng(seed)
    target = targets(month, model)
    actual = target / model.target_unit
    misses = random.normal(0, 1, (2, rows))
    return tally(model, month, target, actual + naive * misses[0], actual + error * misses[1])


def found(
    now: Tally | None,
    promotion: Promotion,
    *drifts: Drift,
    completeness: Completeness = WHOLE,
    model: Model | None = None,
) -> Findings:
    return monitoring.findings(model or small_model(), now, promotion, drifts, completeness)


def moved(distance: float = 0.0, unseen: float = 0.0, missing: float = 0.0) -> Drift:
    return Drift("zone", distance, 0.08, 20, (Moved("74", 0.19, 0.0),), unseen, missing, missing_before=0.01)


def test_a_tally_has_the_errors_that_a_comparison_has_and_comes_back_from_its_json() -> None:
    model, month = small_model(), trips(3, 500)
    target = targets(month, model)
    naive, predicted = np.full(500, 10.0), np.linspace(5, 20, 500)

    kept = tally(model, month, target, naive, predicted)
    compared = compare(model, month, target, naive, predicted, None)

    again = Tally.from_json(kept.to_json())
    assert again.parts == kept.parts == tuple((one.slice, one.part) for one in (compared.overall, *compared.parts))
    assert all(np.array_equal(getattr(again, name), getattr(kept, name)) for name in ("rows", "naive", "model"))
    assert [int(rows) for rows in kept.rows.sum(axis=0)] == [one.rows for one in (compared.overall, *compared.parts)]
    assert np.sqrt(kept.model[:, 0].sum() / kept.rows[:, 0].sum() / 1e6) == compared.overall.candidate


@settings(max_examples=8)
@given(st.floats(2, 6), st.floats(0.2, 5.0), st.integers(1, 50))
def test_a_harder_month_is_no_alarm_where_the_baseline_errs_as_much_more(
    error: float, harder: float, seed: int
) -> None:
    model = small_model()
    before = counted(model, error, seed)
    now = counted(model, error * harder, seed, naive=8.0 * harder)

    [overall, *_] = monitoring.part_errors(model, now, Promotion(before, None))

    assert overall.growth.value == pytest.approx(1.0, abs=1e-3)
    assert overall.growth.low <= 1.0 <= overall.growth.high
    assert found(now, Promotion(before, None)).alarms == ()


def test_an_error_that_has_grown_beyond_the_limit_by_its_whole_interval_alarms_and_says_how_far() -> None:
    model = small_model()
    before, now = counted(model, 4.0), counted(model, 6.0, seed=2)

    got = found(now, Promotion(before, None))

    assert got.causes == ("error",)
    assert got.alarms[0].text.startswith("the error of all rows is 0.7")
    assert "at promotion: 1.4" in got.sentence or "at promotion: 1.5" in got.sentence
    assert "limit 1.1)" in got.sentence


def test_an_error_whose_interval_reaches_down_to_the_limit_is_no_alarm() -> None:
    model = small_model(min_days=1)
    few = 120
    before, now = counted(model, 4.0, rows=few), counted(model, 6.0, seed=9, rows=few)

    [overall, *_] = monitoring.part_errors(model, now, Promotion(before, None))

    assert overall.judged
    assert overall.growth.value > 1.1 > overall.growth.low
    assert found(now, Promotion(before, None), model=model).alarms == ()


def test_the_two_months_are_resampled_by_themselves() -> None:
    model = small_model()
    same = counted(model, 4.0)

    [overall, *_] = monitoring.part_errors(model, same, Promotion(same, None))

    assert overall.growth.value == 1.0
    assert overall.growth.high - overall.growth.low > 0.02


def test_a_part_alarms_by_itself_and_only_the_worst_is_told() -> None:
    model = small_model()
    before, now = counted(model, 4.0), counted(model, 4.0, seed=2)
    worse = [
        at for at, (name, part) in enumerate(now.parts) if name == "day" or (name, part) == ("hour band", "07-10 h")
    ]
    squares = now.model.copy()
    squares[:, worse] *= 3

    got = found(replace(now, model=squares), Promotion(before, None))

    assert [alarm.cause for alarm in got.alarms] == ["error"]
    assert "the error of day " in got.sentence or "the error of hour band 07-10 h" in got.sentence


def test_a_part_that_is_only_shown_or_has_too_few_rows_does_not_alarm() -> None:
    model = small_model(min_slice_rows=10_000)
    before, now = counted(model, 4.0), counted(model, 4.0, seed=2)
    squares = now.model.copy()
    squares[:, 1:] *= 9

    got = found(replace(now, model=squares), Promotion(before, None), model=model)

    assert got.alarms == ()
    assert {error.judged for error in got.errors[1:]} == {False}


def test_without_errors_by_day_the_ratio_on_record_is_the_measure_of_all_rows_and_of_no_part() -> None:
    model = small_model()

    got = found(counted(model, 6.0), Promotion(None, 0.5), model=model)

    assert got.errors[0].before == 0.5
    assert {error.before for error in got.errors[1:]} == {None}
    assert [alarm.text.startswith("the error of all rows") for alarm in got.alarms] == [True]


@pytest.mark.parametrize(("error", "alarms"), [(6.0, 0), (12.0, 1)])
def test_without_any_record_a_model_is_held_against_the_baseline(error: float, alarms: int) -> None:
    got = found(counted(small_model(), error), Promotion(None, None))

    assert len(got.alarms) == alarms
    assert got.errors[0].limit == 1.0
    assert "nothing was kept at promotion" in got.sentence


def test_a_month_of_which_no_row_could_be_scored_says_so_and_is_missing() -> None:
    got = found(None, Promotion(None, 0.6), completeness=replace(WHOLE, unscored=1.0))

    assert got.causes == ("missing",)
    assert "100.00% of the rows in scope could not be scored" in got.sentence


@pytest.mark.parametrize(
    ("drift", "completeness", "cause", "told"),
    [
        (
            moved(distance=0.081),
            WHOLE,
            "drift",
            "zone has moved by 0.081 (limit 0.08): 74 from 19.0% to 0.0% of the rows",
        ),
        (moved(unseen=0.006), WHOLE, "unseen", "0.60% of the rows have a zone that training never saw (limit 0.50%)"),
        (
            moved(missing=0.031),
            WHOLE,
            "missing",
            "3.10% of the rows have no zone, 1.00% at training (limit 2.00% more)",
        ),
        (moved(), replace(WHOLE, broken=0.007), "missing", "0.70% of the rows are in quarantine, 0.10% at training"),
        (moved(), replace(WHOLE, unscored=0.03), "missing", "3.00% of the rows in scope could not be scored"),
    ],
    ids=["drift", "unseen", "missing", "quarantine", "unscored"],
)
def test_each_limit_alarms_with_its_cause_and_how_far(
    drift: Drift, completeness: Completeness, cause: str, told: str
) -> None:
    model = small_model()
    got = found(counted(model, 4.0), Promotion(counted(model, 4.0), None), drift, completeness=completeness)

    assert got.causes == (cause,)
    assert told in got.sentence


def test_at_the_limit_nothing_alarms_and_the_sentence_says_how_near_it_came() -> None:
    model = small_model()
    at = moved(distance=0.08, unseen=0.005, missing=0.03)

    got = found(counted(model, 4.0), Promotion(counted(model, 4.0, seed=2), None), at)

    assert got.alarms == ()
    assert got.sentence.startswith("error 0.4") or got.sentence.startswith("error 0.5")
    assert got.sentence.endswith("; zone has moved most, by 0.080 of 0.08")


def test_the_card_has_every_figure_and_the_metrics_have_names_that_mlflow_takes() -> None:
    model = small_model()
    got = found(counted(model, 6.0, seed=2), Promotion(counted(model, 4.0), None), moved(distance=0.2))

    card = monitoring_report.card(model, "2024-01", 3, "2023-12", got, {"there": "http://mlflow/1"})
    figures = monitoring_report.metrics(got)

    assert card.startswith("# Alarm: version 3 of trip-duration on 2024-01\n")
    assert "- The error of all rows is" in card
    assert "| **all rows** | 3,000 |" in card
    assert "| zone | 0.200 | 0.08 | 20 | 0.00% | 0.00% | 1.00% | 74: 19.00% to 0.00% |" in card
    assert "[there](http://mlflow/1)" in card
    assert {"ratio", "growth", "drift_zone", "rows_unscored"} <= set(figures)
    assert all(name.replace("_", "").replace("-", "").replace(".", "").isalnum() for name in figures)


def test_the_plot_is_a_picture_that_an_artifact_can_hold_also_of_a_month_without_figures() -> None:
    model = small_model()
    full = found(counted(model, 6.0), Promotion(counted(model, 4.0), None), moved(0.2), moved(0.1))

    for got in (full, found(None, Promotion(None, None))):
        png = monitoring_report.plot("a title", got)
        assert png.startswith(b"\x89PNG")
        assert len(png) * 4 / 3 < 100_000


def test_a_row_without_a_part_in_one_month_is_not_compared() -> None:
    model = small_model()
    before = counted(model, 4.0)
    fewer = Tally(before.parts[:3], *(getattr(before, name)[:, :3] for name in ("rows", "naive", "model")))

    errors = monitoring.part_errors(model, before, Promotion(fewer, None))

    assert [error.before is None for error in errors[:4]] == [False, False, False, True]
    assert not errors[3].judged


def test_the_models_own_limits_watch_columns_of_its_dataset() -> None:
    model = small_model()
    columns = {name for each in model.limits.watched for name in each.value.meta.root_names()}

    assert columns <= set(trips(1, 1).columns)
    assert isinstance(trips(1, 10).select(model.limits.watched[0].value), pl.DataFrame)
    assert model.limits.second_window < model.window
