"""Applies to a Prefect server what the flows expect of it: ``python bootstrap.py CONFIGURATION``.

The configuration is YAML (see ``Configuration``). Everything is looked up first and then made or changed, so it may run
again after each change, and twice at once. It waits for servers that are still starting, and ends with a sentence and
status 1 where one does not answer, is too old, or refuses.
"""

import base64
import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import automations
import checks
import httpx
import notices
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import (
    GlobalConcurrencyLimitCreate,
    GlobalConcurrencyLimitUpdate,
    VariableCreate,
    VariableUpdate,
    WorkPoolCreate,
    WorkPoolUpdate,
)
from prefect.exceptions import ObjectAlreadyExists, PrefectException
from prefect_aws import S3Bucket
from pydantic import BaseModel, ConfigDict
from work_pool import A_LOOK_EACH

RESULTS_BLOCK = "trainyard-results"
SMOKE_DEADLINE = 600
"""Seconds after which the Job of the smoke test is ended: its flow's timeout, and six minutes to start."""
OPERATORS = "operators"
OPERATORS_WAIT = "Smoke runs, and promotions, rollbacks and reconciles started by hand: they wait for no other run."


class Part(BaseModel):
    """A part of the configuration; a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Pool(Part):
    """The work pool: how many runs at once, and what a run's job looks like (empty: the type's own template).

    The limit is that of the queue ``default``: what an operator starts to get out of trouble is in a queue without one.
    """

    name: str
    type: str
    concurrency: int
    base_job_template: dict[str, Any] = {}


class Lake(Part):
    """The bucket; it is made where ``create`` says so. Address and keys come from AWS's own variables."""

    bucket: str
    prefix: str = ""
    create: bool = False


class Smoke(Part):
    """The deployment ``smoke/platform``: the file with its flow, and the image it runs in."""

    code: Path
    image: str


class Configuration(Part):
    """All that is applied.

    ``silence_seconds``: how long a run may say nothing; ``pending_seconds``: how long its pod may take to start;
    ``rerun_crashed``: whether a run that crashed is run again, once; ``ui_url``: where people open Prefect, for links;
    ``patience``: seconds that servers are given to answer.
    """

    pool: Pool
    lake: Lake
    concurrency_limits: dict[str, int] = {}
    variables: dict[str, Any] = {}
    silence_seconds: int
    pending_seconds: int
    rerun_crashed: bool
    ui_url: str
    mlflow_url: str = ""
    smoke: Smoke | None = None
    patience: float = 240.0


def main() -> int:
    """Apply the configuration named on the command line."""
    try:
        apply(Configuration(**yaml.safe_load(Path(sys.argv[1]).read_text())))
    except checks.BootstrapError as error:
        return checks.fail(str(error))
    except (httpx.HTTPError, PrefectException) as error:
        return checks.fail(unapplied(error))
    return 0


def unapplied(error: httpx.HTTPError | PrefectException) -> str:
    """The sentence for what Prefect refused, or did not answer, while it was being applied."""
    cause = getattr(error, "http_exc", error)  # the client gives a conflict, or what is not there, a name of its own
    if isinstance(cause, httpx.HTTPStatusError):
        asked, said = cause.request.url.path, cause.response.text[:500]
        remedy = "Correct the values." if cause is error else "Another may be changing it: run this again."
        return f"Prefect answers {cause.response.status_code} to {asked}: {said}. {remedy}"
    if isinstance(error, httpx.HTTPError):
        return f"Prefect stopped answering ({type(error).__name__}: {error}): see its pod and its log; run this again."
    return f"Prefect's client refuses what is applied ({type(error).__name__}: {error}). Correct the values."


def apply(wanted: Configuration) -> None:
    """Apply everything. Raises ``BootstrapError`` at the first thing that cannot be."""
    deadline = time.monotonic() + wanted.patience
    with get_client(httpx_settings={"limits": A_LOOK_EACH}, sync_client=True) as client:
        eventually(lambda: checks.prefect_answers(client), deadline)
        eventually(lambda: checks.lake_answers(wanted.lake.bucket, create=wanted.lake.create), deadline)
        apply_pool(client, wanted.pool)
        for name, limit in wanted.concurrency_limits.items():
            apply_concurrency_limit(client, name, limit)
        for name, value in wanted.variables.items():
            apply_variable(client, name, value)
        apply_results_block(wanted.lake)
        apply_automations(client, wanted)
        say(notices.apply(client, wanted.pool.name, wanted.ui_url))
        if wanted.mlflow_url:
            eventually(lambda: checks.mlflow_answers(wanted.mlflow_url), deadline)
        if wanted.smoke:
            apply_smoke_deployment(client, wanted.pool.name, wanted.smoke)
    say("everything is applied")


def eventually(check: Callable[[], str], deadline: float) -> None:
    """Check until it passes. Raises ``BootstrapError`` with the last sentence once time is up."""
    while True:
        try:
            return say(check())
        except checks.NotYet as error:
            if time.monotonic() > deadline:
                raise checks.BootstrapError(str(error)) from error
            say(f"waiting: {error}")
            time.sleep(2)


def apply_pool(client: SyncPrefectClient, wanted: Pool) -> None:
    """Make the work pool, or bring it to what is wanted. One that an operator paused stays paused.

    Raises ``BootstrapError`` where the pool is of another type or of another installation.
    """
    template = wanted.base_job_template or own_template(wanted.type)
    wish = {"base_job_template": template, "concurrency_limit": None}
    try:
        client.create_work_pool(WorkPoolCreate(name=wanted.name, type=wanted.type, **wish))
    except ObjectAlreadyExists:
        checks.pool_is_ours(client.read_work_pool(wanted.name), wanted.type, template)
        client.update_work_pool(wanted.name, WorkPoolUpdate(**wish))
    apply_queue(client, wanted.name, "default", concurrency_limit=wanted.concurrency)
    apply_queue(client, wanted.name, OPERATORS, concurrency_limit=None, description=OPERATORS_WAIT)
    say(f"work pool {wanted.name}: {wanted.concurrency} runs at once, those of the queue {OPERATORS} apart")


def apply_queue(client: SyncPrefectClient, pool: str, name: str, **wish: Any) -> None:
    """Make a queue of the work pool, or bring it to what is wanted. One that an operator paused stays paused."""
    with contextlib.suppress(ObjectAlreadyExists):
        client.create_work_queue(name, work_pool_name=pool)
    client.update_work_queue(client.read_work_queue_by_name(name, work_pool_name=pool).id, **wish)


def own_template(pool_type: str) -> dict[str, Any]:
    """The base job template that a type of work pool brings itself."""
    from prefect.workers.base import BaseWorker

    worker = BaseWorker.get_worker_class_from_type(pool_type)
    assert worker is not None, pool_type
    return worker.get_default_base_job_template()


def apply_concurrency_limit(client: SyncPrefectClient, name: str, limit: int) -> None:
    """Make a global concurrency limit, or bring it to what is wanted; the slots that are taken stay taken."""
    try:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=limit))
    except ObjectAlreadyExists:
        client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(limit=limit))
    say(f"concurrency limit {name}: {limit}")


def apply_variable(client: SyncPrefectClient, name: str, value: Any) -> None:
    """Make a variable, or bring it to what is wanted."""
    try:
        client.create_variable(VariableCreate(name=name, value=value))
    except ObjectAlreadyExists:
        client.update_variable(VariableUpdate(name=name, value=value))
    say(f"variable {name}")


def apply_results_block(lake: Lake) -> None:
    """Save the block that task results persist through; its credentials and endpoint are the environment's."""
    folder = "/".join(part for part in (lake.prefix, "results") if part)
    S3Bucket(bucket_name=lake.bucket, bucket_folder=folder).save(RESULTS_BLOCK, overwrite=True)
    say(f"block s3-bucket/{RESULTS_BLOCK}")


def apply_automations(client: SyncPrefectClient, wanted: Configuration) -> None:
    """Make the automations, or bring them to what is wanted."""
    found = automations.wanted(wanted.silence_seconds, wanted.pending_seconds, wanted.pool.type)
    if wanted.rerun_crashed:
        found += (automations.rerun(wanted.pool.name),)
    else:
        automations.remove(client, automations.RERUN)
    for automation in found:
        automations.apply(client, automation)
        say(f"automation: {automation.name}")


def apply_smoke_deployment(client: SyncPrefectClient, pool_name: str, smoke: Smoke) -> None:
    """Make the deployment that `helm test` runs, with what is applied as its version (``checks.APPLIED``).

    Its code comes with it, so that it needs no repository to start.
    """
    code = base64.b64encode(smoke.code.read_bytes()).decode()
    folder = "/tmp/smoke"  # noqa: S108 - the scratch space of a pod of its own
    script = f"mkdir -p {folder} && echo {code} | base64 -d > {folder}/smoke.py"
    client.create_deployment(
        flow_id=client.create_flow_from_name("smoke"),
        name="platform",
        version=os.environ.get(checks.APPLIED),
        description="Try what a flow run needs of the platform. `helm test` runs it.",
        tags=["platform"],
        work_pool_name=pool_name,
        work_queue_name=OPERATORS,
        job_variables={"image": smoke.image, "memory": "512Mi", "scratch": "256Mi", "deadline_seconds": SMOKE_DEADLINE},
        entrypoint="smoke.py:smoke",
        pull_steps=[
            {"prefect.deployments.steps.run_shell_script": {"script": script, "shell": True}},
            {"prefect.deployments.steps.set_working_directory": {"directory": folder}},
        ],
        parameter_openapi_schema={"type": "object", "properties": {}},
    )
    say("deployment smoke/platform")


def say(what: str) -> None:
    """A line of the log, at once."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
