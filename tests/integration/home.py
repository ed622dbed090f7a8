"""What a test of the flows works in: a lake, a registry and a folder of published months, all empty at first."""

import contextlib
import functools
import itertools
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import polars as pl
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import Artifact, State

from flows import datasets
from flows.ml import landing, source
from flows.ml.lake import Lake, connect
from flows.ml.registry import Registry
from flows.models import ModelName
from tests.integration.servers import ROOT, at

MODEL = "trip-duration"
DATASET = "green-trips"
GIT_SHA = "c0ffee" * 6 + "abcd"
EVERY = 6
"""A month is cut to every sixth of its rows: some 11,000, a little more than contract and gate ask for."""

_numbers = itertools.count(1)


@functools.cache
def sample(month: str) -> pl.DataFrame:
    """Every sixth row of a month of ``examples/tlc``."""
    return pl.read_parquet(ROOT / f"examples/tlc/green_tripdata_{month}.parquet").gather_every(EVERY)


@dataclass(frozen=True)
class Home:
    """An empty lake and registry.

    ``number`` is in the rows it publishes, as millionths of a mile: no two homes have the same training, and every home
    comes to the same verdicts.
    """

    env: Mapping[str, str]
    lake: Lake
    registry: Registry
    folder: Path
    number: int

    @property
    def source(self) -> str:
        """The template of the paths of the published months."""
        return str(self.folder / "green_tripdata_{month}.parquet")

    def path(self, month: str) -> Path:
        """Where a month is published."""
        return Path(self.source.replace("{month}", month))

    def marked(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows as no other home has them."""
        first = pl.int_range(pl.len()) < 100
        mark = pl.when(first).then(self.number / 1_000_000).otherwise(0)
        return rows.with_columns(pl.col("trip_distance") + mark)

    def rows(self, month: str) -> pl.DataFrame:
        """A small month, as no other home has it."""
        return self.marked(sample(month))

    def publish(self, month: str, rows: pl.DataFrame | None = None) -> Path:
        """Publish a month."""
        (self.rows(month) if rows is None else rows).write_parquet(self.path(month))
        return self.path(month)

    def land(self, *months: str, rows: Callable[[pl.DataFrame], pl.DataFrame] = lambda rows: rows) -> None:
        """Publish months and bring them into the lake, without a flow."""
        for month in months:
            path = str(self.publish(month, rows(self.rows(month))))
            fetched = source.fetch(path, month, self.folder)
            landing.land(
                self.lake,
                datasets.load(DATASET),
                month,
                fetched,
                self.folder,
                revision=GIT_SHA,
                created_at="2024-01-01T00:00:00+00:00",
            )

    def objects(self) -> dict[str, str]:
        """Every object of the lake with its etag, but for the marks of good ends."""
        keys = [key for key in self.lake.keys("") if not key.startswith("marks/")]
        return {key: found.etag for key in keys if (found := self.lake.find(key))}

    def outcome(self, model: str = MODEL) -> dict[str, Any]:
        """What runs leave for good: versions with their verdicts, the alias, the versions in the ledger."""
        versions = self.registry.versions(model)
        entries = sorted(self.lake.keys(f"ledger/{model}/"))
        return {
            "versions": {version.number: version.tags["verdict"] for version in versions},
            "champion": self.registry.champion(model),
            "ledger": [self.lake.get_json(key)["version"] for key in entries],
        }

    def lose_model(self, number: int) -> dict[str, bytes]:
        """Delete the stored files of a version behind MLflow's back; gives what they held, by key."""
        client: Any = boto3.client("s3")
        model = MlflowClient().get_model_version(MODEL, str(number)).source.split("/")[-1]
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.lake.bucket, Prefix="mlflow/")
        keys = [item["Key"] for page in pages for item in page["Contents"] if f"/{model}/" in item["Key"]]
        assert keys
        held = {key: client.get_object(Bucket=self.lake.bucket, Key=key)["Body"].read() for key in keys}
        for key in keys:
            client.delete_object(Bucket=self.lake.bucket, Key=key)
        return held

    def restore(self, held: Mapping[str, bytes]) -> None:
        """Put back what ``lose_model`` took."""
        client: Any = boto3.client("s3")
        for key, data in held.items():
            client.put_object(Bucket=self.lake.bucket, Key=key, Body=data)


NOTHING: dict[str, Any] = {"versions": {}, "champion": None, "ledger": []}
"""The outcome where no training ended."""


@contextlib.contextmanager
def home(platform: Mapping[str, str], folder: Path) -> Iterator[Home]:
    """A home for as long as the block lasts; the environment of this process leads to it."""
    scratch, published = folder / "scratch", folder / "published"
    scratch.mkdir()
    published.mkdir()
    own = {
        "TRAINYARD_LAKE_PREFIX": f"tests/{uuid.uuid4().hex}",
        "TRAINYARD_SCRATCH": str(scratch),
        "TRAINYARD_GIT_SHA": GIT_SHA,
    }
    with at({**platform, **own}):
        lake = connect(os.environ["TRAINYARD_LAKE_BUCKET"], own["TRAINYARD_LAKE_PREFIX"])
        registry = Registry(os.environ["MLFLOW_TRACKING_URI"])
        try:
            yield Home({**platform, **own}, lake, registry, published, next(_numbers))
        finally:
            for model in ModelName:
                with contextlib.suppress(MlflowException):
                    MlflowClient(registry.uri).delete_registered_model(model)


def run(flow: Callable[..., State], **parameters: Any) -> State:
    """Run a flow; its last state as the server has it."""
    ended = flow(**parameters, return_state=True)
    assert ended.state_details.flow_run_id
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(ended.state_details.flow_run_id).state
    assert state
    assert state.is_final()
    return state


def artifacts(state: State) -> dict[str, Artifact]:
    """The artifacts of the run that ended in a state, by key; progress bars have none and go by their type."""
    run_id = state.state_details.flow_run_id
    assert run_id
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
        )
    return {str(artifact.key or artifact.type): artifact for artifact in found}
