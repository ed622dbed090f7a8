"""Training and predicting: the same bytes every time, and named errors."""

import errno
import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from flows.ml import boosting, training
from flows.ml.definition import Clock, Encoding
from flows.ml.training import PredictionError, Predictor, TrainingError, in_scope, targets, train
from tests.unit.strategies import small_model, trips

MODEL = small_model()


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return trips(1, 3_000)


@pytest.fixture(scope="module")
def trained(rows):
    return train(rows, MODEL, threads=1)


@pytest.mark.parametrize("threads", [2, 8])
def test_the_bytes_do_not_depend_on_the_threads(rows, trained, threads):
    assert train(rows, MODEL, threads) == trained


class Stop(BaseException):
    """What a signal is turned into that ends a run."""


def test_a_signal_to_stop_while_the_matrix_is_built_is_not_lost(rows, monkeypatch):
    monkeypatch.setattr(boosting, "BATCH", 700)
    handed_over = boosting._Batches.next
    signals = iter([signal.SIGUSR1])

    def signalled(self, input_data):
        for one in signals:
            os.kill(os.getpid(), one)
        return handed_over(self, input_data)

    def stop(*_):
        raise Stop

    monkeypatch.setattr(boosting._Batches, "next", signalled)
    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with pytest.raises(Stop):
            train(rows, MODEL, threads=1)
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("threads", [2, 8])
def test_the_bytes_do_not_depend_on_the_threads_in_many_batches_either(rows, monkeypatch, threads):
    monkeypatch.setattr(boosting, "BATCH", 700)
    single = train(rows, MODEL, threads=1)

    assert train(rows, MODEL, threads) == single


@pytest.mark.parametrize("threads", [1, 8])
def test_the_bytes_are_the_same_where_the_matrix_is_more_than_a_page_and_on_disk(rows, tmp_path, monkeypatch, threads):
    monkeypatch.setattr(boosting, "BATCH", 700)
    made = []
    for kind in ("QuantileDMatrix", "ExtMemQuantileDMatrix"):
        real = getattr(boosting.xgb, kind)
        monkeypatch.setattr(boosting.xgb, kind, lambda *args, of=real, **given: made.append(of) or of(*args, **given))

    found = []
    for page in (rows.height, rows.height - 1, 1_100):
        monkeypatch.setattr(boosting, "PAGE", page)
        found.append(train(rows, MODEL, threads, folder=tmp_path))

    assert [kind.__name__ for kind in made] == ["QuantileDMatrix", *["ExtMemQuantileDMatrix"] * 2]
    assert found[1:] == found[:1] * 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("on", ["the rows", "the matrix"])
def test_a_full_disk_is_an_error_with_its_number(rows, tmp_path, monkeypatch, on):
    if on == "the rows":
        monkeypatch.setattr(boosting.tempfile, "TemporaryFile", lambda **_: Path("/dev/full").open("w+b"))  # noqa: SIM115
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(boosting.shutil, "disk_usage", lambda _: usage._replace(free=10_000))
    if on == "the matrix":
        monkeypatch.setattr(boosting, "PAGE", 1_100)

    with pytest.raises(OSError, match="No space left on device") as found:
        train(rows, MODEL, 1, folder=tmp_path)

    assert found.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_predictions_do_not_depend_on_threads_or_on_the_other_rows(rows, trained):
    one, many = (Predictor(trained.booster, trained.encoder, trained.code, threads) for threads in (1, 8))

    together = one.predict(rows)

    assert np.array_equal(many.predict(rows), together)
    assert np.array_equal(one.predict(rows[7:8]), together[7:8])


def test_the_model_learns(rows):
    fresh = in_scope(trips(2, 2_000), MODEL)
    better = train(rows, replace(MODEL, rounds=60), threads=1)

    predicted = Predictor(better.booster, better.encoder, better.code, 1).predict(fresh)

    actual = targets(fresh, MODEL) / 60
    assert np.sqrt(np.mean((predicted - actual) ** 2)) < 0.5 * np.std(actual)


def test_rows_out_of_scope_are_not_trained_on(rows, trained):
    stuck = rows[:50].with_columns(dropoff_at=pl.col("pickup_at") + pl.duration(hours=23))
    without_end = rows[:50].with_columns(dropoff_at=pl.lit(None, dtype=pl.Datetime("us")))

    assert train(pl.concat([rows, stuck, without_end]), MODEL, threads=1).booster == trained.booster
    assert trained.rows == rows.height


def test_no_row_in_scope_is_an_error_with_the_count(rows):
    none = rows.with_columns(dropoff_at="pickup_at")

    with pytest.raises(TrainingError, match=r"None of 3,000 rows is in the scope of trip-duration: check"):
        train(none, MODEL, threads=1)


def test_a_target_that_is_not_an_integer_is_an_error(rows):
    with pytest.raises(TrainingError, match="Float64, not an integer"):
        train(rows, replace(MODEL, target=MODEL.target / 60), threads=1)


def test_a_feature_of_what_is_no_input_is_an_error(rows):
    peeking = replace(MODEL.features, derived=(*MODEL.features.derived, Clock("end", "dropoff_at", "minute")))
    peeking = replace(peeking, encodings=(Encoding("end_duration", ("end",)),))

    with pytest.raises(TrainingError, match="A feature of trip-duration needs 'dropoff_at', which is none of its inp"):
        train(rows, replace(MODEL, features=peeking), threads=1)


def test_a_missing_target_is_an_error_outside_training(rows):
    missing = rows.with_columns(dropoff_at=pl.lit(None, dtype=pl.Datetime("us")))

    with pytest.raises(TrainingError, match="3,000 rows have no target"):
        targets(missing, MODEL)


def test_progress_counts_the_rounds(rows):
    seen = []

    train(rows[:200], MODEL, threads=1, on_round=lambda done, of: seen.append((done, of)))

    assert seen == [(done, 5) for done in range(1, 6)]


def test_a_model_is_scored_by_the_code_stored_with_it(rows, trained):
    older = trained.code + "\nEncoder.transform = lambda self, rows: 0 / 0\n"

    with pytest.raises(PredictionError, match="division by zero"):
        Predictor(trained.booster, trained.encoder, older, 1).predict(rows)


@pytest.mark.parametrize("part", ["booster", "encoder", "code"])
def test_a_damaged_part_is_a_named_error(trained, part):
    damaged = replace(trained, **{part: "broken(" if part == "code" else b"broken"})

    with pytest.raises(PredictionError, match="cannot be loaded"):
        Predictor(damaged.booster, damaged.encoder, damaged.code, 1)


def test_a_missing_column_is_a_named_error(rows, trained):
    predictor = Predictor(trained.booster, trained.encoder, trained.code, 1)

    with pytest.raises(PredictionError, match="distance"):
        predictor.predict(rows.drop("distance"))


@pytest.mark.parametrize("column", ["pickup_zone", "dropoff_zone", "distance", "pickup_at"])
def test_a_missing_value_still_gets_a_prediction(rows, trained, column):
    predictor = Predictor(trained.booster, trained.encoder, trained.code, 1)
    missing = rows[:5].with_columns(pl.lit(None, dtype=rows.schema[column]).alias(column))

    assert np.isfinite(predictor.predict(missing)).all()


def test_a_pandas_frame_is_made_as_polars_makes_it_but_without_pyarrow(rows, monkeypatch):
    holes = training.raw_rows(rows.with_columns(pickup_zone=pl.lit(None, pl.Int64)), small_model()).head(50)
    raw = training.raw_rows(rows, small_model()).head(50)
    by_polars = pd.concat([raw.to_pandas(), holes.to_pandas()])
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    made = pd.concat([training.as_pandas(raw), training.as_pandas(holes)])

    pd.testing.assert_frame_equal(made, by_polars)
