"""The predictions of a month in the lake: what a manifest names, and nothing else."""

import hashlib
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from memory_lake import Crash, MemoryLake

from flows.ml import predictions
from flows.ml.lake import DigestMismatch
from flows.ml.manifest import File
from flows.ml.predictions import Predictions, PredictionsError

ADDRESS = "a" * 64
MANIFEST = f"predictions/trip-duration/2023-03/{ADDRESS}/v2/manifest.json"


def make(folder: Path, value: float = 7.0, fingerprint: str = "f2") -> tuple[Predictions, Path]:
    """Two rows, one of which could not be scored."""
    path = folder / f"{value}.parquet"
    frame = pl.DataFrame({"prediction": [value, None], "reason": [None, "no distance"]}, schema=predictions.SCHEMA)
    frame.write_parquet(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    key = predictions.data_key("trip-duration", "2023-03", ADDRESS, 2, sha256)
    made = Predictions(
        model="trip-duration",
        version=2,
        fingerprint=fingerprint,
        run_id="r2",
        dataset="green-trips",
        month="2023-03",
        address=ADDRESS,
        source=File(f"raw/green-trips/2023-03/{ADDRESS}/data.parquet", 10, ADDRESS),
        data=File(key, path.stat().st_size, sha256),
        rows=2,
        scored=1,
        reasons={"no distance": 1},
        in_scope=1,
        mean_predicted=value,
        mean_actual=8.0,
        unit="minutes",
        revision="c0ffee",
        created_at="2023-04-01T00:00:00+00:00",
    )
    return made, path


def find(lake: MemoryLake) -> Predictions | None:
    return predictions.find(lake, "trip-duration", "2023-03", ADDRESS, 2)


def test_what_is_published_is_found_and_read_back(tmp_path: Path) -> None:
    lake, (made, path) = MemoryLake(), make(tmp_path)

    published = predictions.publish(lake, made, path)

    assert (published.predictions, published.new) == (made, True)
    assert find(lake) == made
    assert predictions.read(lake, made, tmp_path).collect().equals(pl.read_parquet(path))
    assert sorted(lake.objects) == sorted([made.data.name, MANIFEST])


def test_predictions_of_other_rows_and_other_versions_are_not_found(tmp_path: Path) -> None:
    lake = MemoryLake()
    predictions.publish(lake, *make(tmp_path))

    assert predictions.find(lake, "trip-duration", "2023-03", "b" * 64, 2) is None
    assert predictions.find(lake, "trip-duration", "2023-03", ADDRESS, 1) is None
    assert predictions.find(lake, "trip-duration", "2023-02", ADDRESS, 2) is None


@pytest.mark.parametrize("write", [1, 2])
def test_a_crash_at_any_write_leaves_nothing_that_is_found_and_a_rerun_completes_it(tmp_path: Path, write: int) -> None:
    lake, (made, path) = MemoryLake(fail_at=write), make(tmp_path)
    with pytest.raises(Crash):
        predictions.publish(lake, made, path)
    left = find(lake)

    published = predictions.publish(lake, made, path)

    assert left is None
    assert published.new
    assert find(lake) == made


def test_of_two_writers_the_first_stays_and_the_second_is_told(tmp_path: Path) -> None:
    lake = MemoryLake()
    first, _ = make(tmp_path), predictions.publish(lake, *make(tmp_path))

    second = predictions.publish(lake, *make(tmp_path, value=9.0))

    assert (second.predictions, second.new) == (first[0], False)
    assert find(lake) == first[0]


def test_a_manifest_whose_file_is_gone_gives_way(tmp_path: Path) -> None:
    lake, (lost, path) = MemoryLake(), make(tmp_path)
    predictions.publish(lake, lost, path)
    del lake.objects[lost.data.name]
    before = predictions.is_whole(lake, lost)  # type: ignore[arg-type]

    other, path = make(tmp_path, value=9.0)
    published = predictions.publish(lake, other, path)

    assert not before
    assert published.new
    assert find(lake) == other
    assert predictions.is_whole(lake, other)  # type: ignore[arg-type]


def test_a_manifest_of_another_training_by_the_same_number_gives_way(tmp_path: Path) -> None:
    lake = MemoryLake()
    predictions.publish(lake, *make(tmp_path, fingerprint="of a registry that was emptied"))

    made, path = make(tmp_path)
    published = predictions.publish(lake, made, path)

    assert published.new
    assert find(lake) == made


def test_a_file_that_is_not_the_one_written_is_refused(tmp_path: Path) -> None:
    lake, (made, path) = MemoryLake(), make(tmp_path)
    predictions.publish(lake, made, path)
    lake.objects[made.data.name] += b"more"

    with pytest.raises(DigestMismatch):
        predictions.read(lake, made, tmp_path)
    assert not predictions.is_whole(lake, made)


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", b'{"model": "trip-duration"}'])
def test_a_text_that_is_no_manifest_is_refused_with_the_remedy(text: bytes) -> None:
    lake = MemoryLake({MANIFEST: text})

    with pytest.raises(PredictionsError, match=r"manifest\.json: not a manifest .* Remove it and score again"):
        find(lake)


def test_a_manifest_survives_the_lake_to_the_last_field(tmp_path: Path) -> None:
    made, _ = make(tmp_path)
    empty = replace(made, mean_predicted=None, mean_actual=None, reasons={})

    assert Predictions.from_json(made.to_json(), "m") == made
    assert Predictions.from_json(empty.to_json(), "m") == empty
