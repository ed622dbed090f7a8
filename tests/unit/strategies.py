"""Rows and models the tests train and judge."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from hypothesis import strategies as st

from flows.ml.definition import Band, Clock, Encoding, Features, Gate, Group, Model, Scaled
from flows.models.trip_duration import MODEL

START = datetime(2024, 1, 1)


def trips(seed: int, rows: int, days: int = 28) -> pl.DataFrame:
    """Trips whose duration follows from distance, hour and zones, with noise."""
    random = np.random.default_rng(seed)
    distance = np.round(random.gamma(2.0, 1.5, rows), 2)
    minute = random.integers(0, days * 24 * 60, rows)
    pickup, dropoff = random.integers(1, 9, rows), random.integers(1, 9, rows)
    seconds = 180 + distance * (150 + 10 * pickup + 5 * (minute // 60 % 24)) + random.normal(0, 60, rows)
    return pl.DataFrame(
        {
            "pickup_at": [START + timedelta(minutes=int(value)) for value in minute],
            "seconds": np.clip(seconds, 61, 3_599).astype(np.int64),
            "pickup_zone": pickup.astype(np.int16),
            "dropoff_zone": dropoff.astype(np.int16),
            "distance": distance,
        },
        schema_overrides={"pickup_at": pl.Datetime("us")},
    ).select(
        "pickup_at",
        (pl.col("pickup_at") + pl.duration(seconds="seconds")).alias("dropoff_at"),
        "pickup_zone",
        "dropoff_zone",
        "distance",
    )


def small_model(rounds: int = 5, **gate: float) -> Model:
    """The model of the trips with few rounds, and a gate that a few hundred rows are enough for."""
    settings = {"min_rows": 50, "min_slice_rows": 50, "resamples": 200, **gate}
    return replace(MODEL, rounds=rounds, gate=Gate(**{"margin": 0.1, "max_champion_age": 3, **settings}))  # type: ignore[arg-type]


FEATURES = Features(
    day="at",
    columns=("zone", "miles", "hour"),
    derived=(
        Clock("minute", "at", "minute"),
        Clock("weekday", "at", "weekday"),
        Band("hour", "minute", (360.0, 720.0)),
        Scaled("hundredths", "miles", 100),
        Group("side", "zone", ((1, 2), (3,))),
    ),
    encodings=(
        Encoding("side_mean", ("side",)),
        Encoding("zone_mean", ("zone",), prior=3, parent="side_mean"),
        Encoding("zone_pace", ("zone", "hour"), per="hundredths"),
        Encoding("zone_miles", ("zone",), value="hundredths"),
    ),
    folds=3,
)
"""Every kind of derived column and of encoding."""


@st.composite
def rows_and_target(draw: st.DrawFn) -> tuple[pl.DataFrame, np.ndarray]:
    """Up to forty rows for ``FEATURES``, nulls among them, with an integer target each."""
    row = st.tuples(
        st.one_of(st.none(), st.datetimes(datetime(2023, 12, 30), datetime(2024, 1, 9))),
        st.one_of(st.none(), st.integers(-1, 5)),
        st.one_of(st.none(), st.just(float("nan")), st.floats(0, 99)),
        st.integers(60, 3_600),
    )
    drawn = draw(st.lists(row, min_size=1, max_size=40))
    schema = {"at": pl.Datetime("us"), "zone": pl.Int16, "miles": pl.Float64}
    frame = pl.DataFrame([values[:3] for values in drawn], schema=schema, orient="row")
    return frame, np.array([values[3] for values in drawn], dtype=np.int64)
