"""What a monitored month leaves with Prefect and MLflow."""

import json
import time
from collections.abc import Callable
from typing import Any

import polars as pl
from mlflow import MlflowClient
from prefect.client.orchestration import get_client

from flows.monitor import ALARM
from tests.integration.home import MODEL, Home

MONTH = "2023-03"
"""The month that alarms."""
TIMES = pl.col("lpep_pickup_datetime", "lpep_dropoff_datetime")
DRIFTS: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "a closed zone": lambda rows: rows.filter(pl.col("PULocationID") != 75),
    "kilometres": lambda rows: rows.with_columns(pl.col("trip_distance") * 1.609344),
    "clocks an hour off": lambda rows: rows.with_columns(TIMES + pl.duration(hours=1)),
}
"""What is done to a month that it alarms."""


def events(address: str) -> list[dict[str, Any]]:
    """The alarms that Prefect was told of for the rows of an address."""
    with get_client(sync_client=True) as client:
        asked = {"filter": {"event": {"name": [ALARM]}}, "limit": 50}
        found = client.request("POST", "/events/filter", json=asked).json()["events"]
    return [event for event in found if event["payload"]["address"] == address]


def alarms(address: str, seconds: float = 120) -> list[dict[str, Any]]:
    """The same, once there is one: Prefect takes what it is told in its own time."""
    deadline = time.monotonic() + seconds
    while not (found := events(address)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def reports(home: Home, address: str) -> list[Any]:
    """The runs of MLflow that report on the rows of an address."""
    version = home.registry.version(MODEL, 1)
    experiment = MlflowClient().get_run(version.run_id).info.experiment_id
    return list(MlflowClient().search_runs([experiment], f"tags.address = '{address}'"))


def markers(home: Home) -> dict[str, Any]:
    """The retrains that answered alarms of the month, by cause."""
    keys = home.lake.keys(f"monitoring/{MODEL}/{MONTH}/")
    return {key.rpartition("/")[2]: json.loads(home.lake.get(key)) for key in keys}
