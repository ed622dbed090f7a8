"""``reconcile`` beside a retrain that lives, and stands still after each change while a reconcile looks at all."""

from pathlib import Path
from typing import Any

import boto3

from flows.ml.reconciling.finding import Kind
from tests.integration import calls
from tests.integration import home as homes
from tests.integration.home import MODEL, Home
from tests.integration.reconciling import Plants, done, look
from tests.integration.warm import Warm

LET_BE = f"let be: a run of {MODEL} is under way"


def test_a_reconcile_at_any_moment_of_a_retrain_touches_nothing_of_it(
    platform: dict[str, str], calm: Home, warm: Warm, tmp_path_factory: Any
) -> None:
    made = of_a_retrain(platform, tmp_path_factory.mktemp("first"), warm)
    calm.land("2023-01", "2023-02")
    upload = f"candidates/{MODEL}/0/0-booster.ubj"
    client: Any = boto3.client("s3")
    client.create_multipart_upload(Bucket=calm.lake.bucket, Key=f"{calm.lake.prefix}/{upload}")
    kinds = set()

    for moment in calls.pauses(made, warm, calm.env, "retrain", model=MODEL):
        found = look()
        assert {one[2] for one in done(found)} == {LET_BE}, (moment, done(found))
        kinds |= {one.finding.kind for one in found.outcomes}

    assert kinds == {Kind.UPLOAD, Kind.STAGED, Kind.LEFT_RUNNING, Kind.ALIAS}
    assert calm.outcome() == {"versions": {1: "promote"}, "champion": 1, "ledger": [1]}
    assert done(look()) == [("open upload in parts", upload, "done: let S3 drop its parts")]


def of_a_retrain(platform: dict[str, str], folder: Path, warm: Warm) -> list[str]:
    """The calls of a retrain in a home like the one that follows: its experiment is there."""
    with homes.home(platform, folder) as own:
        Plants(own)
        own.land("2023-01", "2023-02")
        return calls.of(warm, own.env, "retrain", model=MODEL)
