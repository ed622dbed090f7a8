"""Minutes a green taxi trip takes, from what is known when it starts: time, zones and miles of the route."""

from itertools import pairwise

import polars as pl

from flows.datasets import taxi_zones
from flows.ml.definition import Band, Clock, Encoding, Features, Gate, Group, Limits, Model, Scaled, Slice, Watched

# Hours between which traffic is of one kind: night, dawn, morning rush, midday, afternoon rush, evening, late.
_HOURS = (0, 6, 7, 10, 14, 19, 21, 24)
_HOUR_EDGES = tuple(60.0 * hour for hour in _HOURS[1:-1])

# Miles. The first band is a meter that did not run: 3 to 5 % of the trips have a distance of 0, whatever their route.
_MILES = (0.01, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.1, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0, 20.0)

_PAIR = ("pickup_zone", "dropoff_zone")
_BOROUGH_PAIR = ("pickup_borough", "dropoff_borough")
_TRAFFIC = ("hour_band", "weekend")

_SECONDS = (pl.col("dropoff_at") - pl.col("pickup_at")).dt.total_seconds()


def _features() -> Features:
    """Durations (seconds) and paces (seconds per hundredth of a mile) of where, when and how far."""
    return Features(
        day="pickup_at",
        columns=("pickup_zone", "dropoff_zone", "distance", "minute", "weekday"),
        derived=(
            Clock("minute", "pickup_at", "minute"),
            Clock("weekday", "pickup_at", "weekday"),
            Band("weekend", "weekday", (6.0,)),
            Band("hour_band", "minute", _HOUR_EDGES),
            Band("distance_band", "distance", _MILES),
            Scaled("hundredths", "distance", 100),
            Group("pickup_borough", "pickup_zone", taxi_zones.BY_BOROUGH),
            Group("dropoff_borough", "dropoff_zone", taxi_zones.BY_BOROUGH),
        ),
        encodings=(
            Encoding("pickup_duration", ("pickup_zone",)),
            Encoding("dropoff_duration", ("dropoff_zone",)),
            Encoding("pickup_pace", ("pickup_zone",), per="hundredths"),
            Encoding("dropoff_pace", ("dropoff_zone",), per="hundredths"),
            Encoding("pickup_traffic", ("pickup_zone", *_TRAFFIC), per="hundredths", prior=20, parent="pickup_pace"),
            Encoding("dropoff_traffic", ("dropoff_zone", *_TRAFFIC), per="hundredths", prior=20, parent="dropoff_pace"),
            Encoding("borough_pace", _BOROUGH_PAIR, per="hundredths"),
            Encoding("borough_duration", (*_BOROUGH_PAIR, "distance_band")),
            Encoding("pair_pace", _PAIR, per="hundredths", parent="borough_pace"),
            Encoding("pair_duration", _PAIR, parent="borough_duration"),
            # What a meter that did not run should have shown.
            Encoding("pair_distance", _PAIR, value="hundredths"),
        ),
    )


def _banded(column: pl.Expr, edges: tuple[int, ...], unit: str) -> pl.Expr:
    """The part ``low-high unit`` a value lies in, for a slice; an edge belongs to the part above it."""
    width = len(str(edges[-1]))
    label = pl.lit(f"{edges[-1]:0{width}}+ {unit}")
    for low, high in reversed(list(pairwise(edges))):
        label = pl.when(column < high).then(pl.lit(f"{low:0{width}}-{high:0{width}} {unit}")).otherwise(label)
    return pl.when(column.is_not_null()).then(label)


def _slices() -> tuple[Slice, ...]:
    """Where a candidate may not be worse.

    The margin of a slice is about a tenth of the error there: less is not felt by who plans with the minutes.
    """
    weekend = pl.col("pickup_at").dt.weekday() >= 6
    return (
        Slice("zone group", taxi_zones.group("pickup_zone"), matters=True, margin=0.5),
        Slice("hour band", _banded(pl.col("pickup_at").dt.hour(), _HOURS[:-1], "h"), matters=True, margin=0.4),
        Slice("day", pl.when(weekend).then(pl.lit("weekend")).otherwise(pl.lit("weekday")), matters=True, margin=0.3),
        # Shown only: a recorded distance is wrong too often for a refusal to hang on it.
        Slice("distance band", _banded(pl.col("distance"), (0, 1, 2, 4, 8, 16), "miles")),
    )


# Of a training's fingerprint these limits are no part: moving one trains nothing.
LIMITS = Limits(
    # The figures are in docs/decisions/0026-monitoring.md. Two ordinary months are 0.016 (miles) to 0.035 (zones)
    # apart. A zone of 1.3 % of the trips that closes moves zones by 0.08, a clock an hour off moves hours by 0.09.
    watched=(
        Watched("pickup zone", taxi_zones.known("pickup_zone"), drift=0.08),
        Watched("drop-off zone", taxi_zones.known("dropoff_zone"), drift=0.08),
        Watched("hour of pickup", pl.col("pickup_at").dt.hour(), drift=0.06),
        Watched("distance", pl.when(pl.col("distance") > 0).then(pl.col("distance")), drift=0.06, bins=20),
    ),
    # Between two ordinary months the error relative to the baseline's moves by 1 %, in a slice by up to 8 %.
    growth=1.1,
    slice_growth=1.2,
    # Ten times what a month has of zones that the month before did not have.
    unseen=0.005,
    # Distances of 0 are 4.4 to 4.9 % of a month, unknown zones 0.3 to 1.0 %: four times what moves between months.
    missing=0.02,
    # 0.06 to 0.10 % of a month is in quarantine; the contract refuses a month at 1 %.
    broken=0.005,
    # A quarter: after an alarm, what was learned of the months before misleads; fewer months cost accuracy.
    second_window=3,
)

MODEL = Model(
    name="trip-duration",
    title="NYC green taxi: minutes a trip takes",
    dataset="green-trips",
    target=_SECONDS,
    target_unit=60,
    unit="minutes",
    # 1 to 60 minutes: shorter ones are cancelled trips, longer ones mostly meters left running.
    scope=_SECONDS.is_between(60, 3_600),
    inputs=("pickup_at", "pickup_zone", "dropoff_zone", "distance"),
    features=_features(),
    # Found by `make tune` on 2023-01 alone: docs/decisions/0032-search-for-parameters.md.
    parameters={
        "max_depth": 9,
        "eta": 0.151,
        "min_child_weight": 4.57,
        "reg_lambda": 43.2,
        "subsample": 0.971,
        "colsample_bytree": 0.887,
    },
    rounds=100,
    seed=42,
    # A year holds every season once; older traffic tells little about next month's.
    window=12,
    naive=(_PAIR, ("pickup_zone",)),
    slices=_slices(),
    gate=Gate(
        # A fifteenth of a minute: four seconds a trip, about the difference between two months of luck.
        margin=0.067,
        # A month holds 60 to 80 thousand trips: with a tenth of it something is wrong with the month, not the model.
        min_rows=6_000,
        # Below some hundreds of trips the interval of a slice is wider than its margin and says nothing.
        min_slice_rows=500,
        # A quarter: a champion that old goes when the new one is as good, so that drift never builds up unseen.
        max_champion_age=3,
    ),
    limits=LIMITS,
)
