"""Dollars of a green taxi trip's fare, without tip, tolls and surcharges, from what is known when the trip starts."""

import polars as pl

from flows.datasets import taxi_zones
from flows.ml.definition import Clock, Encoding, Features, Gate, Group, Limits, Model, Scaled, Slice, Watched

_PAIR = ("pickup_zone", "dropoff_zone")

_DAY = pl.when(pl.col("pickup_at").dt.weekday() >= 6).then(pl.lit("weekend")).otherwise(pl.lit("weekday"))

# Of a training's fingerprint these limits are no part: moving one trains nothing.
LIMITS = Limits(
    # Its inputs are those of trip-duration, and so are their limits (docs/decisions/0026-monitoring.md).
    watched=(
        Watched("pickup zone", taxi_zones.known("pickup_zone"), drift=0.08),
        Watched("drop-off zone", taxi_zones.known("dropoff_zone"), drift=0.08),
        Watched("hour of pickup", pl.col("pickup_at").dt.hour(), drift=0.06),
        Watched("distance", pl.when(pl.col("distance") > 0).then(pl.col("distance")), drift=0.06, bins=20),
    ),
    # Between 2023-02 and 2023-03 the error relative to the baseline's moves by 3 %, in a slice by up to 8 %.
    growth=1.1,
    slice_growth=1.2,
    unseen=0.005,
    missing=0.02,
    broken=0.005,
    second_window=3,
)

MODEL = Model(
    name="trip-fare",
    title="NYC green taxi: dollars of a trip's fare",
    dataset="green-trips",
    # Cents; a fare that is no number is no target.
    target=(pl.col("fare") * 100).round().cast(pl.Int64, strict=False),
    target_unit=100,
    unit="dollars",
    # 0.5 to 0.6 % of a month lie outside: refunds and trips called off below, agreed prices and errors above.
    scope=pl.col("fare").is_between(2.5, 100),
    inputs=("pickup_at", *_PAIR, "distance"),
    features=Features(
        day="pickup_at",
        columns=(*_PAIR, "distance", "minute", "weekday"),
        derived=(
            Clock("minute", "pickup_at", "minute"),
            Clock("weekday", "pickup_at", "weekday"),
            Scaled("hundredths", "distance", 100),
            Group("pickup_borough", "pickup_zone", taxi_zones.BY_BOROUGH),
            Group("dropoff_borough", "dropoff_zone", taxi_zones.BY_BOROUGH),
        ),
        encodings=(
            Encoding("pickup_fare", ("pickup_zone",)),
            Encoding("dropoff_fare", ("dropoff_zone",)),
            Encoding("borough_fare", ("pickup_borough", "dropoff_borough")),
            Encoding("pair_fare", _PAIR, parent="borough_fare"),
            Encoding("pair_rate", _PAIR, per="hundredths"),
            # What a meter that did not run should have shown.
            Encoding("pair_distance", _PAIR, value="hundredths"),
        ),
    ),
    # Those of trip-duration; a depth of 6 is worse by 0.02 to 0.05 dollars.
    parameters={
        "max_depth": 8,
        "eta": 0.1,
        "min_child_weight": 10,
        "reg_lambda": 10,
        "colsample_bytree": 0.7,
        "subsample": 0.8,
    },
    rounds=100,
    seed=42,
    window=12,
    naive=(_PAIR, ("pickup_zone",)),
    # A margin is about a tenth of the error there.
    slices=(
        Slice("zone group", taxi_zones.group("pickup_zone"), matters=True, margin=0.5),
        Slice("day", _DAY, matters=True, margin=0.3),
    ),
    # Eight cents, a sixtieth of the error; rows and age for the reasons of trip-duration.
    gate=Gate(margin=0.08, min_rows=6_000, min_slice_rows=500, max_champion_age=3),
    limits=LIMITS,
)
