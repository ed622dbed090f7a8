"""The flow ``smoke``: what a flow run needs of the platform, tried once. ``helm test`` runs it."""

import base64
import os
import subprocess
from typing import Any

import boto3
import httpx
from packaging.version import Version
from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed


class SmokeError(Exception):
    """What does not work, and what to look at."""


@flow(
    name="smoke",
    description="Try what a flow run needs of the platform: the lake, MLflow, the repository.",
    timeout_seconds=240,
)
def smoke() -> State:
    """Write, read and delete an object in the lake, and through MLflow; ask for models, and the repository's head."""
    said = [lake(), registry(), artifacts(), repository()]
    return Completed(message="; ".join(said))


@task(name="the lake keeps an object", persist_result=False)
def lake() -> str:
    """Write, read and delete an object. Raises ``SmokeError``."""
    bucket, prefix = os.environ["TRAINYARD_LAKE_BUCKET"], os.environ.get("TRAINYARD_LAKE_PREFIX", "")
    key = "/".join(part for part in (prefix, "smoke", str(flow_run.id)) if part)
    client: Any = boto3.client("s3")
    try:
        client.put_object(Bucket=bucket, Key=key, Body=b"smoke")
        found = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        client.delete_object(Bucket=bucket, Key=key)
    except Exception as error:
        raise SmokeError(
            f"the lake, bucket {bucket} at {client.meta.endpoint_url}, does not keep an object ({error}): correct the"
            " values under `lake`, the keys in its Secret, or the rights of the service account's role."
        ) from error
    if found != b"smoke":
        raise SmokeError(f"the lake gave back {found!r} for what was written to {bucket}/{key}")
    return f"bucket {bucket} keeps objects"


@task(name="MLflow answers", persist_result=False)
def registry() -> str:
    """Ask MLflow for its version and its registered models. Raises ``SmokeError``."""
    import mlflow

    try:
        models = mlflow.MlflowClient().search_registered_models(max_results=100)
        found = ask_mlflow("GET", "/version").text.strip()
    except Exception as error:
        raise SmokeError(
            f"MLflow at {mlflow.get_tracking_uri()} does not answer these credentials ({error}): see its pod, or"
            " correct mlflow.externalUrl and the Secret."
        ) from error
    if Version(found) < Version(mlflow.__version__):
        raise SmokeError(
            f"MLflow at {mlflow.get_tracking_uri()} is version {found}, older than the flows' {mlflow.__version__}:"
            " upgrade it first."
        )
    return f"MLflow holds {len(models)} models"


@task(name="MLflow keeps an artifact", persist_result=False)
def artifacts() -> str:
    """Write and delete an artifact through MLflow, which has keys or a role of its own. Raises ``SmokeError``."""
    path = f"/api/2.0/mlflow-artifacts/artifacts/smoke/{flow_run.id}"
    try:
        ask_mlflow("PUT", path, b"smoke")
        ask_mlflow("DELETE", path)
    except Exception as error:
        if "--no-serve-artifacts" in str(error):
            return "MLflow leaves artifacts to its clients"  # one from elsewhere, whose clients reach them themselves
        raise SmokeError(
            f"MLflow does not keep an artifact ({error}): correct the values under `lake`, or the rights of the role of"
            " MLflow's own service account (mlflow.serviceAccountAnnotations); MLflow's log says more."
        ) from error
    return "MLflow keeps artifacts"


def ask_mlflow(verb: str, path: str, content: bytes | None = None) -> httpx.Response:
    """What MLflow answers at a path. Raises ``SmokeError``, ``httpx.HTTPError``."""
    login = os.environ.get("MLFLOW_TRACKING_USERNAME", ""), os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    address = os.environ["MLFLOW_TRACKING_URI"].rstrip("/") + path
    answer = httpx.request(verb, address, content=content, auth=login if login[0] else None, timeout=60)
    if not answer.is_success:
        raise SmokeError(f"{verb} {path}: {answer.status_code} {answer.text[:300]}")
    return answer


@task(name="the repository answers", persist_result=False)
def repository() -> str:
    """Ask the repository that flow runs clone for its head. Raises ``SmokeError``."""
    address = os.environ.get("GIT_REPOSITORY", "")
    if not address:
        raise SmokeError("no repository is given that flow runs could clone: set git.repository.")
    done = subprocess.run(
        ["git", "ls-remote", "--heads", address],
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0", **login(address, os.environ.get("GIT_TOKEN", ""))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise SmokeError(
            f"the repository {address} does not answer ({done.stderr.strip()}): correct git.repository, or the token in"
            " the Secret that git.tokenSecret names."
        )
    return f"{address} has {len(done.stdout.splitlines())} branches"


def login(address: str, token: str) -> dict[str, str]:
    """What tells git the token, or the ``user:password``, of a repository; in no argument, since those can be read."""
    if not token:
        return {}
    pair = base64.b64encode((token if ":" in token else f"x-access-token:{token}").encode()).decode()
    header = {"KEY_0": f"http.{address}.extraHeader", "VALUE_0": f"Authorization: Basic {pair}", "COUNT": "1"}
    return {f"GIT_CONFIG_{name}": value for name, value in header.items()}
