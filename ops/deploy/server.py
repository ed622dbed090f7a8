"""Deployments on the Prefect server: read as values, and brought to what is wanted. What is paused stays paused."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentCreate, DeploymentScheduleCreate, DeploymentUpdate
from prefect.client.schemas.objects import WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import SCHEDULE_TYPES
from prefect.exceptions import ObjectNotFound
from pydantic import TypeAdapter

from ops.deploy.errors import NotDeployed
from ops.deploy.plan import Change, Found, Plan
from ops.deploy.spec import Deployment, Schedule

POOL = "kubernetes"
MARK = "trainyard.project"
"""The label by which a deployment is known as the project's own; its value is the project's name."""
PAGE = 200
_WHEN: TypeAdapter[SCHEDULE_TYPES] = TypeAdapter(SCHEDULE_TYPES)


def require_named() -> None:
    """Raises ``NotDeployed`` where the environment names no server: Prefect would start one of its own."""
    if not os.environ.get("PREFECT_API_URL"):
        raise NotDeployed("PREFECT_API_URL is not set. Set it to the API of the Prefect that is deployed to.")


@contextmanager
def connected() -> Iterator[SyncPrefectClient]:
    """A client of the server that the environment names. Raises ``NotDeployed`` where it is away or refuses."""
    require_named()
    with get_client(sync_client=True) as client:
        try:
            yield client
        except httpx.HTTPStatusError as error:
            raise NotDeployed(_refusal(client, error)) from error
        except httpx.HTTPError as error:
            raise NotDeployed(
                f"Prefect at {client.api_url} does not answer ({type(error).__name__}: {error}). See that it runs and"
                " is reached from here, or correct PREFECT_API_URL; then run this again."
            ) from error


def _refusal(client: SyncPrefectClient, error: httpx.HTTPStatusError) -> str:
    if error.response.status_code in (401, 403):
        return (
            f"Prefect at {client.api_url} refuses these credentials. Set PREFECT_API_AUTH_STRING to its user:password."
        )
    return f"Prefect at {client.api_url} answers {error.response.status_code}: {error.response.text[:300]}"


def pool(client: SyncPrefectClient, name: str) -> WorkPool:
    """The work pool. Raises ``NotDeployed`` where the platform has not made it."""
    try:
        return client.read_work_pool(name)
    except ObjectNotFound as error:
        raise NotDeployed(
            f"{client.api_url} has no work pool `{name}`. The platform's bootstrap Job makes it: install the chart "
            "first (on a laptop: make kind-up), or point PREFECT_API_URL at the Prefect that is meant."
        ) from error


def read(client: SyncPrefectClient, project: str) -> list[Found]:
    """Every deployment on the server."""
    flows: dict[UUID, str] = {}
    return [_found(each, _flow(client, each.flow_id, flows), project) for each in _pages(client)]


def _pages(client: SyncPrefectClient) -> Iterator[DeploymentResponse]:
    offset = 0
    while page := client.read_deployments(limit=PAGE, offset=offset):
        yield from page
        offset += len(page)


def _flow(client: SyncPrefectClient, identity: UUID, known: dict[UUID, str]) -> str:
    if identity not in known:
        known[identity] = client.read_flow(identity).name
    return known[identity]


def _found(there: DeploymentResponse, flow: str, project: str) -> Found:
    options = there.concurrency_options
    settings = {
        **there.model_dump(mode="json", include=set(_PLAIN)),
        "concurrency_limit": there.global_concurrency_limit.limit if there.global_concurrency_limit else None,
        "concurrency_options": options.model_dump(mode="json", exclude_none=True) if options else None,
    }
    schedules = tuple(
        Schedule(each.slug or str(each.id), each.schedule.model_dump(mode="json"), each.parameters, each.active)
        for each in there.schedules
    )
    ids = {each.slug or str(each.id): str(each.id) for each in there.schedules}
    deployment = Deployment(flow, there.name, settings, schedules, there.paused)
    return Found(deployment, str(there.id), there.labels.get(MARK) == project, ids)


_PLAIN = (
    *("entrypoint", "description", "tags", "parameters", "parameter_openapi_schema", "enforce_parameter_schema"),
    *("job_variables", "pull_steps", "work_pool_name", "work_queue_name", "version"),
)
"""The settings that the server gives as it took them."""


def apply(client: SyncPrefectClient, plan: Plan, project: str, before_each: Callable[[], None]) -> None:
    """Do what is planned, one deployment after the other; doing it again does no harm.

    What is wanted comes first and what is gone last, so that no flow is without its deployment in between.
    """
    for new in plan.new:
        before_each()
        _write(client, new, project)
    for change in plan.changed:
        before_each()
        _change(client, change, project)
    for gone in plan.removed:
        before_each()
        try:
            client.delete_deployment(UUID(gone.id))
        except ObjectNotFound:  # somebody else took it away meanwhile
            continue


def _write(
    client: SyncPrefectClient, wanted: Deployment, project: str, active: Mapping[str, bool] | None = None
) -> None:
    """Make a deployment, or take one over in one step, schedules and mark included."""
    known = {} if active is None else active
    schedules = [
        DeploymentScheduleCreate(
            schedule=_when(each),
            parameters=dict(each.parameters),
            slug=each.slug,
            active=known.get(each.slug, True) if each.active is None else each.active,
        )
        for each in wanted.schedules
    ]
    made = DeploymentCreate(
        name=wanted.name,
        flow_id=client.create_flow_from_name(wanted.flow),
        labels={MARK: project},
        schedules=schedules,
        **({"paused": wanted.paused} if active is None else {}),
        **wanted.settings,
    )
    client.request("POST", "/deployments/", json=made.model_dump(mode="json", exclude_unset=True))


def _change(client: SyncPrefectClient, change: Change, project: str) -> None:
    identity, found = UUID(change.found.id), change.found
    if not found.own:
        active = {each.slug: bool(each.active) for each in found.deployment.schedules}
        return _write(client, change.wanted, project, active)
    if change.settings:
        client.update_deployment(identity, DeploymentUpdate(**change.wanted.settings))
    for each in change.schedules:
        _schedule(client, identity, each, found.ids.get(each.slug))
    for each in change.gone:
        client.delete_deployment_schedule(identity, UUID(found.ids[each.slug]))
    return None


def _schedule(client: SyncPrefectClient, deployment: UUID, wanted: Schedule, identity: str | None) -> None:
    """Write a schedule; whether it is on is told only of a new one, or where the file says so."""
    given = {"schedule": _when(wanted), "parameters": dict(wanted.parameters), "slug": wanted.slug}
    if wanted.active is not None:
        given["active"] = wanted.active
    if identity:
        client.update_deployment_schedule(deployment, UUID(identity), **given)
    else:
        client.create_deployment_schedules(deployment, [DeploymentScheduleCreate(**given)])


def _when(schedule: Schedule) -> Any:
    return _WHEN.validate_python(dict(schedule.when))
