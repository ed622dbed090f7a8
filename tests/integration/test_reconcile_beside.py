"""``reconcile`` beside a retrain that lives, and stands still after each change while a reconcile looks at all."""

from pathlib import Path
from typing import Any

import boto3
import pytest

from flows.ml.lake import Lake
from flows.ml.reconciling import facts
from flows.ml.reconciling.finding import Kind
from flows.ml.reconciling.registry_findings import ModelFacts
from flows.ml.registry_upkeep import Upkeep
from flows.promote import promote
from tests.integration import calls
from tests.integration import home as homes
from tests.integration.home import MODEL, Home, run
from tests.integration.reconciling import Plants, done, look
from tests.integration.warm import Warm

LET_BE = f"let be: a run of {MODEL} is under way, or was since this began"


def test_a_reconcile_at_any_moment_of_a_retrain_touches_nothing_of_it(
    platform: dict[str, str], calm: Home, warm: Warm, tmp_path_factory: Any
) -> None:
    made = of_a_retrain(platform, tmp_path_factory.mktemp("first"), warm)
    calm.land("2023-01", "2023-02")
    upload = begun(calm)
    kinds = set()

    for moment in calls.pauses(made, warm, calm.env, "retrain", model=MODEL):
        found = look()
        assert {one[2] for one in done(found)} == {LET_BE}, (moment, done(found))
        kinds |= {one.finding.kind for one in found.outcomes}

    assert kinds == {Kind.UPLOAD, Kind.STAGED, Kind.LEFT_RUNNING, Kind.ALIAS}
    assert calm.outcome() == {"versions": {1: "promote"}, "champion": 1, "ledger": [1]}
    assert done(look()) == [("open upload in parts", upload, "done: let S3 drop its parts")]


def test_a_run_that_began_and_ended_while_a_reconcile_looked_keeps_it_from_deleting(
    calm: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = begun(calm)

    def read_and_run(lake: Lake, registry: Upkeep, model: str) -> ModelFacts:
        found = of_model(lake, registry, model)
        run(promote, model=MODEL, version="previous", operator="Ada", reason="it is off")
        return found

    of_model = facts.of_model
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(facts, "of_model", read_and_run)
        assert done(look()) == [("open upload in parts", upload, LET_BE)]

    assert done(look()) == [("open upload in parts", upload, "done: let S3 drop its parts")]


def begun(home: Home) -> str:
    """The key of an upload in parts to the files of a training that nothing refers to."""
    key = f"candidates/{MODEL}/0/0-booster.ubj"
    client: Any = boto3.client("s3")
    client.create_multipart_upload(Bucket=home.lake.bucket, Key=f"{home.lake.prefix}/{key}")
    return key


def of_a_retrain(platform: dict[str, str], folder: Path, warm: Warm) -> list[str]:
    """The calls of a retrain in a home like the one that follows: its experiment is there."""
    with homes.home(platform, folder) as own:
        Plants(own)
        own.land("2023-01", "2023-02")
        return calls.of(warm, own.env, "retrain", model=MODEL)
