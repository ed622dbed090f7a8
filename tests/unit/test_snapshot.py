"""Which months train and which one judges."""

import hashlib
import io
from pathlib import Path

import polars as pl
import pytest
from memory_lake import MemoryLake

from flows.ml import snapshot
from flows.ml.fingerprint import Part
from flows.ml.lake import DigestMismatch
from flows.ml.manifest import File, Manifest
from flows.ml.months import between
from flows.ml.snapshot import WindowError, choose

YEAR = between("2022-11", "2023-10")


def land(lake: MemoryLake, month: str) -> Part:
    """A month of two rows in the lake."""
    path = Path(f"raw/green-trips/{month}")
    frame = pl.DataFrame({"month": [month, month], "row": [0, 1], "other": [0, 0]})
    data = parquet(frame)
    address = hashlib.sha256(data).hexdigest()
    file = File(f"{path}/{address}/data.parquet", len(data), address)
    manifest = Manifest("green-trips", month, file, file, None, 2, 2, {}, {}, (), "rules", "code", "2023-04-01")
    lake.objects |= {file.name: data, f"{path}/manifest.json": manifest.to_json()}
    return Part(month, address, 2)


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def test_the_newest_month_judges_and_all_before_it_train() -> None:
    assert choose(["2023-01", "2023-02", "2023-03"], "", None, 12) == (["2023-01", "2023-02"], "2023-03")


def test_an_earlier_month_can_judge_and_later_ones_are_not_used() -> None:
    assert choose(YEAR, "2023-02", None, 12) == (["2022-11", "2022-12", "2023-01"], "2023-02")


def test_a_window_takes_the_months_just_before_across_the_turn_of_a_year() -> None:
    assert choose(YEAR, "2023-02", 3, 12) == (["2022-11", "2022-12", "2023-01"], "2023-02")


def test_without_a_window_no_more_than_the_models_own_are_taken() -> None:
    assert choose(YEAR, "", None, 2) == (["2023-08", "2023-09"], "2023-10")


def test_a_window_that_is_asked_for_may_be_wider_than_the_models_own() -> None:
    assert len(choose(YEAR, "", 5, 2)[0]) == 5


def test_without_a_window_training_begins_after_the_newest_gap() -> None:
    have = [month for month in YEAR if month != "2023-06"]

    assert choose(have, "", None, 12) == (["2023-07", "2023-08", "2023-09"], "2023-10")


def test_an_empty_lake_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(WindowError, match="holds no month yet: ingest at least two"):
        choose([], "", None, 12)


def test_a_single_month_is_an_error_that_names_the_one_before() -> None:
    with pytest.raises(WindowError, match=r"does not hold 2023-01, .* \(it holds 2023-02 to 2023-02, 1 months\)"):
        choose(["2023-02"], "", None, 12)


def test_a_window_longer_than_the_lake_names_every_month_that_is_missing() -> None:
    with pytest.raises(WindowError, match="does not hold 2022-09, 2022-10, which a retrain until 2022-12, window 3,"):
        choose(YEAR, "2022-12", 3, 12)


def test_a_window_over_a_gap_names_the_gap() -> None:
    with pytest.raises(WindowError, match="does not hold 2023-06, "):
        choose([month for month in YEAR if month != "2023-06"], "", 6, 12)


def test_a_gap_just_before_the_judged_month_is_an_error_that_names_it() -> None:
    with pytest.raises(WindowError, match="does not hold 2023-09, "):
        choose([month for month in YEAR if month != "2023-09"], "", None, 12)


def test_a_judged_month_the_lake_does_not_hold_is_named() -> None:
    with pytest.raises(WindowError, match="does not hold 2023-11, "):
        choose(YEAR, "2023-11", None, 12)


def test_a_snapshot_fixes_the_addresses_and_rows_of_its_months() -> None:
    lake = MemoryLake()
    parts = [land(lake, month) for month in ("2023-01", "2023-02", "2023-03")]

    found = snapshot.take(lake, "green-trips", "", None, 12)

    assert (found.train, found.judge) == (tuple(parts[:2]), parts[2])
    assert found.span == "2023-01..2023-02, judged on 2023-03"
    assert snapshot.take(lake, "green-trips", "2023-02", None, 12).span == "2023-01, judged on 2023-02"


def test_the_rows_of_months_are_read_in_order_of_time_and_only_the_columns_asked_for(tmp_path: Path) -> None:
    lake = MemoryLake()
    parts = [land(lake, month) for month in ("2023-01", "2023-02")]

    rows = snapshot.read(lake, "green-trips", parts, tmp_path, ["month", "row"]).collect()

    assert rows.rows() == [("2023-01", 0), ("2023-01", 1), ("2023-02", 0), ("2023-02", 1)]


def test_an_object_that_is_not_the_one_the_snapshot_fixed_is_refused(tmp_path: Path) -> None:
    lake = MemoryLake()
    part = land(lake, "2023-01")
    lake.objects[f"raw/green-trips/2023-01/{part.address}/data.parquet"] += b"more"

    with pytest.raises(DigestMismatch):
        snapshot.read(lake, "green-trips", [part], tmp_path, ["row"])


def test_months_that_were_landed_before_their_dataset_had_a_column_are_named(tmp_path: Path) -> None:
    lake = MemoryLake()
    parts = [land(lake, month) for month in ("2023-01", "2023-02")]

    with pytest.raises(WindowError, match="2023-01, 2023-02 of green-trips were landed before it had fare: run ingest"):
        snapshot.read(lake, "green-trips", parts, tmp_path, ["fare", "row"])
