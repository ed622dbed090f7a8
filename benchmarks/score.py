"""A month scored by a stored model: rows a second and peak memory against rows, beside what cannot be done without.

The months are 2023-02 resampled, times and distance with jitter, in a lake on SeaweedFS. ``score`` is what the
flow's task does: bring the month from the lake, load the model as MLflow stores it, read, encode, predict, write,
digest, bring the predictions into the lake. Of it ``decode`` is reading the Parquet alone and ``predict`` the booster
alone on rows that are encoded already. Each is measured in a process of its own, imports not counted; the table gives
medians. Run it as ``python -m benchmarks.score [--runs N]`` on a machine that does nothing else.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measuring import THREADS, call, import_first, peak_mb, require_memory
from ops import s3_servers
from ops.command import count_of

BASE_MB = 1000
"""What a run takes, with an S3 server beside it. Measured by this."""
BUCKET = "bench"
ROWS = (250_000, 1_000_000, 4_000_000)
TARGET = 250_000
"""Rows a second that ``score`` has to reach on two cores."""


def prepare(folder: Path) -> None:
    """Leave a stored model, trained on 2023-01, in ``folder``, and the resampled months there and in the lake."""
    import mlflow.pyfunc
    import numpy as np

    from benchmarks import months
    from flows import models
    from flows.ml import month_files, serving, training
    from flows.ml.lake import connect
    from flows.ml.registration import ARTIFACTS
    from flows.ml.serving_requirements import serving_requirements

    model, train = models.load("trip-duration"), months.landed("2023-01")
    for name, data in training.train(train, model, THREADS).files().items():
        (folder / name).write_bytes(data)
    mlflow.pyfunc.save_model(
        folder / "model",
        python_model=serving.__file__,
        artifacts={role: str(folder / name) for role, name in ARTIFACTS.items()},
        pip_requirements=serving_requirements(),
        input_example=training.as_pandas(training.raw_rows(train.head(5), model)),
    )
    real, random = months.landed("2023-02"), np.random.default_rng(0)
    for rows in ROWS:
        month_files.write(months.resampled(real, rows, random), path := folder / f"{rows}.parquet")
        connect(BUCKET).upload_new(path.name, path)


@contextmanager
def lake(folder: Path) -> Iterator[None]:
    """A lake for as long as the block lasts; the environment of this process leads there."""
    keys = ("bench", uuid.uuid4().hex)
    server = s3_servers.seaweedfs(
        s3_servers.find_weed(), folder, s3_servers.free_ports(s3_servers.SEAWEEDFS_PORTS), *keys
    )
    with s3_servers.running(server, folder / "log"):
        s3_servers.make_bucket(server.url, BUCKET, *keys)
        names = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")
        os.environ.update(zip(names, (server.url, *keys, s3_servers.REGION), strict=True))
        yield


def score(folder: Path, rows: int) -> Callable[[], float]:
    """From the lake and back: load, read, encode, predict, write, digest."""
    import mlflow.pyfunc

    from flows import models
    from flows.ml import scoring
    from flows.ml.champion import Champion
    from flows.ml.lake import connect
    from flows.ml.registry import Version

    def run() -> float:
        began = time.perf_counter()
        lake = connect(BUCKET)
        with tempfile.TemporaryDirectory() as scratch:
            lake.download(f"{rows}.parquet", source := Path(scratch) / "month.parquet")
            stored = mlflow.pyfunc.load_model(str(folder / "model"))
            champion = Champion(Version("trip-duration", 1, "", "", {}), ("2023-01",), stored)
            found = scoring.score(champion, models.load("trip-duration"), source, Path(scratch), lambda done, of: None)
            lake.upload_new(f"{uuid.uuid4().hex}.parquet", found.file.path)
        assert (found.rows, found.reasons) == (rows, {})
        return time.perf_counter() - began

    return run


def decode(folder: Path, rows: int) -> Callable[[], float]:
    """Read a batch at a time."""
    import polars as pl

    from flows import models
    from flows.ml import scoring

    def run() -> float:
        began = time.perf_counter()
        found = pl.scan_parquet(folder / f"{rows}.parquet").select(scoring.columns(models.load("trip-duration")))
        for start in range(0, rows, scoring.BATCH):
            found.slice(start, scoring.BATCH).collect()
        return time.perf_counter() - began

    return run


def predict(folder: Path, rows: int) -> Callable[[], float]:
    """The booster on batches that were encoded before its clock runs."""
    import polars as pl

    from flows.ml import boosting, features

    def run() -> float:
        encoder = features.Encoder.from_json((folder / "encoder.json").read_bytes())
        booster = boosting.load((folder / "booster.ubj").read_bytes(), THREADS)
        seconds = 0.0
        for start in range(0, rows, features.BATCH):
            batch = pl.scan_parquet(folder / f"{rows}.parquet").slice(start, features.BATCH).collect()
            matrix = encoder.transform(batch)
            began = time.perf_counter()
            booster.inplace_predict(matrix)
            seconds += time.perf_counter() - began
        return seconds

    return run


WAYS = {"score": score, "decode": decode, "predict": predict}
IMPORTS = ("boto3.s3.transfer", "flows.ml.scoring", "flows.models.trip_duration", "mlflow.pyfunc", "pandas", "xgboost")
"""What a stored model and a lake import when they are opened, beside what the ways do."""


def measure(way: str, folder: Path, rows: int) -> dict[str, float]:
    """Run one way once, here: seconds of the clock and of the processors, the process's peak memory in MB."""
    import_first(IMPORTS)
    run = WAYS[way](folder, rows)
    before = time.process_time()
    seconds = run()
    return {"seconds": seconds, "cpu_seconds": time.process_time() - before, "peak_mb": peak_mb()}


def compare(folder: Path, runs: int) -> dict[int, dict[str, dict[str, float]]]:
    """The medians of every way at every size, the ways in turn."""
    call("score", "--folder", str(folder), "--prepare")
    found: dict[int, dict[str, dict[str, float]]] = {}
    for rows in ROWS:
        seen: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(runs):
            for way in WAYS:
                seen[way].append(json.loads(call("score", "--folder", str(folder), "--rows", str(rows), "--one", way)))
        found[rows] = {
            way: {name: statistics.median(one[name] for one in all_) for name in all_[0]} for way, all_ in seen.items()
        }
    return found


def main() -> None:
    """Measure, print the table, then the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=count_of("runs"), default=3, help="runs of each way at each size")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--prepare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.prepare:
        prepare(given.folder)
        return
    if given.one:
        print(json.dumps(measure(given.one, given.folder, given.rows)))
        return
    require_memory(BASE_MB, "scoring")
    with tempfile.TemporaryDirectory() as folder, lake(Path(folder)):
        found = compare(Path(folder), given.runs)
    print(f"{'rows':>10} {'score s':>8} {'rows a s':>9} {'CPU s':>6} {'peak MB':>8} {'decode s':>9} {'predict s':>10}")
    for rows, ways in found.items():
        one, floor = ways["score"], (ways["decode"]["seconds"], ways["predict"]["seconds"])
        figures = f"{one['seconds']:8.2f} {rows / one['seconds']:9,.0f} {one['cpu_seconds']:6.1f} {one['peak_mb']:8.0f}"
        print(f"{rows:10,} {figures} {floor[0]:9.2f} {floor[1]:10.2f}")
    print(f"Each is the median of {given.runs}, {THREADS} threads; {TARGET:,} rows a second are asked for")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
