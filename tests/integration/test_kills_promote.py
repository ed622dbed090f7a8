"""``promote`` killed at its calls to S3 and MLflow, and these calls gone wrong: as ``test_kills.py``."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from flows.ml import ledger
from flows.retrain import retrain
from tests.integration import calls
from tests.integration import home as homes
from tests.integration.disturbed import WAYS, Trial, fill
from tests.integration.home import MODEL, Home, run

pytestmark = calls.timeout()

ADA = {"operator": "ada", "reason": "the day before was better"}


@pytest.fixture(scope="module")
def trained(platform: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home with two versions, which the gate promoted one after the other."""
    with homes.home(platform, tmp_path_factory.mktemp("home")) as own:
        own.land("2023-01", "2023-02", "2023-03")
        assert [run(retrain, model=MODEL, until=until).name for until in ("2023-02", "2023-03")] == ["Promoted"] * 2
        yield own


@contextlib.contextmanager
def served(own: Home) -> Iterator[tuple[Home, Mapping[str, Any]]]:
    """The same as the gate left it, and a promote's parameters."""
    for key in sorted(own.lake.keys(f"ledger/{MODEL}/"))[2:]:
        own.lake.delete(key)
    own.registry.set_champion(MODEL, 2)
    for number in (1, 2):
        own.registry.mark(MODEL, number, {"promoted": "", "taken_out": ""})
    yield own, {"model": MODEL, "version": "previous", **ADA}


def survived(own: Home) -> None:
    """One entry, the alias on its version, and the other marked as taken out."""
    assert [entry.version for entry in ledger.entries(own.lake, MODEL)] == [1, 2, 1]
    assert ledger.entries(own.lake, MODEL)[-1].operator == ADA["operator"]
    assert own.registry.champion(MODEL) == 1
    assert "taken_out" in own.registry.version(MODEL, 2).tags
    assert "taken_out" not in own.registry.version(MODEL, 1).tags


@pytest.mark.parametrize("way", WAYS)
def test_a_promote_leaves_one_entry_and_the_alias_on_it(trained, warm, table, way) -> None:
    Trial("promote", lambda: served(trained), survived).endure(way, warm, table)


def test_a_disk_that_is_full_sooner_or_later_is_said_and_costs_nothing(trained, warm, table) -> None:
    with served(trained) as (own, parameters):
        assert fill(warm, table, "promote", own, parameters) > 1
        survived(own)
