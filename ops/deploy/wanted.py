"""What ``prefect.yaml`` says a pool is to have, with image and commit filled in.

The steps are those of `prefect deploy`, by the same functions of Prefect; the tests hold the two to the same outcome.
"""

import asyncio
import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prefect.cli.deploy._schedules import _schedule_config_to_deployment_schedule
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.deployments.steps.core import StepExecutionError, run_steps
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from prefect.utilities.templating import PlaceholderType, apply_values, find_placeholders

from ops.deploy.errors import NotDeployed
from ops.deploy.spec import Deployment, Schedule
from ops.lint import prefect_yaml
from ops.lint.prefect_yaml import Entry

UNKNOWN = ("triggers", "sla", "push", "version", "version_type", "schedule")
"""Keys that Prefect takes and a deploy does not apply: one that is given is refused, and not left out in silence."""
IMAGE_LABEL = "trainyard/image"
"""The label that the chart makes of the image's reference, of which Prefect leaves 63 characters."""
DEFAULT_QUEUE = "default"
"""The queue of a pool where a deployment names none, by Prefect and by the bootstrap."""
FROM_SERVER = (PlaceholderType.BLOCK_DOCUMENT, PlaceholderType.VARIABLE)


def entries(root: Path, pool: str) -> tuple[Entry, ...]:
    """The entries of a pool in ``prefect.yaml``."""
    return _of(prefect_yaml.load(root), pool)


def deployable(root: Path, pool: str) -> tuple[Entry, ...]:
    """The entries of a pool, none of which says what a deploy does not apply. Raises ``NotDeployed``."""
    file = prefect_yaml.load(root)
    for entry in (found := _of(file, pool)):
        _require_known(entry, file.data)
    return found


def _of(file: prefect_yaml.Deployments, pool: str) -> tuple[Entry, ...]:
    return tuple(entry for entry in file.entries if (entry.config.get("work_pool") or {}).get("name") == pool)


def deployments(root: Path, pool: str) -> list[str]:
    """The full names (flow/deployment) in ``prefect.yaml`` that run on a pool."""
    return [entry.name for entry in entries(root, pool)]


def project(root: Path) -> str:
    """The name of the project in ``prefect.yaml``: the mark of what is its own on a server that is shared."""
    return str(prefect_yaml.load(root).data["name"])


def wanted(root: Path, pool: str, variables: Mapping[str, str]) -> tuple[Deployment, ...]:
    """Every deployment of the pool, ``variables`` filled in. Raises ``NotDeployed``."""
    shared = prefect_yaml.load(root).data
    with _at(root, variables):
        return tuple(_deployment(entry, shared, variables) for entry in deployable(root, pool))


def _deployment(entry: Entry, shared: Mapping[str, Any], variables: Mapping[str, str]) -> Deployment:
    outputs = _build(entry, entry.config.get("build", shared.get("build")) or [])
    pull = apply_values(entry.config.get("pull", shared.get("pull")) or [], outputs, remove_notset=False)
    config = apply_values({**entry.config, "build": None, "pull": None}, outputs)
    pool = config["work_pool"]
    settings = {
        "entrypoint": config["entrypoint"],
        "description": config["description"],
        "tags": list(config["tags"]),
        "parameters": config.get("parameters") or {},
        "parameter_openapi_schema": _form(config["entrypoint"]),
        "enforce_parameter_schema": config.get("enforce_parameter_schema", True),
        "job_variables": labelled(pool.get("job_variables") or {}),
        "pull_steps": [pull] if isinstance(pull, dict) else pull,
        "work_pool_name": pool["name"],
        "work_queue_name": pool.get("work_queue_name") or DEFAULT_QUEUE,
        "version": variables.get("TRAINYARD_GIT_SHA", "")[:12] or None,
        **_limit(config.get("concurrency_limit")),
    }
    schedules = tuple(_schedule(each) for each in config.get("schedules") or [])
    return Deployment(config["flow_name"], config["name"], settings, schedules, bool(config.get("paused")))


def _require_known(entry: Entry, shared: Mapping[str, Any]) -> None:
    if unknown := [key for key in UNKNOWN if entry.config.get(key) or shared.get(key)]:
        raise NotDeployed(f"{entry.finding('')}a deploy does not apply `{unknown[0]}`. Take it out of prefect.yaml.")
    held = [each.full_match for each in find_placeholders(entry.config) if each.type in FROM_SERVER]
    if held:  # its value would be read by whoever sees the deployment, and would stand in the record
        raise NotDeployed(f"{entry.finding('')}a deploy fills in no block or variable: read {held[0]} in the flow.")
    for given in entry.config.get("schedules") or []:
        if not given.get("slug"):
            raise NotDeployed(
                f"{entry.finding('')}a schedule has no slug, by which the next deploy knows it. Give it one."
            )
        if "DTSTART" not in given.get("rrule", "DTSTART"):  # Prefect would count from the moment of each deploy
            raise NotDeployed(
                f"{entry.finding('')}the rrule has no DTSTART from which it counts. Give it one, or a cron."
            )


def _build(entry: Entry, steps: list[dict[str, Any]] | dict[str, Any]) -> dict[str, Any]:
    """The outputs of the build steps."""
    given = [steps] if isinstance(steps, dict) else steps
    try:
        outputs: dict[str, Any] = asyncio.run(run_steps(given, {}, print_function=lambda *_, **__: None))
    except StepExecutionError as error:
        raise NotDeployed(f"{entry.finding('')}a build step failed: {error.__cause__ or error}. Mend it.") from error
    return outputs


def _form(entrypoint: str) -> dict[str, Any]:
    """The parameters of a flow as Prefect keeps them."""
    return parameter_schema(load_flow_from_entrypoint(entrypoint)).model_dump(exclude_unset=True)


def labelled(variables: Mapping[str, Any]) -> Mapping[str, Any]:
    """Job variables with a label for an image by digest: Prefect cuts that of the reference off before the digest."""
    name, by_digest, digest = variables.get("image", "").partition("@sha256:")
    if not by_digest:
        return variables
    label = f"{name.rpartition('/')[2]}-{digest[:12]}"
    return {**variables, "labels": {IMAGE_LABEL: label, **variables.get("labels", {})}}


def _limit(given: int | dict[str, Any] | None) -> dict[str, Any]:
    """How many runs at once, and what becomes of the next one."""
    if isinstance(given, dict):
        limit = ConcurrencyLimitConfig(**given).model_dump(mode="json", exclude_none=True)
        return {"concurrency_limit": limit.pop("limit"), "concurrency_options": limit}
    return {"concurrency_limit": given, "concurrency_options": None}


def _schedule(given: Mapping[str, Any]) -> Schedule:
    made = _schedule_config_to_deployment_schedule(dict(given))
    when = made["schedule"].model_dump(mode="json")
    if "interval" in when and not given.get("anchor_date"):
        del when["anchor_date"]  # else it would be the moment of this deploy
    return Schedule(given["slug"], when, made.get("parameters") or {}, made.get("active"))


@contextlib.contextmanager
def _at(root: Path, variables: Mapping[str, str]) -> Iterator[None]:
    """Where and with what Prefect fills in a file: its folder, and the environment."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        with contextlib.chdir(root):
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)
