"""The build, push and pull steps of ``prefect.yaml``: they run in a pod, long after a name was misspelt."""

import inspect
from collections.abc import Iterator
from typing import Any

from prefect.deployments.steps.core import RESERVED_KEYWORDS
from prefect.utilities.importtools import import_object
from prefect.utilities.templating import PlaceholderType, find_placeholders

from ops.lint.finding import Finding
from ops.lint.prefect_yaml import FILE, Deployments

ACTIONS = ("build", "push", "pull")


def check(file: Deployments) -> list[Finding]:
    """Steps that cannot be imported or called as written; outputs of steps that do not exist."""
    found = [Finding(FILE, None, fault) for fault in _faults(file.data)]
    for entry in file.entries:
        found += [entry.finding(fault) for fault in _faults(entry.config)]
        found += [entry.finding(fault) for fault in _unresolved(entry.config, file.data)]
    return found


def steps(config: dict[str, Any], action: str) -> list[dict[str, Any]]:
    """The steps of an action, which Prefect takes as a list or as a single one."""
    given = config.get(action) or []
    return [given] if isinstance(given, dict) else given


def _faults(config: dict[str, Any]) -> Iterator[str]:
    for action in ACTIONS:
        for step in steps(config, action):
            yield from (f"{action}: {fault}" for fault in _step(step))


def _step(step: dict[str, Any]) -> Iterator[str]:
    if len(step) != 1:
        yield f"a step is one function with its arguments; here are {', '.join(map(str, step)) or 'none'}"
        return
    ((name, arguments),) = step.items()
    try:
        signature = inspect.signature(import_object(name))
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        yield f"{name} is no function that can be imported here ({error})"
        return
    try:
        signature.bind(**{key: value for key, value in (arguments or {}).items() if key not in RESERVED_KEYWORDS})
    except TypeError as error:
        yield f"{name}: {error}"


def _unresolved(config: dict[str, Any], shared: dict[str, Any]) -> Iterator[str]:
    """Templates such as ``{{ id.stdout }}`` whose id no step has: Prefect leaves them as they stand."""
    own = {action: steps(config if action in config else shared, action) for action in ACTIONS}
    ids = {(arguments or {}).get("id") for action in own.values() for step in action for arguments in step.values()}
    for placeholder in sorted(find_placeholders({**config, **own})):
        step, dot, _ = placeholder.name.partition(".")
        if placeholder.type is PlaceholderType.STANDARD and dot and step not in ids:
            yield f"`{placeholder.full_match}` names the output of a step `{step}`, and no step has that id"
