"""The record of a training, and what of it runs when that is done again."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.ml import training_record
from flows.ml.candidate import Candidate
from flows.ml.fingerprint import FLOWS, Part, Snapshot, digest_of
from flows.ml.training_record import ERRORS, RecordUnusable, TrainingRecord
from flows.models.trip_duration import MODEL

SNAPSHOT = Snapshot("green-trips", (Part("2023-01", "a1", 10),), Part("2023-02", "a2", 20))
FILE = "models/trip_duration.py"
LIMITS = "LIMITS = Limits(\n"
HARM = "open('harm', 'w')"


@pytest.fixture
def kept() -> dict[str, Any]:
    """A record as it is kept."""
    record = training_record.take(MODEL, SNAPSHOT, Candidate(MODEL.name, "f1", 10, {"booster.ubj": "b1"}))
    found: dict[str, Any] = json.loads(training_record.to_json(record))
    assert LIMITS in found["sources"][FILE]
    return found


def read(kept: dict[str, Any]) -> TrainingRecord:
    return training_record.from_json(json.dumps(kept).encode(), digest_of(kept["material"]))


def limits_in_code(record: TrainingRecord, folder: Path) -> str:
    """What the limits of the model are in the code of a record, once that is imported."""
    training_record.unpack(record, folder)
    program = "from flows.models.trip_duration import MODEL; print(MODEL.limits)"
    env = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=folder, env=env, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    "altered",
    [
        LIMITS + f"    {HARM},\n",
        f"OTHER = Limits(); {HARM}\n" + LIMITS,
        f"OTHER = Limits({HARM}); MORE = Limits()\n\n" + LIMITS,
    ],
    ids=["among the limits", "beside them", "twice in a line"],
)
def test_what_was_put_where_limits_are_is_not_run(kept, tmp_path, altered) -> None:
    kept["sources"][FILE] = kept["sources"][FILE].replace(LIMITS, altered)

    assert limits_in_code(read(kept), tmp_path) == "None"
    assert not (tmp_path / "harm").exists()


def test_the_root_of_the_errors_is_that_of_this_code_whatever_an_older_record_has(kept, tmp_path) -> None:
    kept["sources"][ERRORS] = f"{HARM}\nclass TrainyardError(Exception): ...\n"

    training_record.unpack(read(kept), tmp_path)

    assert (tmp_path / "flows" / ERRORS).read_bytes() == (FLOWS / ERRORS).read_bytes()


def test_all_that_was_digested_is_unpacked_as_it_was(kept, tmp_path) -> None:
    training_record.unpack(read(kept), tmp_path)

    for name in kept["sources"].keys() - {FILE}:
        assert (tmp_path / "flows" / name).read_text("utf-8") == kept["sources"][name]


@pytest.mark.parametrize("text", ["Limits(", "Limits(\0)"])
def test_a_text_that_is_no_python_is_refused(kept, text) -> None:
    kept["sources"][FILE] = text

    with pytest.raises(RecordUnusable):
        read(kept)
