"""Green taxi trips: one row a trip, as the NYC Taxi & Limousine Commission publishes them month by month.

Whether a trip is of use to a model (too short, too long) is the model's business: here only what cannot be true breaks.
"""

import pandera.polars as pa
import polars as pl
from pandera.api.polars.types import PolarsData

from flows.ml.definition import Dataset


def _not_before_pickup(data: PolarsData) -> pl.LazyFrame:
    return data.lazyframe.select(pl.col("dropoff_at") >= pl.col("pickup_at"))


def _at_most_a_day(data: PolarsData) -> pl.LazyFrame:
    return data.lazyframe.select(pl.col("dropoff_at") - pl.col("pickup_at") <= pl.duration(days=1))


def _zone(end: str) -> pa.Column:
    """A taxi zone, 1 to 265 (source: the TLC's taxi zone lookup table)."""
    rule = pa.Check.in_range(
        1,
        265,
        error=f"{end} zone outside 1 to 265",
        description="The lookup table ends at 265; 264 and 265 stand for unknown and are valid.",
    )
    return pa.Column(pl.Int16, rule)


SCHEMA = pa.DataFrameSchema(
    {
        "pickup_at": pa.Column(pl.Datetime("us")),
        "dropoff_at": pa.Column(
            pl.Datetime("us"),
            [
                pa.Check(
                    _not_before_pickup,
                    error="drop-off before pickup",
                    description="Time does not run backwards: one of the two clocks was wrong.",
                ),
                pa.Check(
                    _at_most_a_day,
                    error="longer than a day",
                    description="No ride within a city takes a day: the meter was left on. The 120 to 140 trips a "
                    "month of just under a day are left to the model's scope.",
                ),
            ],
        ),
        "pickup_zone": _zone("pickup"),
        "dropoff_zone": _zone("drop-off"),
        "distance": pa.Column(
            pl.Float64,
            [
                pa.Check.ge(
                    0,
                    error="distance negative",
                    description="A meter counts upwards. Distance 0 (3 to 5 % of trips) is kept: the ride may be real.",
                ),
                pa.Check.le(
                    100,
                    error="distance above 100 miles",
                    description="The city is 35 miles across. Of about 68,000 trips a month 37 to 55 are above, up to "
                    "178,920 miles: meter faults.",
                ),
            ],
        ),
        # Without a rule: a refund is a fare below 0, and what a model takes for a fare is its scope's business.
        "fare": pa.Column(pl.Float64, nullable=True),
    },
    strict=True,
)
"""The typed columns (New York's local time; distance in miles, fare in dollars) and the rules for a row."""

DATASET = Dataset(
    name="green-trips",
    title="Green taxi trips",
    url="https://d37ci6vzurychx.cloudfront.net/trip-data/green_tripdata_{month}.parquet",
    schema=SCHEMA,
    sources={
        "pickup_at": "lpep_pickup_datetime",
        "dropoff_at": "lpep_dropoff_datetime",
        "pickup_zone": "PULocationID",
        "dropoff_zone": "DOLocationID",
        "distance": "trip_distance",
        "fare": "fare_amount",
    },
    outcomes=frozenset(("dropoff_at", "fare")),
    ignored=frozenset(
        (
            "VendorID",
            "store_and_fwd_flag",
            "RatecodeID",
            "passenger_count",
            "extra",
            "mta_tax",
            "tip_amount",
            "tolls_amount",
            "ehail_fee",
            "improvement_surcharge",
            "total_amount",
            "payment_type",
            "trip_type",
            "congestion_surcharge",
        )
    ),
    time="pickup_at",
    # 2023-01 to 2023-03 break 0.06 to 0.10 % of their rows. Ten times the worst of them is no bad luck with single
    # trips but a fault of the file, and what is left of it would be a biased part of the month.
    max_broken=0.01,
    # 2023-01 to 2023-03 have 64,809 to 72,044 rows: a file with less than a sixth of that is a part of a month.
    min_rows=10_000,
)
"""The dataset as the flows take it."""
