"""Prefect's own schema of ``prefect.yaml``, held to: Prefect itself ignores a key it does not know.

The models are those of the installed Prefect, so that the check stays true when Prefect changes. They are not public:
a release that moves them fails here, with the name of what moved.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from prefect.cli.deploy._models import DeploymentConfig, PrefectYamlModel, RawScheduleConfig, WorkPoolConfig
from prefect.cli.deploy._schedules import _schedule_config_to_deployment_schedule
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from pydantic import BaseModel, ValidationError

from ops.lint.finding import Finding
from ops.lint.prefect_yaml import FILE, Deployments
from ops.lint.repository import nearest

SHARED = frozenset({"definitions"})
"""Where the file keeps what its deployments share by anchors; Prefect ignores it, as it is meant to."""

DEPRECATED = frozenset({"schedule"})

REQUIRED = ("name", "flow_name", "entrypoint", "description", "tags", "work_pool")


def check(file: Deployments) -> list[Finding]:
    """Unknown and doubled keys, wrong types, wrong schedules and limits, what is missing, names given twice."""
    found = [Finding(FILE, line, f"the key `{key}` stands twice; the last one counts") for line, key in file.doubled]
    found += [Finding(FILE, None, fault) for fault in _unknown(PrefectYamlModel, file.data, also=SHARED)]
    if not file.entries:
        found.append(Finding(FILE, None, "holds no deployment"))
    for entry in file.entries:
        found += [entry.finding(fault) for fault in _faults(entry.config)]
    twice = [name for name, count in Counter(entry.name for entry in file.entries).items() if count > 1]
    found += [Finding(FILE, None, f"{name}: the name is given twice") for name in twice]
    return found or [Finding(FILE, None, fault) for fault in _invalid(PrefectYamlModel, file.data)]


def _faults(config: dict[str, Any]) -> Iterator[str]:
    yield from (f"has no {key}" for key in REQUIRED if not config.get(key))
    yield from _unknown(DeploymentConfig, config, without=DEPRECATED)
    yield from _invalid(DeploymentConfig, {k: v for k, v in config.items() if k != "schedules"})
    pool, limit, schedules = config.get("work_pool"), config.get("concurrency_limit"), config.get("schedules") or []
    if isinstance(pool, dict):
        yield from (f"work_pool: {fault}" for fault in _unknown(WorkPoolConfig, pool))
        yield from [] if pool.get("name") else ["work_pool: has no name"]
    if isinstance(limit, dict):
        yield from (f"concurrency_limit: {fault}" for fault in _unknown(ConcurrencyLimitConfig, limit))
        yield from (f"concurrency_limit: {fault}" for fault in _invalid(ConcurrencyLimitConfig, limit))
    if not isinstance(schedules, list):
        yield "schedules: is no list"
    else:
        yield from (f"schedules: {fault}" for schedule in schedules for fault in _schedule(schedule))


def _schedule(schedule: Any) -> Iterator[str]:
    """A schedule as Prefect takes it from the file, and then as its server does: cron, time zone, interval."""
    if not isinstance(schedule, dict):
        yield f"{schedule!r} is no schedule"
        return
    if wrong := [*_unknown(RawScheduleConfig, schedule)] or [*_invalid(RawScheduleConfig, schedule)]:
        yield from wrong
        return
    try:
        _schedule_config_to_deployment_schedule(schedule)
    except ValidationError as error:
        yield from _told(error)
    except ValueError as error:
        yield str(error)


def _unknown(
    model: type[BaseModel],
    config: dict[str, Any],
    *,
    also: frozenset[str] = frozenset(),
    without: frozenset[str] = frozenset(),
) -> Iterator[str]:
    known = also | {info.alias or name for name, info in model.model_fields.items()} - without
    for key in config:
        if key not in known:
            yield f"unknown key `{key}`{nearest(str(key), frozenset(known))}"


def _invalid(model: type[BaseModel], config: dict[str, Any]) -> Iterator[str]:
    try:
        model.model_validate(config)
    except ValidationError as error:
        yield from _told(error)


def _told(error: ValidationError) -> Iterator[str]:
    for each in error.errors():
        place = ".".join(map(str, each["loc"]))
        yield f"{place}: {each['msg']}" if place else each["msg"]
