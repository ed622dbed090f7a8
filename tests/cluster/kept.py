"""What is kept on a platform's volumes and in its Secrets: put there before an upgrade, looked for after it."""

import time
from dataclasses import dataclass

from mlflow import MlflowClient
from prefect import flow
from prefect.states import Completed

from flows.ml.lake import connect
from tests.cluster.release import Release

SECRETS = ("prefect-auth", "mlflow-auth", "lake")
MODEL, SOURCE, KEY = "kept", "s3://trainyard/mlflow/none", "kept/it"


@dataclass(frozen=True)
class Kept:
    """A flow run of Prefect with its state, a version of MLflow with its alias, an object of MinIO, every password."""

    run: tuple[str, str]
    version: tuple[str, str]
    object: bytes
    passwords: dict[str, dict[str, str]]


@flow(name="kept")
def _kept() -> None:
    """A flow whose run is only on record."""


def plant(release: Release) -> Kept:
    """Put them there, and read them."""
    with release.reached():
        with release.client() as client:
            run = client.create_flow_run(_kept, state=Completed(message="before the upgrade"))
        mlflow = MlflowClient()
        mlflow.create_registered_model(MODEL)
        version = mlflow.create_model_version(MODEL, SOURCE)
        mlflow.set_registered_model_alias(MODEL, "champion", version.version)
        connect("trainyard").put_new(KEY, str(time.time_ns()).encode())
    return find(release, str(run.id))


def find(release: Release, run: str) -> Kept:
    """What is there now, by the passwords that are there now. Raises what a client raises where something is not."""
    with release.reached():
        with release.client() as client:
            found = client.read_flow_run(run)
        version = MlflowClient().get_model_version_by_alias(MODEL, "champion")
        data = connect("trainyard").get(KEY)
    assert found.state
    passwords = {name: release.secret(f"{release.name}-{name}") for name in SECRETS}
    return Kept((str(found.id), str(found.state.message)), (str(version.version), version.source), data, passwords)
