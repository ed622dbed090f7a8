"""``ingest`` and ``retrain`` killed at their calls to S3 and MLflow, and these calls gone wrong.

Whatever happens: the run ends in a state with a named error or is gone, the next run completes it, one version, one
entry and the alias agree, and a training that was kept is not done twice. With EVERY_CALL every call is tried, each
kind of error at every change; without, each kind has its share of the moments. What was tried is printed as a table.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from flows.ml import landing, stored
from tests.integration import calls
from tests.integration import home as homes
from tests.integration.disturbed import WAYS, Trial, fill
from tests.integration.home import DATASET, MODEL, Home

pytestmark = calls.timeout()

MONTHS = ("2023-01", "2023-02")


@contextlib.contextmanager
def published(platform: Mapping[str, str], folder: Path) -> Iterator[tuple[Home, Mapping[str, Any]]]:
    """A home where a month is published, and an ingest's parameters."""
    with homes.home(platform, folder) as own:
        own.publish(MONTHS[0])
        yield own, {"dataset": DATASET, "month": MONTHS[0], "source": own.source}


@contextlib.contextmanager
def landed(platform: Mapping[str, str], folder: Path) -> Iterator[tuple[Home, Mapping[str, Any]]]:
    """A home where months are landed, and a retrain's parameters."""
    with homes.home(platform, folder) as own:
        own.land(*MONTHS)
        yield own, {"model": MODEL}


def ingested(own: Home) -> None:
    """The month is there, whole and once."""
    assert landing.months(own.lake, DATASET) == [MONTHS[0]]
    manifest = landing.manifest(own.lake, DATASET, MONTHS[0])
    landing.fetch(own.lake, manifest, own.folder)  # held to its digest
    names = sorted(key.rpartition("/")[2] for key in own.objects())
    assert names == ["data.parquet", "manifest.json", "manifest.json", "rows.parquet"]
    assert own.lake.uploads() == []


def trained(own: Home) -> None:
    """One version, on which ledger and alias agree, and that predicts."""
    assert own.outcome() == {"versions": {1: "promote"}, "champion": 1, "ledger": [1]}
    stored.try_out(own.registry, own.registry.version(MODEL, 1), own.folder)


@pytest.mark.parametrize("way", WAYS)
def test_an_ingest_leaves_the_whole_month_or_none(platform, tmp_path_factory, warm, table, way) -> None:
    Trial("ingest", lambda: published(platform, tmp_path_factory.mktemp("home")), ingested).endure(way, warm, table)


@pytest.mark.parametrize("way", WAYS)
def test_a_retrain_leaves_one_version_that_ledger_and_alias_agree_on(
    platform, tmp_path_factory, warm, table, way
) -> None:
    Trial("retrain", lambda: landed(platform, tmp_path_factory.mktemp("home")), trained, trains=True).endure(
        way, warm, table
    )


@pytest.mark.parametrize(
    ("flow", "home", "survived"),
    [("ingest", published, ingested), ("retrain", landed, trained)],
    ids=["ingest", "retrain"],
)
def test_a_disk_that_is_full_sooner_or_later_is_said_and_costs_nothing(
    platform, tmp_path, warm, table, flow, home, survived
) -> None:
    with home(platform, tmp_path) as (own, parameters):
        assert fill(warm, table, flow, own, parameters) > 1
        survived(own)
