"""A training against its rows: seconds and peak memory, beside boosting alone on the same matrix.

The months are 2023-01 resampled a million rows at a time, distance and duration with jitter, as an ingest lands them.
``train`` is what the flow's task does between the lake and the lake: read the months, encode, boost. ``boost`` is the
booster alone on a matrix that was built before its clock runs, the floor of any training with these parameters. Each is
measured in a process of its own, imports not counted. Run it as ``python -m benchmarks.scale [--rows N ...]`` on a
machine that does nothing else.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measuring import peak_mb

ROOT = Path(__file__).resolve().parent.parent
THREADS = 2
ROWS = (1_000_000, 4_000_000, 10_000_000, 30_000_000)
PART = 1_000_000
"""Rows of a file of the lake."""
SLOPE = 60
"""Bytes a row beyond the base that are asked for at most."""


def prepare(folder: Path, rows: int) -> None:
    """Leave files of resampled rows in ``folder``, as many as ``rows`` need and are not there yet."""
    import numpy as np

    from benchmarks import months
    from flows.ml import month_files

    real = months.landed("2023-01")
    for number in range(rows // PART):
        path = folder / f"{number:02}.parquet"
        if not path.exists():
            month_files.write(months.resampled(real, PART, np.random.default_rng(number)), path)


def measure(folder: Path, rows: int) -> dict[str, float]:
    """Train once, here: seconds in all and of boosting alone, the process's memory before and its peak in MB."""
    import polars as pl
    import xgboost as xgb

    from flows import models
    from flows.ml import boosting, judging, training

    boosted, boost = 0.0, xgb.train

    def timed(*given: object, **named: object) -> object:
        nonlocal boosted
        began = time.perf_counter()
        try:
            return boost(*given, **named)
        finally:
            boosted += time.perf_counter() - began

    boosting.xgb.train = timed
    model = models.load("trip-duration")
    files = sorted(folder.glob("*.parquet"))[: rows // PART]
    before, began = peak_mb(), time.perf_counter()
    found = pl.concat([pl.scan_parquet(file).select(judging.columns(model)) for file in files])
    trained = training.train(found, model, THREADS)
    seconds = time.perf_counter() - began
    return {
        "trained_rows": trained.rows,
        "seconds": seconds,
        "boosting": boosted,
        "base_mb": before,
        "peak_mb": peak_mb(),
    }


def call(*arguments: str) -> str:
    """What this program says when it is called with arguments in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scale", *arguments]
    env = {**os.environ, "OMP_NUM_THREADS": str(THREADS), "POLARS_MAX_THREADS": str(THREADS)}
    return subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=True).stdout


def main() -> None:
    """Measure, print the table, then the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rows", type=int, nargs="+", default=ROWS, help=f"multiples of {PART:,} (default: to 30 million)"
    )
    parser.add_argument("--folder", type=Path, help="where the months are made, and kept; else they are removed")
    parser.add_argument("--prepare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.prepare or given.one:
        print(json.dumps(measure(given.folder, given.rows[0])) if given.one else prepare(given.folder, given.rows[0]))
        return
    found: dict[int, dict[str, float]] = {}
    print(f"{'rows':>11} {'trained on':>11} {'seconds':>8} {'boosting':>9} {'of it':>6} {'peak MB':>8} {'B a row':>8}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        folder.mkdir(exist_ok=True)
        for rows in given.rows:
            call("--folder", str(folder), "--rows", str(rows), "--prepare")
            one = json.loads(call("--folder", str(folder), "--rows", str(rows), "--one"))
            first = next(iter(found.values()), None)
            slope = (one["peak_mb"] - first["peak_mb"]) * 1e6 / (rows - min(found)) if first else float("nan")
            found[rows] = one | {"bytes_a_row": slope}
            share = one["boosting"] / one["seconds"]
            line = f"{rows:11,} {one['trained_rows']:11,} {one['seconds']:8.1f} {one['boosting']:9.1f} {share:6.0%}"
            print(f"{line} {one['peak_mb']:8.0f} {slope:8.0f}", flush=True)
    print(f"One run each, {THREADS} threads; bytes a row beyond the first line, {SLOPE} are asked for at most")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
