"""What makes a month valid, on small made months and on the three real ones."""

import math
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.datasets.green_trips import DATASET
from flows.ml.contract import ContractError, check_columns, check_rows, refuse, typed_columns
from flows.ml.months import MonthError, apart, between, following

MONTH = "2023-02"
EXAMPLES = Path(__file__).parents[2] / "examples" / "tlc"
SMALL = replace(DATASET, min_rows=1)
GOOD = {
    "lpep_pickup_datetime": datetime(2023, 2, 3, 12),
    "lpep_dropoff_datetime": datetime(2023, 2, 3, 12, 10),
    "PULocationID": 74,
    "DOLocationID": 75,
    "trip_distance": 1.5,
    "fare_amount": 12.1,
}
TYPES = {
    "lpep_pickup_datetime": pl.Datetime("us"),
    "lpep_dropoff_datetime": pl.Datetime("us"),
    "PULocationID": pl.Int64,
    "DOLocationID": pl.Int64,
    "trip_distance": pl.Float64,
    "fare_amount": pl.Float64,
}


def month_of(rows: list[dict[str, object]]) -> pl.LazyFrame:
    return pl.LazyFrame(rows, schema=TYPES)


def rows_like(good: int, *broken: dict[str, object]) -> pl.LazyFrame:
    return month_of([GOOD] * good + [GOOD | change for change in broken])


def valid(row: dict[str, object]) -> bool:
    """The contract once more, by row, in plain Python."""
    pickup, dropoff, origin, destination, distance, _ = row.values()
    return (
        None not in (pickup, dropoff, origin, destination, distance)
        and not math.isnan(distance)
        and datetime(2023, 2, 1) <= pickup < datetime(2023, 3, 1)
        and timedelta(0) <= dropoff - pickup <= timedelta(days=1)
        and 1 <= origin <= 265
        and 1 <= destination <= 265
        and 0 <= distance <= 100
    )


def mostly(usual: st.SearchStrategy, *odd: object) -> st.SearchStrategy:
    return st.one_of(usual, usual, usual, st.sampled_from([*odd, None]))


times = mostly(
    st.datetimes(datetime(2023, 2, 1), datetime(2023, 2, 3)),
    datetime(2023, 1, 31, 23, 59, 59, 999_999),
    datetime(2023, 2, 1),
    datetime(2023, 2, 28, 23, 59, 59, 999_999),
    datetime(2023, 3, 1),
    datetime(2008, 12, 31),
)
zones = mostly(st.integers(1, 265), 0, -1, 266, 40_000, 2**40)
distances = mostly(st.floats(0, 100), -0.01, 100.01, 259_777.0, math.nan, math.inf, -math.inf)
fares = mostly(st.floats(2.5, 100), -3.0, 0.0, 5_000.0, math.nan)
trips = st.builds(lambda *values: dict(zip(TYPES, values, strict=True)), times, times, zones, zones, distances, fares)


@settings(max_examples=20)
@given(st.lists(trips, max_size=30), st.integers(1, 40))
def test_exactly_the_rows_that_meet_every_rule_are_kept(rows, slice_rows):
    checked = check_rows(month_of(rows), SMALL, MONTH, slice_rows)

    assert checked.broken["index"].to_list() == [index for index, row in enumerate(rows) if not valid(row)]
    assert checked.kept + sum(checked.reasons.values()) == checked.rows == len(rows)


@settings(max_examples=10)
@given(st.lists(trips, max_size=30).flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows))))
def test_the_order_of_the_rows_changes_no_count(orders):
    first, second = (check_rows(month_of(rows), SMALL, MONTH) for rows in orders)

    assert (first.reasons, first.kept) == (second.reasons, second.kept)


@settings(max_examples=10)
@given(st.lists(trips, max_size=30))
def test_what_is_kept_meets_the_schema_in_its_own_types(rows):
    file = month_of(rows)
    broken = check_rows(file, SMALL, MONTH).broken["index"]
    kept = file.select(typed_columns(file.collect_schema(), SMALL)).with_row_index().collect()
    kept = kept.filter(~pl.col("index").is_in(broken.implode())).drop("index")

    assert DATASET.schema.validate(kept, lazy=True).equals(kept)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"lpep_pickup_datetime": None}, "pickup_at missing"),
        ({"trip_distance": math.nan}, "distance missing"),
        (
            {"lpep_pickup_datetime": datetime(2023, 3, 1), "lpep_dropoff_datetime": datetime(2023, 3, 1, 1)},
            "pickup_at outside the month",
        ),
        ({"lpep_pickup_datetime": datetime(2023, 1, 31), "PULocationID": 0}, "pickup_at outside the month"),
        ({"lpep_dropoff_datetime": datetime(2023, 2, 3, 11, 59)}, "drop-off before pickup"),
        ({"lpep_dropoff_datetime": datetime(2023, 2, 4, 12, 0, 1)}, "longer than a day"),
        ({"PULocationID": 266}, "pickup zone outside 1 to 265"),
        ({"DOLocationID": 0}, "drop-off zone outside 1 to 265"),
        ({"DOLocationID": 70_000}, "dropoff_zone not of its type"),
        ({"trip_distance": -1.0}, "distance negative"),
        ({"trip_distance": 100.5}, "distance above 100 miles"),
    ],
)
def test_a_broken_row_has_the_first_reason_it_breaks(change, reason):
    checked = check_rows(rows_like(2, change), SMALL, MONTH)

    assert checked.reasons == {reason: 1}
    assert checked.broken["index"].to_list() == [2]


@pytest.mark.parametrize(
    "change",
    [
        {"trip_distance": 0.0},
        {"trip_distance": 100.0},
        {"DOLocationID": 265},
        {"lpep_dropoff_datetime": datetime(2023, 2, 3, 12)},
        {"lpep_dropoff_datetime": datetime(2023, 2, 4, 12)},
        {"lpep_pickup_datetime": datetime(2023, 2, 1), "lpep_dropoff_datetime": datetime(2023, 2, 1)},
        {
            "lpep_pickup_datetime": datetime(2023, 2, 28, 23, 59, 59, 999_999),
            "lpep_dropoff_datetime": datetime(2023, 3, 1),
        },
    ],
)
def test_a_row_at_a_limit_is_kept(change):
    checked = check_rows(rows_like(0, change), SMALL, MONTH)

    assert checked.kept == 1


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        ("PULocationID", pl.Int16),
        ("PULocationID", pl.UInt32),
        ("PULocationID", pl.Float64),
        ("trip_distance", pl.Float32),
        ("trip_distance", pl.Decimal(10, 2)),
        ("trip_distance", pl.Int64),
        ("lpep_pickup_datetime", pl.Datetime("ns")),
        ("lpep_pickup_datetime", pl.Datetime("ms")),
    ],
)
def test_a_type_of_the_same_kind_is_taken(column, dtype):
    file = rows_like(3).cast({column: dtype})

    assert check_columns(file.collect_schema(), SMALL, MONTH) == ()
    assert check_rows(file, SMALL, MONTH).kept == 3
    kept = file.select(typed_columns(file.collect_schema(), SMALL))
    assert kept.collect_schema() == {name: column.dtype.type for name, column in DATASET.schema.columns.items()}


def test_a_zone_that_is_no_whole_number_is_not_rounded():
    file = rows_like(1).with_columns(PULocationID=pl.lit(74.5))

    assert check_rows(file, SMALL, MONTH).reasons == {"pickup_zone not of its type": 1}


def test_a_zone_that_is_not_a_number_is_missing():
    file = rows_like(1).with_columns(PULocationID=pl.lit(math.nan))

    assert check_rows(file, SMALL, MONTH).reasons == {"pickup_zone missing": 1}


def test_a_column_of_nothing_but_nulls_breaks_every_row():
    file = rows_like(2).with_columns(PULocationID=None)
    check_columns(file.collect_schema(), SMALL, MONTH)
    checked = check_rows(file, SMALL, MONTH)

    with pytest.raises(ContractError, match=r"all 2 rows break the contract of green-trips \(pickup_zone missing: 2\)"):
        refuse(checked, SMALL, MONTH)


def test_every_missing_or_retyped_column_is_named_at_once():
    found = pl.Schema(TYPES | {"lpep_pickup_datetime": pl.String, "DOLocationID": pl.Boolean})
    del found["trip_distance"]

    with pytest.raises(ContractError) as error:
        check_columns(found, DATASET, MONTH)

    text = str(error.value)
    assert "lpep_pickup_datetime is String, expected a local time" in text
    assert "DOLocationID is Boolean, expected a number" in text
    assert "trip_distance is missing" in text


def test_a_time_with_a_zone_is_of_another_kind():
    found = pl.Schema(TYPES | {"lpep_pickup_datetime": pl.Datetime("us", "UTC")})

    with pytest.raises(ContractError, match="lpep_pickup_datetime"):
        check_columns(found, DATASET, MONTH)


def test_a_new_column_is_noted_and_a_known_one_is_not():
    found = pl.Schema(TYPES | {"ehail_fee": pl.Null, "cbd_fee": pl.Float64, "a_fee": pl.String})

    assert check_columns(found, DATASET, MONTH) == ("a_fee", "cbd_fee")


def test_a_month_without_rows_is_refused():
    with pytest.raises(ContractError, match="no rows"):
        refuse(check_rows(rows_like(0), SMALL, MONTH), SMALL, MONTH)


def test_a_month_with_too_few_rows_is_refused():
    with pytest.raises(ContractError, match="2 rows, expected 3 at least"):
        refuse(check_rows(rows_like(2), SMALL, MONTH), replace(SMALL, min_rows=3), MONTH)


def test_a_file_of_another_month_is_told_as_such():
    checked = check_rows(rows_like(3), SMALL, "2023-03")

    with pytest.raises(ContractError, match=r"3 of 3 rows are of 2023-02: is this the file of another month\?"):
        refuse(checked, SMALL, "2023-03")


def test_a_month_at_the_limit_of_broken_rows_passes_and_one_beyond_is_refused():
    dataset = replace(SMALL, max_broken=0.25)
    at, beyond = (check_rows(rows_like(3, *[{"PULocationID": 0}] * bad), dataset, MONTH) for bad in (1, 2))

    refuse(at, dataset, MONTH)
    with pytest.raises(ContractError, match=r"2 of 5 rows \(40.00%, limit 25.00%\).*pickup zone outside 1 to 265: 2"):
        refuse(beyond, dataset, MONTH)


def test_a_file_with_damaged_pages_is_a_contract_error(tmp_path):
    path = tmp_path / "damaged.parquet"
    content = bytearray((EXAMPLES / "green_tripdata_2023-02.parquet").read_bytes())
    content[1_000:400_000] = bytes(399_000)
    path.write_bytes(content)

    with pytest.raises(ContractError, match="damaged"):
        check_rows(pl.scan_parquet(path), DATASET, MONTH)


@pytest.mark.parametrize(
    ("month", "rows", "reasons"),
    [
        ("2023-01", 68_211, {"distance above 100 miles": 37, "pickup_at outside the month": 4}),
        ("2023-02", 64_809, {"distance above 100 miles": 40, "pickup_at outside the month": 26}),
        ("2023-03", 72_044, {"distance above 100 miles": 55, "pickup_at outside the month": 9}),
    ],
)
def test_the_real_months_pass(month, rows, reasons):
    file = pl.scan_parquet(EXAMPLES / f"green_tripdata_{month}.parquet")
    checked = check_rows(file, DATASET, month, 20_000)

    refuse(checked, DATASET, month)
    assert check_columns(file.collect_schema(), DATASET, month) == ()
    assert (checked.rows, checked.reasons) == (rows, reasons)


def test_every_rule_says_why_and_has_a_reason_of_its_own():
    rules = [check for column in DATASET.schema.columns.values() for check in column.checks]

    assert all(rule.error and rule.description for rule in rules)
    assert len({rule.error for rule in rules}) == len(rules)


def test_months_follow_each_other_across_years():
    assert following("2023-12") == "2024-01"
    assert following("2023-01", -1) == "2022-12"
    assert between("2022-11", "2023-02") == ["2022-11", "2022-12", "2023-01", "2023-02"]
    assert between("2023-02", "2023-01") == []
    assert apart("2022-11", "2023-02") == 3
    assert apart("2023-02", "2022-11") == -3


@pytest.mark.parametrize("text", ["2023-13", "2023-1", "", "2023-01\n", "२०२३-01"])
def test_what_is_no_month_is_a_named_error(text):
    with pytest.raises(MonthError, match="YYYY-MM"):
        following(text)
