"""What the flows expect of a Prefect server and a lake: bucket, work pool, block, limits, deployments.

Everything is looked up first and then made or changed, so running it twice, or twice at once, ends the same.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.exceptions import ClientError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectAlreadyExists
from prefect.states import Crashed
from prefect.workers.process import ProcessWorker
from prefect_aws import S3Bucket

from ops.environment import BUCKET, RESULTS_BLOCK, here

POOL = "local"
UNDER_WAY = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]


def bucket() -> None:
    """Make the lake's bucket where it is not there."""
    client: Any = boto3.client("s3")
    try:
        client.create_bucket(Bucket=BUCKET)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
            raise


def pool(client: SyncPrefectClient) -> None:
    """Make the process work pool of the local platform."""
    template = ProcessWorker.get_default_base_job_template()
    try:
        client.create_work_pool(
            WorkPoolCreate(name=POOL, type="process", base_job_template=template, concurrency_limit=2)
        )
    except ObjectAlreadyExists:
        return


def results_block() -> None:
    """Save the block that task results persist through; its credentials and endpoint are the environment's."""
    S3Bucket(bucket_name=BUCKET, bucket_folder="results").save(RESULTS_BLOCK.split("/")[1], overwrite=True)


def deployments(root: Path, pool_name: str) -> list[str]:
    """The full names (flow/deployment) in ``prefect.yaml`` that run on a pool."""
    entries = yaml.safe_load((root / "prefect.yaml").read_text())["deployments"]
    return [f"{entry['flow_name']}/{entry['name']}" for entry in entries if entry["work_pool"]["name"] == pool_name]


def deploy(root: Path, pool_name: str) -> None:
    """Apply every deployment of a pool as ``prefect.yaml`` has it."""
    names = [argument for name in deployments(root, pool_name) for argument in ("--name", name)]
    prefect = str(Path(sys.executable).with_name("prefect"))
    subprocess.run([prefect, "--no-prompt", "deploy", *names], cwd=root, check=True)


def close_runs(client: SyncPrefectClient) -> None:
    """End the runs that were under way when the platform was stopped; their slots of concurrency limits come free."""
    under_way = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=UNDER_WAY)))
    while runs := client.read_flow_runs(flow_run_filter=under_way):
        for run in runs:
            client.set_flow_run_state(run.id, Crashed(message="the platform was stopped while it ran"), force=True)


def main() -> None:
    """Provision the platform the environment points at."""
    bucket()
    with get_client(sync_client=True) as client:
        pool(client)
        if "--no-run-is-alive" in sys.argv:
            close_runs(client)
    results_block()
    deploy(here().root, POOL)


if __name__ == "__main__":
    main()
