"""Finds out whether what the flows need answers; what does not is a sentence with its remedy."""

import os
import sys
from typing import Any

import boto3
import httpx
import prefect
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
from packaging.version import Version
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import WorkPool
from work_pool import installation

APPLIED = "BOOTSTRAP"
"""The variable of the environment that says what is applied: the release's bootstrap Job, one of its own for each
revision, and behind a dot a digest of its configuration."""
REFUSALS = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403"}


class BootstrapError(Exception):
    """What is wrong, and what to do about it."""


class NotYet(Exception):
    """A server that may still be starting; the sentence says what to do if it never answers."""


def fail(sentence: str) -> int:
    """The sentence on standard error, and exit status 1."""
    sys.stderr.write(f"trainyard: {sentence}\n")
    return 1


def prefect_answers(client: SyncPrefectClient) -> str:
    """Find out whether the API answers to these credentials and is new enough."""
    try:
        found = Version(client.api_version())
        if found < Version(prefect.__version__):
            raise BootstrapError(
                f"Prefect at {client.api_url} is version {found}, older than the flows' {prefect.__version__}: upgrade"
                " it first."
            )
        client.read_work_pools(limit=1)
    except httpx.HTTPStatusError as error:
        if error.response.status_code in {401, 403}:
            raise BootstrapError(
                f"Prefect at {client.api_url} refuses these credentials: the Secret's `auth-string` must be the one the"
                " server was started with (user:password)."
            ) from error
        raise NotYet(
            f"Prefect at {client.api_url} answers {error.response.status_code}: see the server's log, or correct"
            " prefect.externalApiUrl."
        ) from error
    except httpx.HTTPError as error:
        raise NotYet(
            f"Prefect at {client.api_url} does not answer ({type(error).__name__}): see the server's pod and its log,"
            " or correct prefect.externalApiUrl."
        ) from error
    except ValueError as error:  # what is no JSON, or no version
        raise BootstrapError(
            f"what answers at {client.api_url} is not Prefect's API: correct prefect.externalApiUrl (it ends in /api)."
        ) from error
    return f"Prefect {found} answers"


def pool_is_ours(found: WorkPool, pool_type: str, template: dict[str, Any]) -> None:
    """Raises ``BootstrapError`` where a pool that is there is of another type, or makes another installation's Jobs."""
    if found.type != pool_type:
        raise BootstrapError(
            f"the work pool {found.name} is there and of type {found.type}, not {pool_type}: delete it in the"
            " Prefect UI, with its deployments, and run this again."
        )
    if (theirs := installation(found.base_job_template)) != (ours := installation(template)):
        raise BootstrapError(
            f"the work pool {found.name} is there and is that of {theirs}, not of {ours}: this Prefect is used by"
            " others. Give Trainyard a Prefect of its own; or delete the pool in the Prefect UI, with its deployments."
        )


def mlflow_answers(url: str) -> str:
    """Find out whether MLflow answers to these credentials."""
    user, password = os.environ.get("MLFLOW_TRACKING_USERNAME", ""), os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    asked = f"{url.rstrip('/')}/api/2.0/mlflow/registered-models/search?max_results=1"
    try:
        answer = httpx.get(asked, auth=(user, password) if user else None, timeout=10)
    except httpx.HTTPError as error:
        raise NotYet(
            f"MLflow at {url} does not answer ({type(error).__name__}): see its pod and its log, or correct"
            " mlflow.externalUrl."
        ) from error
    if answer.status_code in {401, 403}:
        raise BootstrapError(
            f"MLflow at {url} answers {answer.status_code}: the Secret's `username` and `password` must be a user of it"
            " (a password that was changed in the Secret alone is not known to MLflow), and the address one of its"
            f" allowed hosts. It said: {answer.text[:200]}"
        )
    if not answer.is_success:
        raise NotYet(f"MLflow at {url} answers {answer.status_code}: {answer.text[:200]}")
    if "json" not in answer.headers.get("content-type", ""):
        raise BootstrapError(f"what answers at {url} is not MLflow: correct mlflow.externalUrl.")
    return "MLflow answers"


def lake_answers(bucket: str, *, create: bool) -> str:
    """Find out whether the bucket is there and may be used; make it where that is asked for."""
    client: Any = boto3.client("s3")
    where = os.environ.get("AWS_ENDPOINT_URL") or "AWS"
    try:
        client.list_objects_v2(Bucket=bucket, MaxKeys=1)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "NoSuchBucket" and create:
            return make_bucket(client, bucket)
        if code == "NoSuchBucket":
            raise BootstrapError(f"there is no bucket {bucket} at {where}: make it, or correct lake.bucket.") from error
        if code in REFUSALS:
            raise BootstrapError(
                f"the lake at {where} refuses bucket {bucket} ({code}): correct the keys in the Secret, or the rights"
                " of the service account's role."
            ) from error
        raise NotYet(f"the lake at {where} answers {code} for bucket {bucket}: see the S3 server.") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise BootstrapError(
            f"there are no keys for the lake at {where}: name the Secret that has them in lake.existingSecret, or give"
            " the service account a role."
        ) from error
    except BotoCoreError as error:
        raise NotYet(
            f"the lake at {where} cannot be used ({type(error).__name__}: {error}): correct lake.endpoint, or see the"
            " S3 server."
        ) from error
    return f"bucket {bucket} is there"


def make_bucket(client: Any, bucket: str) -> str:
    """Make the bucket, or find that another did meanwhile."""
    try:
        client.create_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
            raise NotYet(f"bucket {bucket} cannot be made: {error}") from error
    return f"bucket {bucket} is made"
