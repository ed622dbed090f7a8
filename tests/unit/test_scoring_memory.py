"""Scoring eight times the rows takes the same memory."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
from strategies import small_model, trips

from flows.ml import month_files
from flows.ml.features import BATCH
from flows.ml.training import train

ROOT = Path(__file__).resolve().parents[2]
NOISE = 40
"""MB by which the peaks of two like runs may differ. Eight times the rows held at once, with their matrix and what the
model takes, are some 150 more."""

PEAK = """
import json, resource, sys
from pathlib import Path
from strategies import small_model
from flows.ml import scoring
from flows.ml.training import Predictor

class Champion(Predictor):
    def predict(self, rows, model):
        return super().predict(rows)

folder, rows = Path(sys.argv[1]), Path(sys.argv[2])
parts = [(folder / name).read_bytes() for name in ("booster.ubj", "encoder.json", "features.py")]
champion = Champion(parts[0], parts[1], parts[2].decode(), 1)
scored = scoring.score(champion, small_model(), rows, folder, lambda done, of: None)
unit = 1e6 if sys.platform == "darwin" else 1e3
print(json.dumps([scored.rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit]))
"""


def peak(folder: Path, rows: Path) -> tuple[int, float]:
    """How many rows were scored, and the peak of the memory (MB) of the process that did it."""
    paths = {"PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"}
    command = [sys.executable, "-c", PEAK, str(folder), str(rows)]
    done = subprocess.run(command, env=paths, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    count, megabytes = json.loads(done.stdout)
    return count, megabytes


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    for name, data in train(trips(1, 2_000), small_model(), threads=1).files().items():
        (tmp_path / name).write_bytes(data)
    drawn = trips(2, 1_000).sample(BATCH, with_replacement=True, seed=0)
    month_files.write(drawn.lazy(), tmp_path / "one.parquet")
    month_files.write(pl.concat([drawn] * 8).lazy(), tmp_path / "eight.parquet")

    one, eight = (peak(tmp_path, tmp_path / f"{name}.parquet") for name in ("one", "eight"))

    assert (one[0], eight[0]) == (BATCH, 8 * BATCH)
    assert eight[1] < one[1] + NOISE
