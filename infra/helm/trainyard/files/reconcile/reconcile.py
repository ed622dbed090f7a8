"""Lets the code that is deployed reconcile: ``python reconcile.py`` and the arguments of ``flows.reconciling``.

It needs no Prefect: commit and pull step are in the record of the last deploy, an object in the lake. Where nothing was
ever deployed there is nothing to reconcile, and it ends well.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

FOLDER = "deploys/"
POOL = "kubernetes"
NAME = re.compile(rf"{FOLDER}(\d+)\.json")


class NotReconciled(Exception):
    """What is in the way, and what to do about it."""


class Records:
    """The records of deploys, in the lake that the environment names."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.client: Any = boto3.client("s3")
        self.bucket, prefix = env["TRAINYARD_LAKE_BUCKET"], env.get("TRAINYARD_LAKE_PREFIX", "")
        self.root = f"{prefix}/" if prefix else ""

    def newest(self) -> dict[str, Any] | None:
        """The newest one of a deploy that came to its end; None before the first. Raises ``NotReconciled``."""
        try:
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.root + FOLDER)
            keys = {item["Key"].removeprefix(self.root) for page in pages for item in page.get("Contents", ())}
            numbers = [match[1] for key in sorted(keys, reverse=True) if (match := NAME.fullmatch(key))]
            done = next((number for number in numbers if f"{FOLDER}{number}.done.json" in keys), None)
            if done is None:
                return None
            answer = self.client.get_object(Bucket=self.bucket, Key=f"{self.root}{FOLDER}{done}.json")
            found: dict[str, Any] = json.loads(answer["Body"].read())
        except (ClientError, BotoCoreError) as error:
            raise NotReconciled(
                f"the lake, bucket {self.bucket} at {self.client.meta.endpoint_url}, does not give the record of the"
                f" last deploy ({error}): correct the values under `lake`, the keys in its Secret, or the rights of the"
                " service account's role."
            ) from error
        return found


def pull_step(record: Mapping[str, Any]) -> str:
    """The text of the pull step that the deployments of a record carry. Raises ``NotReconciled``."""
    settings = (each["settings"] for each in record["deployments"])
    steps = (step for each in settings if each["work_pool_name"] == POOL for step in each["pull_steps"])
    texts = (options.get("env", {}).get("PULL") for step in steps for options in step.values())
    if text := next((text for text in texts if text), None):
        return str(text)
    raise NotReconciled(f"the deploy {record['number']} carries no pull step. Deploy again.")


def pull(record: Mapping[str, Any], folder: Path, env: Mapping[str, str]) -> None:
    """Fetch ``flows/`` of the record's commit into a folder. Raises ``NotReconciled``."""
    done = subprocess.run([sys.executable, "-c", pull_step(record)], cwd=folder, env=env, check=False)
    if done.returncode:
        raise NotReconciled("the code that is deployed cannot be had; the reason is above.")
    if not (folder / "flows" / "reconciling").is_dir():
        raise NotReconciled(f"commit {record['commit']}, which is deployed, has no reconcile. Deploy a newer one.")


def main() -> int:
    """Run the reconcile of the code that is deployed; its exit status, or 1 where it cannot be had."""
    try:
        if (record := Records(os.environ).newest()) is None:
            sys.stdout.write("nothing was ever deployed: there is nothing to reconcile\n")
            return 0
        with tempfile.TemporaryDirectory(prefix="trainyard-") as folder:
            env = {**os.environ, "TRAINYARD_GIT_SHA": record["commit"], "PYTHONPATH": folder}
            pull(record, Path(folder), env)
            sys.stdout.write(f"by the code of deploy {record['number']}, commit {record['commit'][:12]}\n")
            sys.stdout.flush()
            command = [sys.executable, "-m", "flows.reconciling", *sys.argv[1:]]
            return subprocess.run(command, cwd=folder, env=env, check=False).returncode
    except NotReconciled as error:
        sys.stderr.write(f"trainyard: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
