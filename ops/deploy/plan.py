"""What a deploy would change: the deployments that are wanted against those that are there. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ops.deploy.spec import Deployment, Schedule

SHORT = 60
"""How long a value may be to be shown; of a longer one it is said that it changed."""


@dataclass(frozen=True)
class Found:
    """A deployment as the server has it: ``own`` says whether it carries the project's mark, ``ids`` its schedules."""

    deployment: Deployment
    id: str
    own: bool
    ids: Mapping[str, str]


@dataclass(frozen=True)
class Change:
    """A deployment that is there and is to be another. Schedules are those to write, ``gone`` those to take away."""

    found: Found
    wanted: Deployment
    settings: Mapping[str, Any]
    schedules: tuple[Schedule, ...]
    gone: tuple[Schedule, ...]

    def __bool__(self) -> bool:
        return bool(not self.found.own or self.settings or self.schedules or self.gone)


@dataclass(frozen=True)
class Plan:
    """What is to be done; false where that is nothing."""

    new: tuple[Deployment, ...]
    changed: tuple[Change, ...]
    removed: tuple[Found, ...]

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.removed)

    def lines(self) -> list[str]:
        """It for a person, a line for each deployment and one for each thing that changes in it."""
        return [*_new(self.new), *_changed(self.changed), *_removed(self.removed)]


def compare(wanted: Sequence[Deployment], found: Sequence[Found], pool: str) -> Plan:
    """What makes the server have what is wanted.

    Only deployments of the pool that carry the project's mark are removed; one of a wanted name is taken over.
    """
    there = {each.deployment.full_name: each for each in found}
    names = {each.full_name for each in wanted}
    changes = [_change(there[each.full_name], each) for each in wanted if each.full_name in there]
    gone = [each for each in found if each.deployment.full_name not in names and each.own and _pool(each) == pool]
    return Plan(
        tuple(each for each in wanted if each.full_name not in there),
        tuple(change for change in changes if change),
        tuple(gone),
    )


def _pool(found: Found) -> str:
    return str(found.deployment.settings.get("work_pool_name"))


def _change(found: Found, wanted: Deployment) -> Change:
    before = found.deployment.settings
    settings = {key: value for key, value in wanted.settings.items() if before.get(key) != value}
    there = {each.slug: each for each in found.deployment.schedules}
    slugs = {each.slug for each in wanted.schedules}
    schedules = tuple(each for each in wanted.schedules if _differs(there.get(each.slug), each))
    return Change(found, wanted, settings, schedules, tuple(each for slug, each in there.items() if slug not in slugs))


def _differs(there: Schedule | None, wanted: Schedule) -> bool:
    """Whether a schedule is to be written. Whether it is on counts only where the file says so."""
    if there is None or dict(there.parameters) != dict(wanted.parameters):
        return True
    if wanted.active is not None and wanted.active != there.active:
        return True
    return any(there.when.get(key) != value for key, value in wanted.when.items())


def _new(deployments: Sequence[Deployment]) -> Iterator[str]:
    for each in deployments:
        image, commit = each.pair
        yield f"+ {each.full_name}: new, commit {commit[:12]} in {image}"
        yield from (f"    + schedule {schedule.slug}: {schedule.text}" for schedule in each.schedules)


def _changed(changes: Sequence[Change]) -> Iterator[str]:
    for each in changes:
        yield f"~ {each.wanted.full_name}: changed" + ("" if each.found.own else ", and taken over")
        for key, value in each.settings.items():
            yield from (f"    {line}" for line in _setting(key, each.found.deployment.settings.get(key), value))
        yield from (f"    {line}" for line in _schedules(each))


def _removed(found: Sequence[Found]) -> Iterator[str]:
    yield from (f"- {each.deployment.full_name}: removed" for each in found)


def _setting(key: str, before: Any, after: Any) -> Iterator[str]:
    """A line for each thing that differs; what is a mapping is taken apart."""
    if key in ("job_variables", "parameters") and isinstance(before, Mapping):
        for name in sorted({*before, *after}):
            if before.get(name) != after.get(name):
                shown = name if key == "job_variables" else f"parameter {name}"
                yield f"{shown}: {_text(before.get(name))} -> {_text(after.get(name))}"
    elif key == "tags":
        lost, won = sorted({*(before or [])} - {*after}), sorted({*after} - {*(before or [])})
        yield "tags: " + " ".join([*(f"-{tag}" for tag in lost), *(f"+{tag}" for tag in won)] or ["another order"])
    elif len(_text(before)) > SHORT or len(_text(after)) > SHORT:
        yield f"{key}: another"
    else:
        yield f"{key}: {_text(before)} -> {_text(after)}"


def _schedules(change: Change) -> Iterator[str]:
    there = {each.slug: each for each in change.found.deployment.schedules}
    for each in change.schedules:
        if not (before := there.get(each.slug)):
            yield f"+ schedule {each.slug}: {each.text}"
        else:
            yield f"~ schedule {each.slug}: {_shown(before, before.active)} -> {_shown(each, before.active)}"
    yield from (f"- schedule {each.slug}: {each.text}" for each in change.gone)


def _shown(schedule: Schedule, otherwise: bool | None) -> str:
    active = otherwise if schedule.active is None else schedule.active
    given = f" with {_text(dict(schedule.parameters))}" if schedule.parameters else ""
    return f"{schedule.text}{given}{'' if active else ' (off)'}"


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
