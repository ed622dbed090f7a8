"""One month from read to predict: Trainyard's model against the course pipeline it grew from, in one run.

Each way runs in a process of its own, imports not counted, in turn; the table gives medians and their ratio.
Run it as ``python -m benchmarks.retrain [--runs N]`` on a machine that does nothing else.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measuring import peak_mb

ROOT = Path(__file__).resolve().parent.parent
TRAIN, JUDGE = (str(ROOT / f"examples/tlc/green_tripdata_2023-{month}.parquet") for month in ("01", "02"))
THREADS = 2


def course() -> Callable[[], float]:
    """The course pipeline: pandas, the zone pair and the distance through a DictVectorizer, trees of depth 30.

    Parameters are those of the course (DataTalksClub, MLOps Zoomcamp, module 3); the code is written anew.
    """
    import numpy as np
    import pandas as pd
    import xgboost as xgb
    from sklearn.feature_extraction import DictVectorizer

    def load(path: str) -> tuple[pd.DataFrame, "np.ndarray[tuple[int], np.dtype[np.float64]]"]:
        trips = pd.read_parquet(path)
        minutes = (trips.lpep_dropoff_datetime - trips.lpep_pickup_datetime).dt.total_seconds() / 60
        trips = trips[(minutes >= 1) & (minutes <= 60)]
        pair = trips.PULocationID.astype(str) + "_" + trips.DOLocationID.astype(str)
        return pd.DataFrame({"pair": pair, "distance": trips.trip_distance}), minutes[trips.index].to_numpy()

    def run() -> float:
        (train, train_minutes), (judge, judge_minutes) = load(TRAIN), load(JUDGE)
        vectorizer = DictVectorizer(sparse=True)
        matrix = xgb.DMatrix(vectorizer.fit_transform(train.to_dict(orient="records")), label=train_minutes)
        judged = xgb.DMatrix(vectorizer.transform(judge.to_dict(orient="records")), label=judge_minutes)
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
        evals = [(judged, "judged")]
        booster = xgb.train(parameters, matrix, 100, evals=evals, early_stopping_rounds=20, verbose_eval=False)
        predicted = booster.predict(judged, iteration_range=(0, booster.best_iteration + 1))
        return float(np.sqrt(np.mean((predicted - judge_minutes) ** 2)))

    return run


def trainyard() -> Callable[[], float]:
    """Trainyard's model on the published files, held to the contract as an ingest holds them."""
    import numpy as np

    from flows import datasets, models
    from flows.ml import training
    from ops.trial import valid_rows

    model, dataset = models.load("trip-duration"), datasets.load("green-trips")

    def run() -> float:
        trained = training.train(valid_rows(Path(TRAIN), dataset, "2023-01"), model, THREADS)
        rows = training.in_scope(valid_rows(Path(JUDGE), dataset, "2023-02"), model)
        predictor = training.Predictor(trained.booster, trained.encoder, trained.code, THREADS)
        actual = training.targets(rows, model) / model.target_unit
        return float(np.sqrt(np.mean((predictor.predict(rows) - actual) ** 2)))

    return run


WAYS = {"course": course, "trainyard": trainyard}


def measure(way: str) -> dict[str, float]:
    """Run one way once, here: seconds, the process's peak memory in MB, RMSE in minutes."""
    run = WAYS[way]()
    began = time.perf_counter()
    rmse = run()
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "peak_mb": peak_mb(), "rmse": rmse}


def main() -> None:
    """Run both ways in turn and print the table, then the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each way")
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one)))
        return
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(given.runs):
        for way in WAYS:
            command = [sys.executable, "-m", "benchmarks.retrain", "--one", way]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            found[way].append(json.loads(done.stdout))
    medians = {w: {k: statistics.median(run[k] for run in runs) for k in runs[0]} for w, runs in found.items()}
    print(f"{'':10} {'seconds':>8} {'peak MB':>8} {'RMSE':>7}")
    for way, row in medians.items():
        print(f"{way:10} {row['seconds']:8.2f} {row['peak_mb']:8.0f} {row['rmse']:7.3f}")
    pairs = zip(found["course"], found["trainyard"], strict=True)
    ratio = statistics.median(a["seconds"] / b["seconds"] for a, b in pairs)
    print(f"Trainyard is {ratio:.1f} times as fast (median of {given.runs} pairs, {THREADS} threads)")
    print(json.dumps({"runs": found, "ratio": ratio}))


if __name__ == "__main__":
    main()
