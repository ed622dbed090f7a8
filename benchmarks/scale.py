"""A training against its rows: seconds and peak memory, beside boosting alone on the same matrix.

The months are 2023-01 resampled a million rows at a time, times and distance with jitter, as an ingest lands them.
What is measured is what the flow's task does between the lake and the lake: read the months, encode, boost. A matrix of
more than a page is kept on disk, and measured in memory beside it. Boosting alone is the floor of any training with
these parameters. So is the memory of XGBoost: what the process holds at most from the matrix on, when none of the rows
is in memory any more. Each runs in a process of its own, imports not counted. Run it as
``python -m benchmarks.scale [--rows N ...]`` on a machine that does nothing else; with ``--itself`` it is one training
of so many rows, for a container with a limit.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring import THREADS, Stages, call, import_first, peak_since, require_memory

ROWS = (1_000_000, 4_000_000, 10_000_000, 30_000_000)
PART = 1_000_000
"""Rows of a file of the lake."""
BASE_MB, ROW_MB = 600, 0.00012
"""What a training takes at most, in MB. Measured by this."""
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


def measure(folder: Path, rows: int, where: str) -> dict[str, Any]:
    """Train once, here: seconds in all and of boosting alone; MB before, at the peak, and at that of XGBoost.

    ``where`` its matrix is: in ``memory`` whatever its size, or where it is by ``itself``.
    """
    import_first(("flows.ml.boosting", "flows.ml.judging", "flows.ml.training", "flows.models.trip_duration"))
    import polars as pl

    from flows import models
    from flows.ml import boosting, judging, training

    def encode(*arguments: Any) -> boosting.Encoded:
        encoded = boosting_encode(*arguments)
        peaks.append(peak_since(reset=True))
        return encoded

    def paged(*arguments: Any, **given: Any) -> Any:
        on_disk.append(True)
        return xgboost_paged(*arguments, **given)

    stages, peaks, on_disk = Stages(), [0.0], list[bool]()
    boosting_encode, xgboost_paged = boosting.encode, boosting.xgb.ExtMemQuantileDMatrix
    boosting.encode, boosting.xgb.ExtMemQuantileDMatrix = encode, paged
    boosting.xgb.train = stages.apart("boost", boosting.xgb.train, "rest")  # type: ignore[attr-defined]
    if where == "memory":
        boosting.PAGE = sys.maxsize
    model = models.load("trip-duration")
    files = sorted(folder.glob("*.parquet"))[: rows // PART]
    before = peak_since()
    with tempfile.TemporaryDirectory(dir=folder) as scratch, stages.stage("rest"):
        found = pl.concat([pl.scan_parquet(file).select(judging.columns(model)) for file in files])
        trained = training.train(found, model, THREADS, folder=Path(scratch))
    return {
        "trained_rows": trained.rows,
        "seconds": sum(stages.seconds.values()),
        "boosting": stages.seconds["boost"],
        "base_mb": before,
        "peak_mb": max(*peaks, peak_since()),
        "xgboost_mb": peak_since(),
        "on_disk": bool(on_disk),
        "booster": hashlib.sha256(trained.booster).hexdigest(),
    }


def compare(folder: Path, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Measure every size in memory, and those of more than a page on disk as well; print a line of each."""
    from flows.ml.boosting import PAGE

    folder.mkdir(exist_ok=True)
    head = f"{'rows':>11} {'matrix':7} {'seconds':>8} {'boosting':>9} {'of it':>6} {'peak MB':>8} {'B a row':>8}"
    print(f"{head} {'XGBoost MB':>11} {'B a row':>8}")
    require_memory(BASE_MB + max(sizes) * ROW_MB, f"a training on {max(sizes):,} rows")
    found: list[dict[str, Any]] = []
    for rows in sizes:
        call("scale", "--folder", str(folder), "--rows", str(rows), "--prepare")
        inside = _one(folder, rows, "memory", found)
        if rows > PAGE and _one(folder, rows, "itself", found)["booster"] != inside["booster"]:
            sys.exit(f"{rows:,} rows: the boosters of both ways differ")
    print(f"One run each, {THREADS} threads; bytes a row beyond the first line, asked for: {SLOPE} at most")
    print("Beyond a page a run has its matrix on disk; in memory the same rows gave the same booster, byte for byte")
    return found


def _one(folder: Path, rows: int, where: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Measure one in a process of its own, add it to what was found before, and print it."""
    one = {"rows": rows} | json.loads(call("scale", "--folder", str(folder), "--rows", str(rows), "--one", where))
    first = found[0] if found else one
    shown = []
    for name in ("peak", "xgboost"):
        beyond = rows - first["rows"]
        one[f"{name}_bytes_a_row"] = (one[f"{name}_mb"] - first[f"{name}_mb"]) * 1e6 / beyond if beyond else None
        shown.append(f"{one[f'{name}_bytes_a_row']:.0f}" if beyond else "")
    found.append(one)
    matrix = "disk" if one["on_disk"] else "memory"
    line = f"{rows:11,} {matrix:7} {one['seconds']:8.1f} {one['boosting']:9.1f} {one['boosting'] / one['seconds']:6.0%}"
    print(f"{line} {one['peak_mb']:8.0f} {shown[0]:>8} {one['xgboost_mb']:11.0f} {shown[1]:>8}", flush=True)
    return one


def itself(folder: Path, rows: int) -> dict[str, Any]:
    """Train once within what this process may use, and print what came of it."""
    folder.mkdir(exist_ok=True)
    prepare(folder, rows)
    try:
        one: dict[str, Any] = json.loads(call("scale", "--folder", str(folder), "--rows", str(rows), "--one", "itself"))
    except subprocess.CalledProcessError as error:
        sys.exit(f"{rows:,} rows: {error} Where that is SIGKILL, it took more memory than the container may.")
    where = "on disk" if one["on_disk"] else "in memory"
    print(f"{rows:,} rows: {one['seconds']:.0f} s, matrix {where}", end=", ")
    print(f"{one['peak_mb']:,.0f} MB at most, {one['xgboost_mb']:,.0f} of XGBoost")
    return one


def _rows(text: str) -> int:
    if not text.isdecimal() or not int(text) or int(text) % PART:
        raise argparse.ArgumentTypeError(f"{text} is no multiple of {PART:,}")
    return int(text)


def main() -> None:
    """Measure, print the table, then the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rows", type=_rows, nargs="+", default=ROWS, help=f"multiples of {PART:,} (default: to 30 million)"
    )
    parser.add_argument("--folder", type=Path, help="where the months are made, and kept; else they are removed")
    parser.add_argument("--prepare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--itself", action="store_true", help="one training, within what this process may use")
    parser.add_argument("--one", choices=("memory", "itself"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.prepare:
        prepare(given.folder, given.rows[0])
    elif given.one:
        print(json.dumps(measure(given.folder, given.rows[0], given.one)))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            measured = itself(given.folder or Path(scratch), given.rows[0]) if given.itself else None
            print(json.dumps(measured or compare(given.folder or Path(scratch), given.rows)))


if __name__ == "__main__":
    main()
