"""How far inputs have moved, and what chance alone moves."""

import math
from datetime import datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.ml import drift
from flows.ml.definition import Watched
from flows.ml.drift import Counts, Drift, Reference

ZONE = Watched("zone", pl.col("zone"), drift=0.1)
MILES = Watched("miles", pl.when(pl.col("miles") > 0).then(pl.col("miles")), drift=0.1, bins=10)


def zones(*counts: int, missing: int = 0) -> pl.DataFrame:
    """Rows by zone, from zone 1 on."""
    values = [zone for zone, rows in enumerate(counts, 1) for _ in range(rows)]
    return pl.DataFrame({"zone": [*values, *[None] * missing]}, schema={"zone": pl.Int16})


def of(before: pl.DataFrame, now: pl.DataFrame, watched: Watched = ZONE, min_bin_rows: int = 1) -> Drift:
    """How an input of ``now`` stands against ``before``."""
    found = drift.reference(before.lazy(), watched)
    return drift.compare(found, drift.count(now.lazy(), watched, found.edges), min_bin_rows)


counts = st.lists(st.integers(0, 500), min_size=1, max_size=12)


@given(counts, st.integers(1, 5))
def test_the_same_shares_are_no_drift_whatever_the_number_of_rows(rows: list[int], times: int) -> None:
    found = of(zones(*rows), zones(*(times * n for n in rows)))

    assert found.distance == 0


@given(counts, counts)
def test_the_distance_is_between_none_and_one_and_the_same_both_ways(first: list[int], second: list[int]) -> None:
    width = max(len(first), len(second))
    one, other = (np.array([*rows, *[0] * (width - len(rows))], dtype=float) for rows in (first, second))

    there = drift.distance(one, other)

    assert 0 <= there <= 1
    assert there == pytest.approx(drift.distance(other, one))


def test_two_months_without_a_zone_in_common_are_one_apart_but_for_chance() -> None:
    assert of(zones(5_000, 5_000), zones(0, 0, 5_000, 5_000)).distance == pytest.approx(1.0, abs=1e-4)


def test_an_input_that_is_all_missing_has_gone_as_far_as_it_can() -> None:
    found = of(zones(500, 500), zones(missing=100))

    assert (found.distance, found.missing, found.missing_before) == (1.0, 1.0, 0.0)


@pytest.mark.parametrize("rows", [2_000, 20_000, 200_000])
@pytest.mark.parametrize("bins", [7, 100])
def test_what_chance_makes_of_two_samples_of_one_distribution_is_what_is_taken_off(rows: int, bins: int) -> None:
    random = np.random.default_rng(7)
    shares = np.full(bins, 1 / bins)
    pairs = [[random.multinomial(n, shares).astype(float) for n in (rows, 60_000)] for _ in range(200)]

    divergence = np.array([drift.divergences(*pair).sum() for pair in pairs])
    left = np.array([drift.distance(*pair) for pair in pairs]) ** 2

    taken_off = (divergence - left)[left > 0]
    assert np.ptp(taken_off) < 1e-12
    assert divergence.mean() == pytest.approx(taken_off[0], rel=0.15)


@settings(max_examples=30)
@given(st.floats(0.02, 0.3))
def test_a_zone_that_closes_moves_the_distance_by_the_root_of_half_its_share_at_least(share: float) -> None:
    open_zones = [10_000] * 9
    before = np.array([*open_zones, 90_000 * share / (1 - share)])
    after = np.array([*open_zones, 0.0])

    assert drift.distance(before, after) >= math.sqrt(share / 2) * 0.99


def test_the_zone_that_closed_is_named_first_with_its_shares() -> None:
    found = of(zones(3_000, 5_000, 2_000), zones(3_000, 0, 2_000))

    assert found.distance > found.limit
    assert (found.moved[0].bin, found.moved[0].before, found.moved[0].now) == ("2", 0.5, 0.0)


def test_zones_with_too_few_rows_to_mean_something_count_together() -> None:
    rare = [3] * 50

    found = of(zones(5_000, 5_000, *rare), zones(5_000, 5_000, *reversed(rare)), min_bin_rows=100)

    assert (found.bins, found.distance) == (3, 0.0)


@pytest.mark.parametrize(("now", "named"), [(1_000, "other"), (100_000, "2")])
def test_the_side_with_fewer_rows_says_which_bins_are_large_enough(now: int, named: str) -> None:
    before = Counts({"1": 9_900, "2": 100}, 0)

    found = drift.compare(Reference(ZONE, (), before), Counts({"1": now}, 0), min_bin_rows=50)

    assert found.moved[0].bin == named


def test_rows_of_a_zone_that_training_never_saw_are_told() -> None:
    found = of(zones(100, 100), zones(90, 90, 15, missing=5))

    assert found.unseen == 15 / 200
    assert found.missing == 5 / 200


def test_numbers_fall_into_bins_of_equally_many_training_rows_and_what_is_no_number_is_missing() -> None:
    miles = [*np.arange(1, 1001) / 100, 0.0, None, math.nan, math.inf]
    rows = pl.DataFrame({"miles": miles})

    found = drift.reference(rows.filter(pl.col("miles").is_finite()).lazy(), MILES)
    counted = drift.count(rows.lazy(), MILES, found.edges)

    assert len(found.edges) == 9
    assert set(found.counts.bins.values()) <= {99, 100, 101}
    assert counted.missing == 4
    assert counted.present == 1000


def test_a_value_of_an_edge_belongs_to_the_bin_above_and_bins_are_named_for_people() -> None:
    edges = (1.0, 2.5)

    found = drift.count(pl.DataFrame({"miles": [0.5, 1.0, 2.4, 2.5, 99.0]}).lazy(), MILES, edges)

    assert found.bins == {"1 to 2.5": 2, "2.5 and above": 2, "below 1": 1}


def test_edges_that_six_digits_do_not_tell_apart_have_bins_of_their_own() -> None:
    edges = (1234567.0, 1234568.0, 1234570.0)

    found = drift.count(pl.DataFrame({"miles": [1.0, *edges]}).lazy(), MILES, edges)

    assert found.bins == {
        "below 1234567": 1,
        "1234567 to 1234568": 1,
        "1234568 to 1234570": 1,
        "1234570 and above": 1,
    }


def test_what_is_no_number_makes_no_edge() -> None:
    rows = pl.DataFrame({"miles": [1.0, 2.0, 3.0, *[math.nan] * 20, *[math.inf] * 20]})

    found = drift.reference(rows.lazy(), MILES)

    assert found.edges == (1.0, 2.0, 3.0)
    assert found.counts.missing == 40


def test_equal_values_make_fewer_bins_and_none_at_all_makes_no_error() -> None:
    same = pl.DataFrame({"miles": [3.0] * 50})
    none = pl.DataFrame({"miles": [None] * 50}, schema={"miles": pl.Float64})

    assert of(same, same, MILES).distance == 0
    assert of(none, none, MILES).distance == 0
    assert of(none, same, MILES).distance == 1


@given(st.lists(st.floats(0.01, 90), min_size=30, max_size=200), st.randoms())
def test_the_order_of_the_rows_changes_nothing(values: list[float], random) -> None:
    shuffled = random.sample(values, len(values))

    first, second = (drift.reference(pl.DataFrame({"miles": each}).lazy(), MILES) for each in (values, shuffled))

    assert first == second


def test_any_expression_over_the_rows_can_be_watched() -> None:
    hour = Watched("hour", pl.col("at").dt.hour(), drift=0.1)
    rows = pl.DataFrame({"at": [datetime(2024, 1, 1, hour) for hour in (7, 7, 8)]})

    assert drift.count(rows.lazy(), hour, ()).bins == {"7": 2, "8": 1}
