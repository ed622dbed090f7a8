"""The stored model, loaded where nothing of this repository is."""

import os
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import polars as pl
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from flows.ml import serving
from flows.ml.serving_requirements import serving_requirements
from flows.ml.training import Predictor, train
from tests.unit.strategies import small_model, trips

MODEL = small_model()
ROWS = trips(1, 2_000)

SCORE = """
import sys, mlflow, numpy, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
rows = pandas.read_parquet(sys.argv[2])
numpy.save(sys.argv[3], model.predict(rows))
assert not [name for name in sys.modules if name.split(".")[0] in ("flows", "prefect", "boto3")]
"""

SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            ColSpec(DataType.datetime, "pickup_at"),
            ColSpec(DataType.long, "pickup_zone"),
            ColSpec(DataType.long, "dropoff_zone"),
            ColSpec(DataType.double, "distance"),
        ]
    ),
    outputs=Schema([ColSpec(DataType.double)]),
)


@pytest.fixture(scope="module")
def trained():
    return train(ROWS, MODEL, threads=1)


@pytest.fixture(scope="module")
def raw():
    return ROWS.select(MODEL.inputs).with_columns(pl.col("pickup_zone", "dropoff_zone").cast(pl.Int64)).to_pandas()


@pytest.fixture(scope="module")
def stored(tmp_path_factory, trained, raw) -> Path:
    """The folder of a model as MLflow saves it."""
    folder = tmp_path_factory.mktemp("stored")
    parts = {"booster": "booster.ubj", "encoder": "encoder.json", "features": "features.py"}
    for part, content in zip(parts.values(), (trained.booster, trained.encoder, trained.code.encode()), strict=True):
        (folder / part).write_bytes(content)
    mlflow.pyfunc.save_model(
        folder / "model",
        python_model=serving.__file__,
        artifacts={name: str(folder / part) for name, part in parts.items()},
        pip_requirements=serving_requirements(),
        signature=SIGNATURE,
        input_example=raw.head(3),
    )
    return folder / "model"


def test_it_predicts_to_the_bit_what_training_predicted(stored, trained, raw, tmp_path):
    raw.to_parquet(tmp_path / "rows.parquet")
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    arguments = [str(stored), str(tmp_path / "rows.parquet"), str(tmp_path / "predicted.npy")]

    subprocess.run(
        [sys.executable, "-c", SCORE, *arguments],
        cwd=tmp_path,
        env={**clean, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        check=True,
    )

    expected = Predictor(trained.booster, trained.encoder, trained.code, 1).predict(ROWS)
    assert np.array_equal(np.load(tmp_path / "predicted.npy"), expected)


def test_nothing_that_is_stored_is_a_pickle(stored):
    files = {str(path.relative_to(stored)) for path in stored.rglob("*") if path.is_file()}

    assert {Path(name).suffix for name in files if "requirements" not in name} <= {".json", ".py", ".ubj", ".yaml", ""}
    assert {name for name in files if not Path(name).suffix} <= {"MLmodel", "registered_model_meta"}
    assert not [name for name in files if (stored / name).read_bytes()[:1] == b"\x80"]


def test_every_requirement_is_pinned(stored):
    lines = (stored / "requirements.txt").read_text().split("\n")

    assert len(lines) == 6
    assert all("==" in line for line in lines)
