"""The gate: what promotes, keeps and refuses, and that a verdict is repeatable."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.ml.baseline import Baseline
from flows.ml.definition import Slice
from flows.ml.evaluation import Contender, judge
from flows.ml.training import targets
from tests.unit.strategies import small_model, trips

MODEL = small_model()
ROWS = trips(3, 1_500)
ACTUAL = targets(ROWS, MODEL) / 60
NAIVE = np.full(ROWS.height, ACTUAL.mean())


def noise(seed: int, size: float) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, size, ROWS.height)


def contender(error: np.ndarray | float, *months: str) -> Contender:
    return Contender(months or ("2023-12",), ACTUAL + error)


def decide(candidate, champion, model=MODEL, rows=ROWS, naive=NAIVE, month="2024-01"):
    return judge(model, month, rows, naive, candidate, champion)


def test_the_first_model_is_promoted_when_it_beats_the_baseline():
    verdict = decide(contender(noise(1, 2.0)), None)

    assert verdict.decision == "promote"
    assert verdict.reason == (
        f"The candidate (error {verdict.rmse:.3f} minutes on 1,500 rows of 2024-01) beats the naive baseline's "
        f"{verdict.naive_rmse:.3f}, and no model is in service."
    )
    assert verdict.champion_rmse is None
    assert verdict.difference is None


@pytest.mark.parametrize("champion", [None, contender(noise(2, 30.0))])
def test_a_candidate_that_does_not_beat_the_baseline_is_kept_out(champion):
    verdict = decide(contender(noise(1, 20.0)), champion)

    assert verdict.decision == "keep"
    assert "does not beat the naive baseline" in verdict.reason


def test_a_candidate_better_beyond_noise_is_promoted():
    verdict = decide(contender(noise(1, 2.0)), contender(noise(2, 3.0)))

    assert verdict.decision == "promote"
    assert "beyond noise" in verdict.reason
    assert verdict.difference.low < verdict.difference.value < verdict.difference.high < 0


def test_champion_stays_when_the_gain_is_within_noise():
    verdict = decide(contender(noise(1, 2.0)), contender(noise(2, 2.0)))

    assert verdict.decision == "keep"
    assert verdict.difference.low < 0 < verdict.difference.high


def test_champion_stays_when_the_candidate_may_be_worse_beyond_the_margin():
    model = replace(MODEL, slices=())

    verdict = decide(contender(noise(1, 2.3)), contender(noise(2, 2.0), "2020-01"), model)

    assert verdict.decision == "keep"
    assert "may be worse" in verdict.reason


@pytest.mark.parametrize(("trained_to", "decision"), [("2023-10", "keep"), ("2023-09", "promote")])
def test_an_old_champion_gives_way_to_one_as_good(trained_to, decision):
    verdict = decide(contender(noise(1, 2.0)), contender(noise(1, 2.0), "2023-01", trained_to))

    assert verdict.decision == decision
    assert f"trained to {trained_to}" in verdict.reason


@given(st.integers(0, 50), st.floats(0.1, 3.0))
@settings(max_examples=20)
def test_identical_predictions_never_replace_a_young_champion(seed, size):
    same = contender(noise(seed, size))

    assert decide(same, same).decision == "keep"


@given(
    st.sampled_from(["candidate", "champion"]),
    st.integers(0, ROWS.height - 1),
    st.sampled_from([np.nan, np.inf, -np.inf]),
)
@settings(max_examples=20)
def test_a_prediction_that_is_not_finite_always_refuses(who, row, value):
    contenders = {"candidate": contender(noise(1, 1.0)), "champion": contender(noise(2, 2.0))}
    contenders[who].predictions[row] = value

    verdict = decide(**contenders)

    assert verdict.decision == "refuse"
    assert verdict.reason.startswith(f"The {who} gave 1 predictions of 1,500 that are not finite")


@given(st.integers(0, 2**16), st.floats(0.1, 5.0), st.floats(0.1, 5.0))
@settings(max_examples=10)
def test_the_same_inputs_give_the_same_verdict_in_any_order_of_the_rows(seed, size, rival):
    candidate, champion = contender(noise(seed, size)), contender(noise(seed + 1, rival))
    order = np.random.default_rng(seed).permutation(ROWS.height)

    def shuffled(model: Contender) -> Contender:
        return replace(model, predictions=model.predictions[order])

    assert decide(shuffled(candidate), shuffled(champion), rows=ROWS[order], naive=NAIVE[order]) == decide(
        candidate, champion
    )


@pytest.mark.parametrize("who", ["candidate", "champion"])
def test_a_model_that_saw_the_judged_month_is_refused(who):
    contenders = {"candidate": contender(noise(1, 1.0)), "champion": contender(noise(2, 2.0))}
    contenders[who] = replace(contenders[who], months=("2023-12", "2024-01"))

    verdict = decide(**contenders)

    assert verdict.decision == "refuse"
    assert verdict.reason.startswith(f"The {who} was trained on 2024-01")


@pytest.mark.parametrize("who", ["candidate", "champion"])
def test_a_model_trained_on_later_months_than_the_judged_one_is_refused(who):
    """A champion of newer months may lose on an old one, and still be the better model for the next."""
    contenders = {"candidate": contender(noise(1, 1.0)), "champion": contender(noise(2, 2.0))}
    contenders[who] = replace(contenders[who], months=("2023-12", "2024-02"))

    verdict = decide(**contenders)

    assert verdict.decision == "refuse"
    assert verdict.reason.startswith(f"The {who} was trained on 2024-02, after 2024-01")


@pytest.mark.parametrize("who", ["candidate", "champion"])
@pytest.mark.parametrize("shape", [(1,), (1_500, 1)])
def test_predictions_that_are_not_one_for_each_row_are_refused(who, shape):
    """numpy would stretch a single prediction to all rows: a champion so broken would lose to anything."""
    contenders = {"candidate": contender(noise(1, 1.0)), "champion": contender(noise(2, 2.0))}
    contenders[who] = replace(contenders[who], predictions=np.zeros(shape))

    verdict = decide(**contenders)

    assert verdict.decision == "refuse"
    assert verdict.reason.startswith(f"The {who} gave predictions of shape {shape} for 1,500 rows")


@pytest.mark.parametrize("who", ["candidate", "champion"])
def test_a_model_of_unknown_months_is_refused(who):
    contenders = {"candidate": contender(noise(1, 1.0)), "champion": contender(noise(2, 2.0))}
    contenders[who] = replace(contenders[who], months=())

    assert decide(**contenders).decision == "refuse"


@pytest.mark.parametrize("months", [("2023-11",), ()])
def test_a_champion_that_cannot_be_scored_refuses_with_its_fault_and_the_candidates_error(months):
    lost = Contender(months, None, "its booster is missing: roll back.")

    verdict = decide(contender(noise(1, 2.0)), lost)

    assert verdict.decision == "refuse"
    assert verdict.reason == "The champion could not be loaded or scored: its booster is missing: roll back."
    assert verdict.rmse == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize("rows", [0, 1, 49])
def test_too_few_rows_are_refused(rows):
    verdict = judge(MODEL, "2024-01", ROWS[:rows], NAIVE[:rows], Contender(("2023-12",), ACTUAL[:rows]), champion=None)

    assert verdict.decision == "refuse"
    assert f"has {rows} rows to judge on, fewer than 50" in verdict.reason


def test_rows_of_too_few_days_are_refused():
    first = (ROWS["pickup_at"].dt.day() <= 13).to_numpy()

    verdict = judge(
        MODEL, "2024-01", ROWS.filter(first), NAIVE[first], Contender(("2023-12",), ACTUAL[first]), champion=None
    )

    assert verdict.decision == "refuse"
    assert "13 days" in verdict.reason


def worse_by_night() -> tuple[Contender, Contender]:
    """A candidate better on the whole and worse from 0 to 6 o'clock."""
    night = (ROWS["pickup_at"].dt.hour() < 6).to_numpy()
    return contender(np.where(night, 4.0, 1.0)), contender(np.where(night, 2.0, 3.0))


def test_a_slice_that_matters_and_is_worse_refuses():
    verdict = decide(*worse_by_night())

    assert verdict.decision == "refuse"
    assert "worse for hour band 00-06 h" in verdict.reason
    assert verdict.difference.high < 0


@pytest.mark.parametrize("change", [{"matters": False}, {"margin": 2.5}])
def test_a_slice_refuses_only_where_it_matters_and_beyond_its_margin(change):
    model = replace(MODEL, slices=tuple(replace(item, **change) for item in MODEL.slices))

    assert decide(*worse_by_night(), model).decision == "promote"


def test_a_part_below_its_floor_of_rows_is_shown_and_not_judged():
    night = next(part for part in decide(*worse_by_night()).slices if part.part == "00-06 h")
    model = small_model(min_slice_rows=night.rows + 1)
    model = replace(model, slices=tuple(item for item in model.slices if item.name == "hour band"))

    verdict = decide(*worse_by_night(), model)

    assert verdict.decision == "promote"
    assert not next(part for part in verdict.slices if part.part == "00-06 h").judged


def test_every_slice_accounts_for_every_row():
    verdict = decide(contender(noise(1, 2.0)), contender(noise(2, 3.0)))

    by_slice = {
        item.name: sum(part.rows for part in verdict.slices if part.slice == item.name) for item in MODEL.slices
    }
    assert by_slice == dict.fromkeys(by_slice, ROWS.height)


def test_the_errors_are_those_of_the_textbook():
    error, rival = noise(1, 2.0), noise(2, 3.0)
    half = pl.when(pl.int_range(pl.len()) < 700).then(pl.lit("first"))
    model = replace(MODEL, slices=(Slice("half", half),))

    verdict = decide(contender(error), contender(rival), model)

    assert verdict.rmse == pytest.approx(np.sqrt(np.mean(error**2)), abs=1e-6)
    assert verdict.mae == pytest.approx(np.mean(np.abs(error)), abs=1e-6)
    assert verdict.champion_rmse == pytest.approx(np.sqrt(np.mean(rival**2)), abs=1e-6)
    first, unknown = verdict.slices
    assert (first.part, first.rows, unknown.part, unknown.rows) == ("first", 700, "unknown", 800)
    assert first.candidate == pytest.approx(np.sqrt(np.mean(error[:700] ** 2)), abs=1e-6)


def test_the_interval_covers_a_known_difference_about_as_often_as_it_says():
    """Errors of 2 and 2.5 minutes, both larger on the same days."""
    days, covered = ROWS["pickup_at"].dt.ordinal_day().to_numpy() - 1, 0

    for seed in range(100):
        error = np.sqrt(4 + np.random.default_rng(seed).normal(0, 1.0, 28)[days])
        difference = decide(contender(error), contender(1.25 * error)).difference
        covered += difference.low <= -0.5 <= difference.high

    assert 80 <= covered <= 100


def test_an_absurd_prediction_neither_overflows_nor_passes():
    verdict = decide(contender(np.where(np.arange(ROWS.height) == 5, 1e200, 0.0)), contender(noise(1, 2.0)))

    assert verdict.decision in ("keep", "refuse")
    assert verdict.rmse > 100


def test_the_baseline_falls_back_from_the_pair_to_the_zone_to_all():
    rows = pl.DataFrame({"pickup": [1, 1, 1, 2], "dropoff": [1, 1, 2, 2]})
    baseline = Baseline.fit(rows, np.array([60, 180, 600, 1200]), [("pickup", "dropoff"), ("pickup",)], 60)

    predicted = baseline.predict(pl.DataFrame({"pickup": [1, 1, 3, None], "dropoff": [1, 9, 1, 1]}))

    assert predicted.tolist() == [2.0, 3.0, 6.5, 6.5]
