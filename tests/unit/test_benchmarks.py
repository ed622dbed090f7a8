"""What benchmarks measure with, and what they refuse before they begin."""

import subprocess
import sys
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from benchmarks import measuring, months, retrain, scale
from flows.ml import settings


@pytest.mark.parametrize(
    ("benchmark", "asked", "said"),
    [
        (retrain, ["--times", "64000"], "the course pipeline at 64000 months takes about "),
        (scale, ["--rows", "900000000000"], "a training on 900,000,000,000 rows takes about "),
    ],
)
def test_a_benchmark_without_enough_memory_says_so_and_stops(monkeypatch, benchmark, asked, said) -> None:
    monkeypatch.setattr("sys.argv", ["benchmark", *asked])

    with pytest.raises(SystemExit) as ended:
        benchmark.main()

    assert str(ended.value).startswith(said)
    assert str(ended.value).endswith(" MB are free: take fewer rows, or free some.")


def test_what_there_is_memory_for_goes_on() -> None:
    measuring.require_memory(1, "next to nothing")


def test_a_containers_limit_counts_where_the_machine_has_more(monkeypatch) -> None:
    monkeypatch.setattr(settings, "memory_limit", lambda: 5_000_000)

    with pytest.raises(SystemExit, match="a little takes about 6 MB and 5 MB are free"):
        measuring.require_memory(6, "a little")


def test_a_benchmark_that_is_called_by_name_is_measured_as_make_does(monkeypatch, tmp_path) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/own.py").write_text("import os, sys; print(os.environ['OMP_WAIT_POLICY'], sys.argv[1:])")
    monkeypatch.setattr(measuring, "ROOT", tmp_path)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.delenv("PYTHONPATH", raising=False)

    assert measuring.call("own", "--rows", "1") == "PASSIVE ['--rows', '1']\n"


def test_what_is_imported_before_the_clock_runs_is_without_what_pods_do_not_have() -> None:
    program = "from benchmarks import measuring, score; measuring.import_first(score.IMPORTS); import sys; "
    program += "print([name in sys.modules for name in ('xgboost', 'pandas', 'mlflow.pyfunc', 'sklearn.base')])"

    done = subprocess.run([sys.executable, "-c", program], cwd=measuring.ROOT, capture_output=True, text=True)

    assert done.stdout == "[True, True, True, False]\n", done.stderr


@pytest.mark.parametrize("rows", ["1500000", "500000", "0", "-1000000", "some"])
def test_rows_that_fill_no_files_are_refused(monkeypatch, capsys, rows) -> None:
    monkeypatch.setattr("sys.argv", ["benchmark", f"--rows={rows}"])

    with pytest.raises(SystemExit):
        scale.main()

    assert f"{rows} is no multiple of 1,000,000" in capsys.readouterr().err


def test_rows_that_are_drawn_again_and_again_have_no_twins_and_durations_of_whole_seconds() -> None:
    begin = datetime(2023, 1, 31, 23, 59, 59)
    real = pl.DataFrame({"pickup_at": [begin], "dropoff_at": [begin + timedelta(minutes=5)], "distance": [0.0]})

    drawn = months.resampled(real, 1000, np.random.default_rng(0)).collect()

    duration = drawn["dropoff_at"] - drawn["pickup_at"]
    assert drawn.schema == real.schema
    assert not drawn.is_duplicated().any()
    assert set(drawn["pickup_at"].dt.truncate("1s")) == {begin}
    assert set(duration.dt.total_microseconds() % 1_000_000) == {0}
    assert duration.is_between(timedelta(minutes=5), timedelta(minutes=6), closed="left").all()


def test_the_table_of_a_retrain_has_the_peak_of_memory_by_each_stage(capsys) -> None:
    stages, peaks = dict.fromkeys(retrain.STAGES, 1.0), dict(zip(retrain.STAGES, (101, 202, 303, 404), strict=True))
    one = {"seconds": 4.0, "peak_mb": 404, "rmse": None, "stages": stages, "peaks": peaks}

    retrain.show(1, {way: [one] for way in retrain.WAYS})

    assert capsys.readouterr().out.splitlines()[0].split() == (
        ["1x", "course", "1.00", "101", "1.00", "202", "1.00", "303", "1.00", "404", "4.00", "404", "75%"]
    )
