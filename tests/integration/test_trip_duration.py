"""The model of trip durations, on the public months."""

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from flows.ml.training import Predictor, in_scope, targets, train
from flows.models.trip_duration import MODEL

EXAMPLES = Path(__file__).parents[2] / "examples" / "tlc"


def month(name: str) -> pl.DataFrame:
    """A public month as the lake types it, without the rows the data contract sets apart."""
    start = pl.lit(f"{name}-01").str.to_datetime(time_unit="us")
    pickup = pl.col("pickup_at")
    return (
        pl.read_parquet(EXAMPLES / f"green_tripdata_{name}.parquet")
        .select(
            pickup_at=pl.col("lpep_pickup_datetime").cast(pl.Datetime("us")),
            dropoff_at=pl.col("lpep_dropoff_datetime").cast(pl.Datetime("us")),
            pickup_zone=pl.col("PULocationID").cast(pl.Int16),
            dropoff_zone=pl.col("DOLocationID").cast(pl.Int16),
            distance=pl.col("trip_distance").cast(pl.Float64),
        )
        .filter(pickup >= start, pickup < start.dt.offset_by("1mo"), pl.col("distance").is_between(0, 100))
    )


@pytest.mark.parametrize(
    ("months", "judged", "point"), [(["2023-01"], "2023-02", 4.266), (["2023-01", "2023-02"], "2023-03", 4.284)]
)
def test_the_error_on_the_next_month_beats_the_reference_point(months, judged, point):
    trained = train(pl.concat(map(month, months)), MODEL, threads=1)
    rows = in_scope(month(judged), MODEL)

    predicted = Predictor(trained.booster, trained.encoder, trained.code, 1).predict(rows)

    assert np.sqrt(np.mean((predicted - targets(rows, MODEL) / 60) ** 2)) < point


@pytest.mark.parametrize(
    ("seconds", "kept"), [(59, False), (60, True), (3_600, True), (3_601, False), (-60, False), (None, False)]
)
def test_the_scope_is_one_to_sixty_minutes(seconds, kept):
    pickup = datetime(2024, 1, 1)
    rows = pl.DataFrame({"pickup_at": [pickup], "seconds": pl.Series([seconds], dtype=pl.Int64)})
    rows = rows.with_columns(dropoff_at=pl.col("pickup_at") + pl.duration(seconds="seconds"))

    assert in_scope(rows, MODEL).height == kept


@pytest.mark.parametrize(
    ("zone", "hour", "distance", "parts"),
    [
        (132, 5, 0.0, ["Airport", "00-06 h", "weekend", "00-01 miles"]),
        (4, 6, 16.0, ["Manhattan", "06-07 h", "weekend", "16+ miles"]),
        (264, 23, 3.99, ["Unknown", "21+ h", "weekend", "02-04 miles"]),
        (None, 12, None, ["Unknown", "10-14 h", "weekend", None]),
    ],
)
def test_slices_name_the_part_of_a_trip(zone, hour, distance, parts):
    rows = pl.DataFrame(
        {
            "pickup_at": [datetime(2024, 1, 6, hour)],
            "pickup_zone": pl.Series([zone], dtype=pl.Int16),
            "distance": pl.Series([distance], dtype=pl.Float64),
        }
    )

    assert [rows.select(item.label).item() for item in MODEL.slices] == parts
