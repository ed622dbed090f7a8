"""``ingest``, ``retrain`` and ``promote`` killed at their calls to S3 and MLflow, and these calls gone wrong.

Whatever happens: the run ends in a state with a named error or is gone, the next run completes it, one version, one
entry and the alias agree, and a training that was kept is not done twice. With EVERY_CALL every call is tried, each
kind of error at every change; without, each kind has its share of the moments. What was tried is printed as a table.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from flows.ml import landing, ledger, stored
from flows.retrain import retrain
from tests.integration import home as homes
from tests.integration.disturbed import WAYS, Trial
from tests.integration.home import DATASET, MODEL, Home, run
from tests.integration.warm import FILE_LIMIT

pytestmark = pytest.mark.timeout(3 * 3600 if os.environ.get("EVERY_CALL") else 900)

MONTHS = ("2023-01", "2023-02")
ADA = {"operator": "ada", "reason": "the day before was better"}


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


@pytest.mark.parametrize("way", WAYS)
def test_an_ingest_leaves_the_whole_month_or_none(platform, tmp_path_factory, warm, table, way) -> None:
    def survived(own: Home) -> None:
        assert landing.months(own.lake, DATASET) == [MONTHS[0]]
        manifest = landing.manifest(own.lake, DATASET, MONTHS[0])
        landing.fetch(own.lake, manifest, own.folder)  # held to its digest
        names = sorted(key.rpartition("/")[2] for key in own.objects())
        assert names == ["data.parquet", "manifest.json", "manifest.json", "rows.parquet"]
        assert own.lake.uploads() == []

    Trial("ingest", lambda: published(platform, tmp_path_factory.mktemp("home")), survived).endure(way, warm, table)


@pytest.mark.parametrize("way", WAYS)
def test_a_retrain_leaves_one_version_that_ledger_and_alias_agree_on(
    platform, tmp_path_factory, warm, table, way
) -> None:
    def survived(own: Home) -> None:
        assert own.outcome() == {"versions": {1: "promote"}, "champion": 1, "ledger": [1]}
        stored.try_out(own.registry, own.registry.version(MODEL, 1), own.folder)

    Trial("retrain", lambda: landed(platform, tmp_path_factory.mktemp("home")), survived).endure(way, warm, table)


def test_a_promote_leaves_one_entry_and_the_alias_on_it(platform, tmp_path_factory, warm, table) -> None:
    with homes.home(platform, tmp_path_factory.mktemp("home")) as served:
        served.land(*MONTHS, "2023-03")
        assert [run(retrain, model=MODEL, until=until).name for until in ("2023-02", "2023-03")] == ["Promoted"] * 2

        @contextlib.contextmanager
        def home() -> Iterator[tuple[Home, Mapping[str, Any]]]:
            by_the_gate(served)
            yield served, {"model": MODEL, "version": "previous", **ADA}

        def survived(own: Home) -> None:
            *_, before, last = ledger.entries(own.lake, MODEL)
            assert (before.version, last.version, last.operator) == (2, 1, ADA["operator"])
            assert own.registry.champion(MODEL) == 1
            assert "taken_out" in own.registry.version(MODEL, 2).tags
            assert "taken_out" not in own.registry.version(MODEL, 1).tags

        for way in WAYS:
            Trial("promote", home, survived).endure(way, warm, table)


@pytest.mark.parametrize(("flow", "home"), [("ingest", published), ("retrain", landed)])
def test_a_full_disk_is_said_and_costs_nothing(platform, tmp_path, warm, flow, home) -> None:
    with home(platform, tmp_path) as (own, parameters):
        before = own.objects()
        with warm.run(flow, {**own.env, FILE_LIMIT: "100000"}, **parameters) as full:
            end = full.end()
        left, outcome = own.objects(), own.outcome()
        with warm.run(flow, own.env, **parameters) as again:
            ended = again.end()

    assert (end["type"], end["name"]) == ("FAILED", "Failed")
    assert "exception: NoRoom: " in end["message"]
    assert "has no room for the files of this task" in end["message"]
    assert (left, outcome) == (before, homes.NOTHING)
    assert ended["type"] == "COMPLETED"


def by_the_gate(home: Home) -> None:
    """Put version 2 in service again, as if a retrain had found it better."""
    found = ledger.entries(home.lake, MODEL)
    if found[-1].version != 2:
        fingerprint = next(entry.fingerprint for entry in found if entry.version == 2)
        why = {"decision": f"after {len(found)}", "reason": "better", "operator": ledger.SCHEDULE}
        ledger.promote(home.lake, MODEL, found[-1], version=2, fingerprint=fingerprint, **why)
        home.registry.set_champion(MODEL, 2)
