"""``monthly`` disturbed at its calls: month, scores, report and version are each there once, and whole, in the end."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from flows.ml import landing, predictions, stored
from flows.retrain import retrain
from tests.integration import calls
from tests.integration import home as homes
from tests.integration.disturbed import WAYS, Trial
from tests.integration.home import DATASET, MODEL, Home, run
from tests.integration.monitored import reports

pytestmark = calls.timeout(1500, every=6 * 3600)

MONTH = "2023-03"


@contextlib.contextmanager
def due(platform: Mapping[str, str], folder: Path) -> Iterator[tuple[Home, Mapping[str, Any]]]:
    """A home where version 1 is in service and the next month is published, and a scheduled monthly's parameters."""
    with homes.home(platform, folder) as own:
        own.land("2023-01", "2023-02")
        assert run(retrain, model=MODEL).name == "Promoted"
        own.publish(MONTH)
        yield own, {"model": MODEL, "source": own.source}  # no month, as the schedule starts it


def survived(own: Home) -> None:
    """One version more at most, ledger and alias agree, the month is whole, scored once and reported on once."""
    outcome = own.outcome()
    assert list(outcome["versions"]) == [1, 2]
    assert outcome["champion"] == outcome["ledger"][-1]
    assert outcome["ledger"] == [number for number, verdict in outcome["versions"].items() if verdict == "promote"]
    for number in outcome["versions"]:
        stored.try_out(own.registry, own.registry.version(MODEL, number), own.folder)
    manifest = landing.manifest(own.lake, DATASET, MONTH)
    landing.fetch(own.lake, manifest, own.folder)  # held to its digest
    scored = predictions.find(own.lake, MODEL, MONTH, manifest.address, 1)
    assert scored
    assert predictions.is_whole(own.lake, scored)
    assert [report.info.status for report in reports(own, manifest.address)] == ["FINISHED"]
    assert own.lake.uploads() == []


@pytest.mark.parametrize("way", WAYS)
def test_a_monthly_leaves_a_month_with_its_scores_report_and_version(
    platform, tmp_path_factory, warm, table, way
) -> None:
    Trial("monthly", lambda: due(platform, tmp_path_factory.mktemp("home")), survived, trains=True).endure(
        way, warm, table
    )
