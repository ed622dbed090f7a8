"""What benchmarks measure with, and what they refuse before they begin."""

import contextlib
import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from benchmarks import measuring, months, overhead, retrain, scale, score, soak, start


@pytest.mark.parametrize(
    ("benchmark", "said"),
    [
        (retrain, "the course pipeline at 64 months takes about 4,000 MB"),
        (scale, "a training on 30,000,000 rows takes about 4,200 MB"),
        (score, "scoring takes about 1,000 MB"),
        (overhead, "a platform and its runs takes about 2,500 MB"),
        (soak, "a platform and its runs takes about 2,500 MB"),
    ],
)
def test_a_benchmark_without_enough_memory_says_so_and_stops(monkeypatch, benchmark, said) -> None:
    monkeypatch.setattr("sys.argv", ["benchmark"])
    monkeypatch.setattr(measuring, "memory_limit", lambda: 5_000_000)

    with pytest.raises(SystemExit) as ended:
        benchmark.main()

    assert ended.value.code == f"{said} and 5 MB are free: take fewer rows, or free some."


@pytest.mark.parametrize(
    ("limit", "less"), [("1073741824\n", True), ("max\n", False), (str(1 << 60), False), (None, False)]
)
def test_a_benchmark_may_use_what_its_container_may(tmp_path, limit, less) -> None:
    path = tmp_path / "memory.max"
    if limit is not None:
        path.write_text(limit)

    found = measuring.memory_limit(path)

    assert (found == 1 << 30) is less
    assert found <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_what_there_is_memory_for_goes_on() -> None:
    measuring.require_memory(1, "next to nothing")


def test_a_benchmark_that_is_called_by_name_is_measured_as_make_does(monkeypatch, tmp_path) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/own.py").write_text("import os, sys; print(os.environ['OMP_WAIT_POLICY'], sys.argv[1:])")
    monkeypatch.setattr(measuring, "ROOT", tmp_path)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.delenv("PYTHONPATH", raising=False)

    assert measuring.call("own", "--rows", "1") == "PASSIVE ['--rows', '1']\n"


def test_what_is_imported_before_the_clock_runs_is_without_what_pods_do_not_have() -> None:
    program = "from benchmarks import measuring, score; measuring.import_first(score.IMPORTS); import sys; "
    program += "of = ('xgboost', 'pandas', 'mlflow.pyfunc', 'pyarrow.lib', 'sklearn.base'); "
    program += "print([name in sys.modules for name in of])"

    done = subprocess.run([sys.executable, "-c", program], cwd=measuring.ROOT, capture_output=True, text=True)

    assert done.stdout == "[True, True, True, False, False]\n", done.stderr


@pytest.mark.parametrize("rows", ["1500000", "500000", "0", "-1000000", "some"])
def test_rows_that_fill_no_files_are_refused(monkeypatch, capsys, rows) -> None:
    monkeypatch.setattr("sys.argv", ["benchmark", f"--rows={rows}"])

    with pytest.raises(SystemExit):
        scale.main()

    assert f"{rows} is no multiple of 1,000,000" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "-1", "some"])
@pytest.mark.parametrize(
    ("benchmark", "words", "counted"),
    [
        (retrain, ["--runs"], "runs"),
        (retrain, ["--times", "1"], "months"),
        (score, ["--runs"], "runs"),
        (overhead, ["--runs"], "runs"),
        (start, ["retrain/trip-duration", "--runs"], "runs"),
    ],
)
def test_what_is_no_count_is_refused(monkeypatch, capsys, benchmark, words, counted, number) -> None:
    monkeypatch.setattr("sys.argv", ["benchmark", *words, number])

    with pytest.raises(SystemExit):
        benchmark.main()

    assert f"{number} is no number of {counted}, from 1" in capsys.readouterr().err


def test_the_starts_of_runs_are_printed_and_then_the_same_as_json(monkeypatch, capsys) -> None:
    found = [{"taken": 100.0, "running": 103.5, "task": 104.0}, {"taken": 200.0, "running": 203.0, "task": 204.0}, {}]
    client = contextlib.nullcontext(SimpleNamespace(read_flow_runs=lambda **_: [0, 1, 2]))
    monkeypatch.setattr(start, "get_client", lambda **_: client)
    monkeypatch.setattr(start, "moments", lambda _, run: found[run])
    monkeypatch.setattr("sys.argv", ["start", "retrain/trip-duration"])

    start.main()

    *table, last = capsys.readouterr().out.splitlines()
    assert table[0] == "retrain/trip-duration, 2 runs: median (range)"
    assert json.loads(last) == [{"running": 3.5, "task": 0.5}, {"running": 3.0, "task": 1.0}]


def task(name: str, seconds: float) -> SimpleNamespace:
    return SimpleNamespace(name=name, total_run_time=timedelta(seconds=seconds))


@pytest.fixture
def platform_figures(monkeypatch) -> dict[str, list[float]]:
    """What the benchmark of the platform measures where two candidates were judged, the second beside a champion."""
    versions = [SimpleNamespace(tags={"judged": f"2023-0{2 + by}", "judged_against": "1" * by}) for by in (0, 1)]
    registry = SimpleNamespace(versions=lambda model: versions)
    done = [task("judge trip-duration on 2023-02", 9), task("judge trip-duration on 2023-03", 1), task("register x", 2)]
    no_op = dict.fromkeys((overhead.FLOW, overhead.FIRST, overhead.NOTHING, overhead.WHOLE), 3.0)
    monkeypatch.setattr(overhead, "attach", lambda: SimpleNamespace(registry=registry))
    monkeypatch.setattr(overhead, "get_client", lambda **_: contextlib.nullcontext())
    monkeypatch.setattr(overhead, "tasks", lambda _, run, like: [one for one in done if one.name.startswith(like)])
    monkeypatch.setattr(overhead, "retrains", lambda _, runs: [no_op] * runs)
    monkeypatch.setattr(overhead, "stored", lambda *_: dict.fromkeys(list(overhead.FLOORS.values())[-2:], 0.5))
    monkeypatch.setattr(overhead, "BARE", "print(9e9, 9.25e9, 9.5e9)")
    return overhead.measure(dict(os.environ), 2)


def test_the_gate_that_is_measured_is_one_where_a_candidate_met_a_champion(platform_figures) -> None:
    assert platform_figures[overhead.GATE] == [1]


def test_the_floor_of_a_start_ends_where_a_flow_begins(platform_figures) -> None:
    began, alone, ended = (
        platform_figures[overhead.FLOORS[name]][0] for name in (overhead.FIRST, overhead.NOTHING, overhead.WHOLE)
    )

    assert ended - began == pytest.approx(0.25e9)
    assert alone == 0.5e9


def test_every_figure_of_the_platform_has_its_floor_below_it(platform_figures, capsys) -> None:
    overhead.show({name: [1.0, 2.0] for name in platform_figures})

    head, *lines = capsys.readouterr().out.splitlines()
    names = [line[: head.index("median")].rstrip() for line in lines]
    assert [name for name in names if not name.startswith("  floor")] == [overhead.FLOW, *overhead.FLOORS]
    assert names[1:] == [name for pair in overhead.FLOORS.items() for name in pair]
    assert {name: int(line.split()[-1]) for name, line in zip(names, lines, strict=True) if name in overhead.AIMS} == (
        overhead.AIMS
    )


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
    one = {"seconds": 4.0, "peak_mb": 404, "rmse": None, "stages": stages, "peaks": peaks, "parts": {}}

    retrain.show(1, {way: [one | {"parts": {"fit": 0.5} if way == "trainyard" else {}}] for way in retrain.WAYS})

    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == (
        ["1x", "course", "1.00", "101", "1.00", "202", "1.00", "303", "1.00", "404", "4.00", "404", "75%"]
    )
    assert said[2].split() == ["1x", "trainyard", "fit", "0.50", "of", "encode"]


def test_how_much_faster_is_the_median_of_the_pairs_ratios_and_says_so(capsys) -> None:
    def runs(*seconds: float) -> list[dict[str, Any]]:
        stages, peaks = dict.fromkeys(retrain.STAGES, 1.0), dict.fromkeys(retrain.STAGES, 1)
        same = {"rmse": 4.0, "stages": stages, "peaks": peaks, "parts": {}}
        return [{"seconds": each, "peak_mb": 100 * each, **same} for each in seconds]

    # The medians of either are 10 and 2, so 5 is not what is meant.
    retrain.show(1, {"course": runs(9, 10, 20), "trainyard": runs(3, 1, 2)})
    retrain.show(16, {"course": runs(9), "trainyard": runs(3)})

    said = [line for line in capsys.readouterr().out.splitlines() if "times as fast" in line]
    assert said == [
        "   1x 10.0 times as fast with 10% of the memory (medians of the ratios of 3 pairs)",
        "  16x 3.0 times as fast with 33% of the memory (one pair)",
    ]


def told(program: str, *arguments: object) -> Any:
    """What a program says as JSON, in a process of its own: benchmarks change what they have imported."""
    command = [sys.executable, "-c", f"import json, sys\n{program}", *map(str, arguments)]
    env = {**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(command, cwd=measuring.ROOT, env=env, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("way", retrain.WAYS)
def test_each_way_of_the_retrain_benchmark_does_a_small_month(tmp_path, way) -> None:
    pl.read_parquet(retrain.TRAIN).head(4_000).write_parquet(month := tmp_path / "month.parquet")
    program = "from pathlib import Path; from benchmarks import retrain; way, month = sys.argv[1:]"

    found = told(f"{program}; print(json.dumps(retrain.measure(way, [Path(month)])))", way, month)

    stages = retrain.STAGES[:3] if way == "floor" else retrain.STAGES
    assert found["stages"].keys() == found["peaks"].keys() == set(stages)
    assert all(seconds > 0 for seconds in found["stages"].values())
    assert found["seconds"] == pytest.approx(sum(found["stages"].values()))
    assert found["parts"].keys() == (retrain.PARTS.keys() if way == "trainyard" else set())
    assert all(0 < took < found["stages"][retrain.PARTS[part]] for part, took in found["parts"].items())
    assert found["peak_mb"] >= max(found["peaks"].values())
    assert found["rmse"] is None if way == "floor" else 4 < found["rmse"] < 12


def test_the_scale_benchmark_trains_the_same_on_disk_and_in_memory(tmp_path) -> None:
    program = (
        "from pathlib import Path; from benchmarks import scale; from flows.ml import boosting; scale.PART = 5_000; "
        "boosting.PAGE = int(sys.argv[3]); folder = Path(sys.argv[1]); scale.prepare(folder, 10_000); "
        "print(json.dumps(scale.measure(folder, 10_000, sys.argv[2])))"
    )

    found = [told(program, tmp_path, *how) for how in (("memory", "4000"), ("itself", "4000"), ("itself", "20000"))]

    assert len({each["booster"] for each in found}) == 1
    assert [each["on_disk"] for each in found] == [False, True, False]
    assert 9_000 < found[0]["trained_rows"] <= 10_000
    assert all(0 < each["boosting"] < each["seconds"] for each in found)
    assert all(0 < each["base_mb"] <= each["peak_mb"] for each in found)
    assert all(0 < each["xgboost_mb"] <= each["peak_mb"] for each in found)
