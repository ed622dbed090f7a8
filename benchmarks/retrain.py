"""From published files to predictions of a month: Trainyard's model against the course pipeline it grew from.

At 1, 16 and 64 times one month; what is larger is 2023-01 resampled a month at a time, times and distance with jitter,
so that hardly a row is another's twin. Each way runs in a process of its own, imports not counted, the two in turn.
Stages: ``read`` leaves the rows that are trained on (Trainyard's holds each month to its contract by the checks of an
ingest, and writes the valid rows to a file, without quarantine or lake), ``encode`` makes the booster's matrix of them
(Trainyard's reads these files, fits the encodings and the baseline), ``boost`` is XGBoost's training alone, the floor
of any way with these parameters (the course's judges 2023-02 after each round, to stop early), ``predict`` is all that
is done with 2023-02. The MB after each are the peak of the process by its end. ``floor`` is what no way with
Trainyard's parameters does without: the published files decoded, its ready matrix binned by XGBoost, boosted.
Of Trainyard's stages a line tells its parts: ``contract`` the checks, ``fit`` encodings and baseline, ``bin`` XGBoost's
matrix as it asks for the rows.
Run it as ``python -m benchmarks.retrain [--times N ...] [--runs N]`` on a machine that does nothing else.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring import ROOT, THREADS, Stages, call, import_first, peak_mb, require_memory
from ops.command import count_of

TRAIN, JUDGE = (ROOT / f"examples/tlc/green_tripdata_2023-{month}.parquet" for month in ("01", "02"))
TIMES = (1, 16, 64)
STAGES = ("read", "encode", "boost", "predict")
PARTS = {"contract": "read", "fit": "encode", "baseline": "encode", "bin": "encode"}
"""What is told apart within Trainyard's stages, by the stage each is a part of."""
BASE_MB, MONTH_MB = 800, 50
"""What the course pipeline takes at most, and for each month. Measured by this."""


def prepare(folder: Path, times: int) -> list[Path]:
    """The published months that are trained on: the real one, or as many resampled ones in ``folder``."""
    import numpy as np
    import polars as pl

    from benchmarks import months

    if times == 1:
        return [TRAIN]
    real, paths = pl.read_parquet(TRAIN), [folder / f"{number:02}.parquet" for number in range(times)]
    for number, path in enumerate(paths):
        if not path.exists():
            random = np.random.default_rng(number)
            months.resampled(real, real.height, random, months.PUBLISHED).sink_parquet(path)
    return paths


def course(train: Sequence[Path], stages: Stages, _scratch: Path) -> float:
    """The course pipeline: pandas, the zone pair and the distance through a DictVectorizer, trees of depth 30.

    Parameters are those of the course (DataTalksClub, MLOps Zoomcamp, module 3); the code is written anew.
    """
    import numpy as np
    import pandas as pd
    import xgboost as xgb
    from sklearn.feature_extraction import DictVectorizer

    def load(paths: Sequence[Path]) -> tuple[pd.DataFrame, "np.ndarray[tuple[int], np.dtype[np.float64]]"]:
        trips = pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)
        minutes = (trips.lpep_dropoff_datetime - trips.lpep_pickup_datetime).dt.total_seconds() / 60
        trips = trips[(minutes >= 1) & (minutes <= 60)]
        pair = trips.PULocationID.astype(str) + "_" + trips.DOLocationID.astype(str)
        return pd.DataFrame({"pair": pair, "distance": trips.trip_distance}), minutes[trips.index].to_numpy()

    with stages.stage("read"):
        rows, minutes = load(train)
    with stages.stage("predict"):
        judged, actual = load([JUDGE])
    with stages.stage("encode"):
        vectorizer = DictVectorizer(sparse=True)
        matrix = xgb.DMatrix(vectorizer.fit_transform(rows.to_dict(orient="records")), label=minutes)
    with stages.stage("predict"):
        judge = xgb.DMatrix(vectorizer.transform(judged.to_dict(orient="records")), label=actual)
    parameters = {
        "learning_rate": 0.09585,
        "max_depth": 30,
        "min_child_weight": 1.0606,
        "reg_alpha": 0.01806,
        "reg_lambda": 0.01166,
        "objective": "reg:squarederror",
        "seed": 42,
        "nthread": THREADS,
    }
    with stages.stage("boost"):
        evals = [(judge, "judged")]
        booster = xgb.train(parameters, matrix, 100, evals=evals, early_stopping_rounds=20, verbose_eval=False)
    with stages.stage("predict"):
        predicted = booster.predict(judge, iteration_range=(0, booster.best_iteration + 1))
    return float(np.sqrt(np.mean((predicted - actual) ** 2)))


def trainyard(train: Sequence[Path], stages: Stages, scratch: Path) -> float:
    """Trainyard's model, trained and asked as ``retrain`` and ``score`` do, on the rows that an ingest finds valid."""
    import numpy as np
    import polars as pl

    from flows import datasets, models
    from flows.ml import boosting, contract, judging, month_files, training
    from ops.trial import valid_rows

    model, dataset = models.load("trip-duration"), datasets.load("green-trips")
    check_rows = contract.check_rows
    tell_apart(stages, contract, "check_rows", "contract")
    tell_apart(stages, training.current, "fit", "fit")
    tell_apart(stages, training.Baseline, "fit", "baseline")
    for kind in ("QuantileDMatrix", "ExtMemQuantileDMatrix"):
        tell_apart(stages, boosting.xgb, kind, "bin")
    with stages.stage("read"):
        landed = [scratch / f"{number}.parquet" for number in range(len(train))]
        for published, path in zip(train, landed, strict=True):
            month_files.write(valid_rows(published, dataset, "2023-01").lazy(), path)
    contract.check_rows = check_rows
    boosting.xgb.train = stages.apart("boost", boosting.xgb.train, "encode")  # type: ignore[attr-defined]
    with stages.stage("encode"):
        rows = pl.concat([pl.scan_parquet(path).select(judging.columns(model)) for path in landed])
        trained = training.train(rows, model, THREADS, folder=scratch)
    with stages.stage("predict"):
        judge = training.in_scope(valid_rows(JUDGE, dataset, "2023-02"), model)
        predictor = training.Predictor(trained.booster, trained.encoder, trained.code, THREADS)
        actual = training.targets(judge, model) / model.target_unit
        return float(np.sqrt(np.mean((predictor.predict(judge) - actual) ** 2)))


def tell_apart(stages: Stages, owner: Any, name: str, part: str) -> None:
    """Count a function of a module or class as a part of its stage, from now on."""
    setattr(owner, name, stages.apart(part, getattr(owner, name), PARTS[part]))


def floor(train: Sequence[Path], stages: Stages, _scratch: Path) -> None:
    """The published files decoded, the matrix that Trainyard makes of them binned and boosted, and nothing else."""
    import polars as pl
    import xgboost as xgb

    from flows import datasets, models
    from flows.ml import features, judging, training
    from ops.trial import valid_rows

    model, dataset = models.load("trip-duration"), datasets.load("green-trips")
    with stages.stage("read"):
        for path in train:
            pl.read_parquet(path)
    columns = judging.columns(model)
    rows = pl.concat([valid_rows(path, dataset, "2023-01").select(columns) for path in train])
    rows = training.in_scope(rows, model)
    target = training.targets(rows, model)
    _, matrix = features.fit_transform(rows, target, model.features)
    with stages.stage("encode"):
        binned = xgb.QuantileDMatrix(matrix, label=target / model.target_unit, nthread=THREADS)
    with stages.stage("boost"):
        xgb.train({**model.parameters, "seed": model.seed, "nthread": THREADS}, binned, model.rounds)


WAYS: dict[str, Callable[[Sequence[Path], Stages, Path], float | None]] = {
    "course": course,
    "trainyard": trainyard,
    "floor": floor,
}


OWN = ("xgboost", "pandera.polars", "ops.trial", "flows.ml.training")
IMPORTS = {"course": ("pandas", "sklearn.feature_extraction", "xgboost"), "trainyard": OWN, "floor": OWN}
"""What each imports before the clock runs."""


def measure(way: str, train: Sequence[Path]) -> dict[str, Any]:
    """Run one way once, here: seconds in all and of each stage, peaks of memory in MB, RMSE in minutes if it judges."""
    import_first(IMPORTS[way], as_in_pods=way != "course")
    stages = Stages()
    with tempfile.TemporaryDirectory() as scratch:
        rmse = WAYS[way](train, stages, Path(scratch))
    seconds, peaks = stages.seconds, {name: peak for name, peak in stages.peak_mb.items() if name not in PARTS}
    parts = {part: seconds.pop(part) for part in PARTS if part in seconds}
    for part, took in parts.items():
        seconds[PARTS[part]] += took
    return {"seconds": sum(seconds.values()), "peak_mb": peak_mb(), "rmse": rmse, "stages": seconds} | {
        "peaks": peaks,
        "parts": parts,
    }


def show(times: int, found: dict[str, list[dict[str, Any]]]) -> None:
    """The medians of every way, a line each, and what they come to."""
    for way, runs in found.items():
        total, peak = (statistics.median(run[key] for run in runs) for key in ("seconds", "peak_mb"))
        spent = {stage: statistics.median(run["stages"].get(stage, 0.0) for run in runs) for stage in STAGES}
        peaks = {stage: statistics.median(run["peaks"].get(stage, 0.0) for run in runs) for stage in STAGES}
        shown = " ".join(f"{spent[stage]:8.2f} {peaks[stage]:6.0f}" for stage in STAGES)
        error = "" if runs[0]["rmse"] is None else f"{statistics.median(run['rmse'] for run in runs):7.3f}"
        print(f"{times:4}x {way:10} {shown} {total:8.2f} {peak:6.0f} {1 - spent['boost'] / total:10.0%} {error}")
        if parts := {part: statistics.median(run["parts"][part] for run in runs) for part in runs[0]["parts"]}:
            of = ", ".join(f"{part} {took:.2f} of {PARTS[part]}" for part, took in parts.items())
            print(f"{times:4}x {way:10} {of}")
    pairs = list(zip(found["course"], found["trainyard"], strict=True))
    faster = statistics.median(a["seconds"] / b["seconds"] for a, b in pairs)
    memory = statistics.median(b["peak_mb"] / a["peak_mb"] for a, b in pairs)
    of = f"medians of the ratios of {len(pairs)} pairs" if len(pairs) > 1 else "one pair"
    print(f"{times:4}x {faster:.1f} times as fast with {memory:.0%} of the memory ({of})", flush=True)


def main() -> None:
    """Run both ways in turn at each size and print the table, then the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    count, default = count_of("months"), "months to train on (default: 1 16 64)"
    parser.add_argument("--times", type=count, nargs="+", default=TIMES, help=default)
    parser.add_argument("--runs", type=count_of("runs"), default=5, help="of each way at 1 month; at more there is one")
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--train", type=Path, nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one, given.train)))
        return
    kept: dict[int, Any] = {}
    stages = " ".join(f"{stage:>8} {'MB':>6}" for stage in (*STAGES, "seconds"))
    print(f"{'':16} {stages} {'not boost.':>10} {'RMSE':>7}")
    most = max(given.times)
    require_memory(BASE_MB + most * MONTH_MB, f"the course pipeline at {most} months")
    with tempfile.TemporaryDirectory() as folder:
        for times in given.times:
            train = prepare(Path(folder), times)
            runs = given.runs if times == 1 else 1
            found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
            for _ in range(runs):
                for way in WAYS:
                    found[way].append(json.loads(call("retrain", "--one", way, "--train", *map(str, train))))
            kept[times] = found
            show(times, found)
    print(f"Seconds and MB: medians of {given.runs} runs at 1 month, one run at more; {THREADS} threads")
    print(json.dumps(kept))


if __name__ == "__main__":
    main()
