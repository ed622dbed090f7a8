"""The alias behind the ledger, and the champion by it; the registry is MLflow's own store in a file, no server."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import mlflow.pyfunc
import polars as pl
import pytest

from flows.ml import judging, registration
from flows.ml.champion import ChampionUnusable
from flows.ml.ledger import Entry
from flows.ml.registry import Registry
from tests.unit.strategies import small_model, trips

MODEL = small_model().name
ENTRY = {"champion": None, "decision": "d", "reason": "r", "operator": "retrain", "promoted_at": "2024-02-01T00:00:00"}


@dataclass(frozen=True)
class FixedLake:
    """A lake that holds a ledger and takes nothing."""

    entries: Mapping[str, dict[str, object]]

    def uri(self, key: str) -> str:
        return f"s3://lake/{key}"

    def keys(self, prefix: str) -> list[str]:
        return [key for key in self.entries if key.startswith(prefix)]

    def get_json(self, key: str) -> object:
        return self.entries[key]


def ledger(**last: object) -> FixedLake:
    return FixedLake({f"ledger/{MODEL}/00000001.json": {"number": 1, **ENTRY, **last}})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry; versions 1 and 2 are of the trainings ``first`` and ``second``."""
    found = Registry(f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db")
    found._client.create_registered_model(MODEL)
    for fingerprint in ("first", "second"):
        tags = {"fingerprint": fingerprint, "snapshot": json.dumps({"train": [{"month": "2023-12"}]})}
        found._client.create_model_version(MODEL, "s3://lake/nothing", tags=tags)
    return found


@pytest.fixture
def registry(store: Registry) -> Registry:
    """The registry, no version the champion."""
    store._client.delete_registered_model_alias(MODEL, "champion")
    return store


def test_the_alias_follows_the_ledger(registry: Registry) -> None:
    registry.set_champion(MODEL, 1)

    registration.align(ledger(version=2, fingerprint="second"), registry, MODEL)

    assert registry.champion(MODEL) == 2


@pytest.mark.parametrize("version", [2, 9])
def test_a_version_of_another_training_than_the_promoted_one_never_becomes_champion(
    registry: Registry, version
) -> None:
    """Numbers begin again once a registered model was deleted: the version may be one that was refused."""
    registration.align(ledger(version=version, fingerprint="first"), registry, MODEL)

    assert registry.champion(MODEL) is None


def test_a_champion_without_a_ledger_is_named_not_replaced(registry: Registry) -> None:
    registry.set_champion(MODEL, 1)

    with pytest.raises(
        registration.LedgerMissing, match=r"version 1 of trip-duration .* s3://lake/ledger/trip-duration/ is empty"
    ):
        registration.align(FixedLake({}), registry, MODEL)


def test_nothing_is_aligned_before_the_first_promotion(registry: Registry) -> None:
    registration.align(FixedLake({}), registry, MODEL)

    assert registry.champion(MODEL) is None


def test_a_version_of_another_training_is_not_scored_as_the_champion(registry: Registry, tmp_path: Path) -> None:
    entry = Entry(**{"number": 1, "version": 2, "fingerprint": "first", **ENTRY})

    with pytest.raises(ChampionUnusable, match="another training than the one that was promoted"):
        judging.score_champion(registry, small_model(), entry, trips(1, 10), 1, tmp_path)


class Stored:
    """A stored model that answers with what it is told."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def predict(self, rows: object) -> object:
        return self.answer


@pytest.mark.parametrize("answer", [[7.0], pl.DataFrame({"minutes": [7.0] * 10}).to_numpy()])
def test_a_champion_that_does_not_answer_row_by_row_is_unusable(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    monkeypatch.setattr(Registry, "download", lambda *_: tmp_path)
    monkeypatch.setattr(mlflow.pyfunc, "load_model", lambda _: Stored(answer))
    entry = Entry(**{"number": 1, "version": 1, "fingerprint": "first", **ENTRY})

    with pytest.raises(ChampionUnusable, match="for 10 rows"):
        judging.score_champion(registry, small_model(), entry, trips(1, 10), 1, tmp_path)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_champion_that_does_not_answer_with_numbers_is_unusable(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    monkeypatch.setattr(Registry, "download", lambda *_: tmp_path)
    monkeypatch.setattr(mlflow.pyfunc, "load_model", lambda _: Stored([7.0] * 9 + [wrong]))
    entry = Entry(**{"number": 1, "version": 1, "fingerprint": "first", **ENTRY})

    with pytest.raises(ChampionUnusable, match="1 of 10 predictions are no finite numbers"):
        judging.score_champion(registry, small_model(), entry, trips(1, 10), 1, tmp_path)
