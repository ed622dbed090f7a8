"""``make kind-demo``: the three public months into the cluster's lake, then the main job through its deployments."""

import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import boto3

from ops.kind import access
from ops.kind.access import Access
from ops.kind.cluster import Cluster
from ops.kind.deploy import deploy
from ops.kind.steps import Step

DEPLOYMENT = "monthly/trip-duration"
FOLDER = "examples/tlc"
LOGS = "the run's logs in the Prefect UI, and make kind-status"


def demo(place: Cluster, root: Path, step: Step) -> Access:
    """Everything before the months run: HEAD deployed, the months where the pods can read them."""
    with step("Deploying, where HEAD is not what is deployed"):
        deploy(place, root, unless_deployed=True)
    found = access.find(place)
    with step("Putting the months into the lake's bucket"):
        publish(found, root)
    return found


def run(place: Cluster, root: Path, found: Access, output: IO[str] | None = None) -> int:
    """The months, one after the other; the exit status of the demo, which prints to ``output`` where there is one."""
    source = f"s3://{found.bucket}/{FOLDER}/green_tripdata_{{month}}.parquet"
    given = ("--deployment", DEPLOYMENT, "--source", source, "--logs", LOGS)
    command, env = [sys.executable, "-m", "ops.demo", *given], found.environment(place, root)
    return subprocess.call(command, env=env, cwd=root, stdout=output, stderr=output)


def publish(found: Access, root: Path) -> None:
    """The months of ``examples/tlc`` in the lake's bucket, beside the lake, each unless it is there."""
    client: Any = boto3.client(
        "s3",
        endpoint_url=found.s3,
        region_name="us-east-1",
        aws_access_key_id=found.keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=found.keys["AWS_SECRET_ACCESS_KEY"],
    )
    there = client.list_objects_v2(Bucket=found.bucket, Prefix=f"{FOLDER}/").get("Contents", [])
    sizes = {item["Key"]: item["Size"] for item in there}
    for path in sorted((root / FOLDER).glob("*.parquet")):
        key = f"{FOLDER}/{path.name}"
        if sizes.get(key) != path.stat().st_size:
            client.upload_file(str(path), found.bucket, key)
