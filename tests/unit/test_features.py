"""The encodings: no leak, no order, and a purpose for everything unknown."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.ml import features
from flows.ml.features import Band, Clock, Encoder, Encoding, Features, Group, Scaled, fit_transform
from tests.unit.strategies import FEATURES, rows_and_target

ENCODINGS = slice(len(FEATURES.columns), None)


def days(*values: int) -> pl.Series:
    return pl.Series("at", values, dtype=pl.Int32).cast(pl.Date).cast(pl.Datetime("us"))


@settings(max_examples=50)
@given(rows_and_target(), st.data())
def test_no_target_of_a_rows_own_day_enters_its_encodings(drawn, data):
    rows, target = drawn
    row = data.draw(st.integers(0, rows.height - 1))
    same_day = rows["at"].dt.date().eq_missing(rows["at"].dt.date()[row])
    changed = target + 10_000 * same_day.to_numpy()

    before, after = (fit_transform(rows, values, FEATURES)[1] for values in (target, changed))

    assert np.array_equal(before[row], after[row], equal_nan=True)


def test_the_target_of_another_fold_does_enter():
    rows = pl.DataFrame({"at": days(0, 1), "zone": [1, 1], "miles": [1.0, 1.0]})

    before, after = (fit_transform(rows, np.array([60, seconds]), FEATURES)[1] for seconds in (120, 240))

    assert (before[0, 3:5] < after[0, 3:5]).all()


@settings(max_examples=50)
@given(rows_and_target(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(drawn, random):
    rows, target = drawn
    order = list(range(rows.height))
    random.shuffle(order)

    encoder, matrix = fit_transform(rows, target, FEATURES)
    shuffled_encoder, shuffled = fit_transform(rows[order], target[order], FEATURES)

    assert shuffled_encoder.to_json() == encoder.to_json()
    assert np.array_equal(shuffled, matrix[order], equal_nan=True)


@settings(max_examples=50)
@given(rows_and_target())
def test_a_restored_encoder_gives_the_same_matrix(drawn):
    rows, target = drawn
    encoder, _ = fit_transform(rows, target, FEATURES)

    restored = Encoder.from_json(encoder.to_json())

    assert restored.features == FEATURES
    assert np.array_equal(restored.transform(rows), encoder.transform(rows), equal_nan=True)


@pytest.mark.parametrize("zone", [None, -1, 4, 30_000])
def test_a_zone_that_was_not_seen_gets_the_mean_of_its_group(zone):
    rows = pl.DataFrame({"at": days(0, 1, 2, 3), "zone": [1, 2, 3, 7], "miles": [1.0] * 4})
    encoder, _ = fit_transform(rows, np.array([100, 200, 300, 1000]), FEATURES)
    unseen = pl.DataFrame({"at": days(9), "zone": pl.Series([zone], dtype=pl.Int16), "miles": [1.0]})

    encoded = encoder.transform(unseen)

    side_mean, zone_mean, zone_pace = encoded[0, 3:6]
    assert zone_mean == side_mean == np.float32((1000 + 10 * 400) / 11)
    assert zone_pace == np.float32(1600 / 400)


def test_a_mean_is_shrunk_towards_its_parent_by_the_prior():
    rows = pl.DataFrame({"at": days(0, 1, 2), "zone": [1, 1, 2], "miles": [1.0, 3.0, 4.0]})
    encoder, _ = fit_transform(rows, np.array([60, 120, 600]), FEATURES)

    encoded = encoder.transform(rows[:1])

    side = (780 + 10 * 260) / (3 + 10)
    assert encoded[0, 3] == np.float32(side)
    assert encoded[0, 4] == np.float32((180 + 3 * side) / (2 + 3))
    assert encoded[0, 6] == np.float32((400 + 10 * 800 / 3) / (2 + 10))


def test_batches_change_nothing(monkeypatch):
    random = np.random.default_rng(5)
    rows = pl.DataFrame(
        {"at": days(*random.integers(0, 9, 100)), "zone": random.integers(0, 5, 100), "miles": random.random(100)}
    )
    target = random.integers(60, 3_600, 100)
    encoder, matrix = fit_transform(rows, target, FEATURES)

    monkeypatch.setattr(features, "BATCH", 7)
    batched_encoder, batched = fit_transform(rows, target, FEATURES)

    assert batched_encoder.to_json() == encoder.to_json()
    assert np.array_equal(batched, matrix)


def test_rows_of_a_single_day_have_no_other_day_to_learn_from():
    rows = pl.DataFrame({"at": days(4, 4), "zone": [1, 1], "miles": [1.0, 1.0]})

    encoder, matrix = fit_transform(rows, np.array([60, 120]), FEATURES)

    assert np.isnan(matrix[:, ENCODINGS]).all()
    assert np.isfinite(encoder.transform(rows)).all()


def test_what_is_missing_or_infinite_is_missing_in_the_matrix():
    rows = pl.DataFrame({"at": days(0, 1, 2), "zone": [1, None, 3], "miles": [float("inf"), None, float("nan")]})

    matrix = fit_transform(rows, np.array([60, 60, 60]), FEATURES)[1]

    assert np.isnan(matrix[:, 1]).all()
    assert np.isnan(matrix[:, 0]).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("derived", "values", "codes"),
    [
        (Clock("c", "x", "minute"), pl.Series(["2024-01-01 01:02:59"]).str.to_datetime(), [62]),
        (Clock("c", "x", "minute"), pl.Series(["1969-12-31 23:59:59"]).str.to_datetime(), [1439]),
        (Clock("c", "x", "weekday"), pl.Series(["2024-01-07 00:00:00"]).str.to_datetime(), [7]),
        (Band("b", "x", (1.0, 2.0)), pl.Series([-5.0, 0.99, 1.0, 2.0, None, float("nan")]), [0, 0, 1, 2, -1, -1]),
        (Group("g", "x", ((1, 2), (5,))), pl.Series([1, 2, 5, 3, -1, None, 999]), [0, 0, 1, 2, 2, 2, 2]),
        (Scaled("s", "x", 100), pl.Series([0.1, 1.15, None, float("nan")]), [10, 115, 0, 0]),
    ],
)
def test_derived_columns(derived, values, codes):
    assert derived.codes(values).tolist() == codes


def test_too_many_groups_are_refused_by_name():
    rows = pl.DataFrame({"at": days(0), "a": [2_000_000]})
    wide = Features("at", (), (), (Encoding("by_a", ("a",)),))

    with pytest.raises(ValueError, match="by_a has too many groups"):
        fit_transform(rows, np.array([1]), wide)


def test_sums_that_would_not_be_exact_are_refused_by_name():
    rows = pl.DataFrame({"at": days(0), "a": [1]})
    plain = Features("at", (), (), (Encoding("by_a", ("a",)),))

    with pytest.raises(ValueError, match="by_a are too large"):
        fit_transform(rows, np.array([2**53]), plain)


def test_the_code_runs_without_the_repository(tmp_path: Path):
    (tmp_path / "stored.py").write_text(Path(features.__file__).read_text())
    alone = f"import sys; sys.path.append({str(tmp_path)!r}); import stored; stored.Encoder"

    done = subprocess.run(
        [sys.executable, "-I", "-c", alone], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
