"""``reconcile`` killed at its calls: the next one repairs what is left, and what is in use is as it was."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import boto3
from prefect.client.schemas.objects import FlowRun
from prefect.states import Failed, Running

from tests.integration import calls
from tests.integration import home as homes
from tests.integration.disturbed import Trial
from tests.integration.home import DATASET, MODEL, Home
from tests.integration.reconciling import Plants, close_all, done, look, start, state_of, unwatched
from tests.integration.warm import NOTHING_IS_YOUNG

pytestmark = calls.timeout()

OTHER = "0" * 64
LOST = (
    f"raw/{DATASET}/2023-02/{OTHER}/data.parquet",
    f"quarantine/{DATASET}/2023-02/{OTHER}/rows.parquet",
    f"predictions/{MODEL}/2023-01/a/v1/0-data.parquet",
    f"candidates/{MODEL}/lost/0-booster.ubj",
    f"candidates/{MODEL}/lost/0-encoder.json",
)
KEPT = ("notes/of-a-person.txt", f"candidates/{MODEL}/a/0-booster.ubj", f"candidates/{MODEL}/b/0-booster.ubj")


@dataclass(frozen=True)
class Left:
    """What crashes left in a home, and what is in use there: ``kept`` are the latter's objects."""

    plants: Plants
    kept: Mapping[str, str]
    lost_run: str
    orphan: FlowRun
    alive: FlowRun

    def is_repaired(self) -> None:
        """Assert that all was put right that was to be, and that nothing else was touched."""
        home, mlflow = self.plants.home, self.plants.mlflow
        assert home.objects() == self.kept
        assert [upload.key for upload in home.lake.uploads()] == ["mlflow/artifact"]
        assert self.plants.numbers() == [2, 3, 5, 6]
        assert [self.plants.tags(number).get("verdict") for number in (2, 3, 5, 6)] == ["keep", "keep", "refuse", None]
        assert home.registry.champion(MODEL) == 3
        assert mlflow.get_run(self.lost_run).info.status == "FAILED"
        assert (state_of(self.orphan).name, state_of(self.alive).name) == ("Crashed", "Running")
        assert done(look()) == []


def leave(home: Home) -> Left:
    """Leave one of everything that a reconcile repairs or no longer keeps, beside what it may not touch."""
    home.land("2023-01")
    former = home.objects().keys() - {f"raw/{DATASET}/2023-01/manifest.json"}
    home.land("2023-01", rows=lambda rows: rows.head(10_000))
    for key in KEPT:
        home.lake.put_new(key, b"x")
    plants = Plants(home)
    plants.version("old")
    first, second, _ = plants.version("a"), plants.version("b"), plants.version("a")
    plants.version("c", tags={})
    plants.version("", tags={})  # a person's own
    plants.promote(first, "a")
    home.registry.set_champion(MODEL, first)
    plants.promote(second, "b")
    kept = {key: etag for key, etag in home.objects().items() if key not in former}
    for key in LOST:
        home.lake.put_new(key, b"half")
    client: Any = boto3.client("s3")
    for key in (LOST[0], "mlflow/artifact"):
        client.create_multipart_upload(Bucket=home.lake.bucket, Key=f"{home.lake.prefix}/{key}")
    dead, alive = start(Failed()), start(Running())
    return Left(plants, kept, plants.run("d"), start(Running(), parent=dead), start(Running(), parent=alive))


def test_a_reconcile_leaves_what_is_in_use_and_nothing_that_crashes_left(
    platform, tmp_path_factory, warm, table
) -> None:
    left: list[Left] = []

    @contextlib.contextmanager
    def home() -> Iterator[tuple[Home, Mapping[str, Any]]]:
        with homes.home(platform, tmp_path_factory.mktemp("home")) as own, unwatched():
            close_all()
            left.append(leave(own))
            yield replace(own, env={**own.env, NOTHING_IS_YOUNG: "1"}), {"dry_run": False}
            close_all()

    Trial("reconcile", home, lambda own: left[-1].is_repaired()).endure("killed", warm, table)
