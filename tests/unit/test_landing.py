"""Months into a lake and out of it; the lake is a stand-in in memory, so that it can fail at any write."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from memory_lake import Crash, MemoryLake

from flows.datasets.green_trips import DATASET
from flows.ml import landing, month_files
from flows.ml.contract import ContractError, check_rows
from flows.ml.lake import DigestMismatch
from flows.ml.landing import MonthMissing, land
from flows.ml.manifest import Manifest, ManifestError, contract_digest
from flows.ml.month_files import write_broken, write_kept
from flows.ml.source import Fetched

MONTH = "2023-02"
ROOT = Path(__file__).parents[2]
SMALL = replace(DATASET, min_rows=1, max_broken=0.3)


@pytest.fixture
def lake() -> MemoryLake:
    return MemoryLake()


def made_month(folder: Path, rows: int = 8, broken: int = 2, extra: float = 0.0, month: str = MONTH) -> Fetched:
    """A small month; ``extra`` is in a column that the contract ignores."""
    start = datetime.fromisoformat(f"{month}-03")
    frame = pl.DataFrame(
        {
            "lpep_pickup_datetime": [start + timedelta(minutes=row) for row in range(rows)],
            "lpep_dropoff_datetime": [start + timedelta(minutes=row + 10) for row in range(rows)],
            "PULocationID": [0 if row < broken else 74 for row in range(rows)],
            "DOLocationID": [75] * rows,
            "trip_distance": [row / 4 for row in range(rows)],
            "fare_amount": [3.0 + row for row in range(rows)],
            "extra": [extra] * rows,
            "cbd_fee": [0.75] * rows,
        }
    )
    path = folder / f"source-{month}-{rows}-{broken}-{extra}.parquet"
    frame.write_parquet(path)
    data = path.read_bytes()
    return Fetched(path, "https://host/month.parquet", len(data), hashlib.sha256(data).hexdigest())


def landed(lake, source: Fetched, dataset=SMALL, month: str = MONTH, at: str = "2023-04-01T00:00:00Z"):
    return land(lake, dataset, month, source, source.path.parent, revision="0" * 40, created_at=at)


def test_a_month_lands_as_data_quarantine_and_manifests(lake, tmp_path):
    source = made_month(tmp_path)

    got = landed(lake, source)

    address = hashlib.sha256(lake.objects[got.manifest.data.name]).hexdigest()
    assert got.new
    assert lake.keys() == [
        f"quarantine/green-trips/2023-02/{source.sha256}/rows.parquet",
        f"raw/green-trips/2023-02/{address}/data.parquet",
        f"raw/green-trips/2023-02/{address}/manifest.json",
        "raw/green-trips/2023-02/manifest.json",
    ]


def test_the_manifest_says_where_the_month_came_from_and_what_was_kept(lake, tmp_path):
    source = made_month(tmp_path)

    landed(lake, source)
    found = landing.manifest(lake, "green-trips", MONTH)

    assert (found.source.name, found.source.size, found.source.sha256) == (source.name, source.size, source.sha256)
    assert (found.rows_in, found.rows_kept, found.broken) == (8, 6, {"pickup zone outside 1 to 265": 2})
    assert found.columns["pickup_zone"] == "Int16"
    assert found.new_columns == ("cbd_fee",)
    assert (found.contract, found.revision) == (contract_digest("green-trips"), "0" * 40)


def test_the_data_are_the_valid_rows_typed_and_the_quarantine_the_others_as_they_came(lake, tmp_path):
    source = made_month(tmp_path)
    raw = pl.read_parquet(source.path)

    found = landed(lake, source).manifest
    data = pl.read_parquet(landing.fetch(lake, found, tmp_path))
    quarantine = pl.read_parquet(lake.objects[found.quarantine.name])

    assert data.schema == {name: column.dtype.type for name, column in DATASET.schema.columns.items()}
    assert data["distance"].to_list() == raw["trip_distance"][2:].to_list()
    assert quarantine.equals(raw[:2].with_columns(reason=pl.lit("pickup zone outside 1 to 265")))


def test_a_month_without_broken_rows_has_no_quarantine(lake, tmp_path):
    found = landed(lake, made_month(tmp_path, broken=0)).manifest

    assert found.quarantine is None
    assert not lake.keys("quarantine/")


def test_slices_do_not_show_in_what_is_written(tmp_path, monkeypatch):
    source, whole, sliced = made_month(tmp_path), MemoryLake(), MemoryLake()
    landed(whole, source)
    monkeypatch.setattr(month_files, "SLICE_ROWS", 1)

    landed(sliced, source)

    assert sliced.objects == whole.objects


def test_the_same_bytes_again_write_nothing(lake, tmp_path):
    source = made_month(tmp_path)
    first = landed(lake, source)
    writes = lake.writes

    again = landed(lake, source, at="2024-01-01T00:00:00Z")

    assert (again.manifest, again.new) == (first.manifest, False)
    assert lake.writes == writes


def test_a_corrected_month_is_a_new_address_and_the_old_one_stays(lake, tmp_path):
    old = landed(lake, made_month(tmp_path)).manifest

    new = landed(lake, made_month(tmp_path, rows=9)).manifest

    assert landing.manifest(lake, "green-trips", MONTH) == new
    assert new.address != old.address
    assert pl.read_parquet(landing.fetch(lake, old, tmp_path)).height == 6


def test_a_month_that_goes_back_to_what_it_was_is_current_again(lake, tmp_path):
    old = landed(lake, made_month(tmp_path)).manifest
    landed(lake, made_month(tmp_path, rows=9))

    back = landed(lake, made_month(tmp_path))

    assert back.new
    assert landing.manifest(lake, "green-trips", MONTH) == back.manifest == old


def test_another_file_with_the_same_trips_has_the_same_address_and_is_known_again(lake, tmp_path):
    old = landed(lake, made_month(tmp_path)).manifest
    other = made_month(tmp_path, extra=1.0)

    new = landed(lake, other).manifest

    assert new.address == old.address
    assert new.source.sha256 == other.sha256
    assert not landed(lake, other).new


def test_another_contract_lands_the_same_bytes_anew(lake, tmp_path, monkeypatch):
    source = made_month(tmp_path)
    old = landed(lake, source).manifest
    stale = lake.objects[old.quarantine.name] = b"of the old contract"
    monkeypatch.setattr(landing, "contract_digest", lambda dataset: "another")

    got = landed(lake, source)

    assert got.new
    assert landing.manifest(lake, "green-trips", MONTH).contract == "another"
    assert lake.objects[old.quarantine.name] != stale


@pytest.mark.parametrize(("rows", "broken"), [(8, 3), (8, 8), (0, 0)])
def test_a_refused_month_leaves_no_object(lake, tmp_path, rows, broken):
    with pytest.raises(ContractError):
        landed(lake, made_month(tmp_path, rows=rows, broken=broken))

    assert lake.objects == {}


def test_a_refused_correction_leaves_the_month_as_it_was(lake, tmp_path):
    landed(lake, made_month(tmp_path))
    before = dict(lake.objects)

    with pytest.raises(ContractError):
        landed(lake, made_month(tmp_path, broken=8))

    assert lake.objects == before


@pytest.mark.parametrize("write", [1, 2, 3, 4])
def test_a_crash_at_any_write_shows_no_month_and_a_rerun_completes_it(tmp_path, write):
    source, whole, lake = made_month(tmp_path), MemoryLake(), MemoryLake(fail_at=write)
    landed(whole, source)
    with pytest.raises(Crash):
        landed(lake, source)

    assert whole.writes == 4
    assert landing.months(lake, "green-trips") == []
    assert landed(lake, source).new
    assert lake.objects == whole.objects


@pytest.mark.parametrize("write", [1, 2, 3, 4])
def test_a_crash_in_a_correction_leaves_the_old_month_until_a_rerun_completes_it(lake, tmp_path, write):
    old, source = landed(lake, made_month(tmp_path)).manifest, made_month(tmp_path, rows=9)
    lake.fail_at = lake.writes + write
    with pytest.raises(Crash):
        landed(lake, source)

    assert landing.manifest(lake, "green-trips", MONTH) == old
    assert landed(lake, source).new
    assert landing.manifest(lake, "green-trips", MONTH).source.sha256 == source.sha256


def test_a_rerun_keeps_the_first_record_of_an_address(tmp_path):
    source, lake = made_month(tmp_path), MemoryLake(fail_at=4)
    with pytest.raises(Crash):
        landed(lake, source, at="2023-04-01T00:00:00Z")

    got = landed(lake, source, at="2023-04-02T00:00:00Z")

    assert got.manifest.created_at == "2023-04-01T00:00:00Z"


class RacedLake(MemoryLake):
    """Another landing of ``source`` comes in between the read and the last write."""

    source: Fetched | None = None

    def replace(self, key: str, data: bytes, etag: str | None) -> str:
        if self.source:
            other, self.source = self.source, None
            landed(self, other)
        return super().replace(key, data, etag)


def test_two_landings_of_the_same_file_at_once_end_as_one(tmp_path):
    lake, source = RacedLake(), made_month(tmp_path)
    lake.source = source

    got = landed(lake, source)

    assert not got.new
    assert landing.manifest(lake, "green-trips", MONTH) == got.manifest
    assert lake.writes == 4


def test_of_two_landings_of_different_files_at_once_the_later_is_current_and_both_stay(tmp_path):
    lake, source = RacedLake(), made_month(tmp_path)
    lake.source = made_month(tmp_path, rows=9)

    got = landed(lake, source)

    assert got.new
    assert landing.manifest(lake, "green-trips", MONTH) == got.manifest
    assert len([key for key in lake.objects if key.endswith("data.parquet")]) == 2


def test_the_months_are_those_with_a_manifest_of_their_own_in_order(lake, tmp_path):
    for month in ("2023-03", "2022-12", "2023-01"):
        landed(lake, made_month(tmp_path, month=month), month=month)
    lake.objects["raw/green-trips/2023-05/0000/manifest.json"] = b"{}"
    lake.objects["raw/green_trips_2/2023-06/manifest.json"] = b"{}"

    assert landing.months(lake, "green-trips") == ["2022-12", "2023-01", "2023-03"]


def test_a_month_that_is_not_there_is_a_named_error_that_lists_what_is(lake, tmp_path):
    landed(lake, made_month(tmp_path))

    with pytest.raises(MonthMissing, match=r"no 2023-03 of green-trips \(it has: 2023-02\)"):
        landing.manifest(lake, "green-trips", "2023-03")


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"dataset": "green-trips"}'])
def test_what_is_no_manifest_is_a_named_error(lake, text):
    lake.objects["raw/green-trips/2023-02/manifest.json"] = text

    with pytest.raises(ManifestError, match=r"raw/green-trips/2023-02/manifest\.json"):
        landing.manifest(lake, "green-trips", MONTH)


def test_a_manifest_comes_back_from_its_json_as_it_was(lake, tmp_path):
    manifest = landed(lake, made_month(tmp_path)).manifest

    assert Manifest.from_json(manifest.to_json(), "key") == manifest


def test_damaged_data_are_not_handed_out(lake, tmp_path):
    manifest = landed(lake, made_month(tmp_path)).manifest
    lake.objects[manifest.data.name] = b"x"

    with pytest.raises(DigestMismatch):
        landing.fetch(lake, manifest, tmp_path)


def test_a_dataset_without_a_file_has_no_contract():
    with pytest.raises(ManifestError, match=r"flows/datasets/blue_trips\.py"):
        contract_digest("blue_trips")


def written(source: Path, folder: Path) -> list[str]:
    file = pl.scan_parquet(source)
    checked = check_rows(file, DATASET, MONTH)
    kept = write_kept(file, checked, DATASET, folder / "kept")
    return [str(pl.thread_pool_size()), kept.sha256, write_broken(file, checked, folder / "broken").sha256]


def test_the_bytes_written_do_not_depend_on_the_number_of_threads(tmp_path):
    months = pl.concat([pl.scan_parquet(ROOT / "examples/tlc/green_tripdata_2023-02.parquet")] * 5)
    months.sink_parquet(tmp_path / "source", row_group_size=70_000)
    others = pl.thread_pool_size() * 4
    command = [sys.executable, __file__, tmp_path / "source", tmp_path]
    environment = {"POLARS_MAX_THREADS": str(others), "PYTHONPATH": str(ROOT)}

    here = written(tmp_path / "source", tmp_path)
    there = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()

    assert there[0] == str(others)
    assert there[1:] == here[1:]


@pytest.mark.parametrize("month", ["2023-01", "2023-02", "2023-03"])
def test_the_real_months_land(lake, tmp_path, month):
    path = ROOT / f"examples/tlc/green_tripdata_{month}.parquet"
    source = Fetched(path, path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())

    found = land(lake, DATASET, month, source, tmp_path, revision="0" * 40, created_at="2023-04-01T00:00:00Z").manifest
    kept = pl.read_parquet(landing.fetch(lake, found, tmp_path))

    assert found.new_columns == ()
    assert kept.height == found.rows_kept == found.rows_in - sum(found.broken.values())
    assert DATASET.schema.validate(kept).height == kept.height


if __name__ == "__main__":
    print(*written(Path(sys.argv[1]), Path(sys.argv[2])))
