"""The flows that ``prefect.yaml`` names, and the parameters it gives them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prefect import Flow
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.schema_tools.validation import validate
from prefect.utilities.templating import find_placeholders

from ops.lint.finding import Finding
from ops.lint.prefect_yaml import Deployments, Entry
from ops.lint.repository import nearest


def check(root: Path, file: Deployments) -> list[Finding]:
    """Entrypoints that lead to no flow, flows of another name, parameters that the flow would refuse."""
    entrypoints = {str(entry.config["entrypoint"]) for entry in file.entries}
    flows = {entrypoint: _load(root, entrypoint) for entrypoint in sorted(entrypoints)}
    found = []
    for entry in file.entries:
        flow = flows[str(entry.config["entrypoint"])]
        faults = [flow] if isinstance(flow, str) else _faults(flow, entry)
        found += [entry.finding(fault) for fault in faults]
    return found


def _load(root: Path, entrypoint: str) -> Flow[..., Any] | str:
    """The flow, or why there is none."""
    path, colon, _ = entrypoint.partition(":")
    if not colon or not (root / path).is_file():
        return f"entrypoint {entrypoint}: there is no such file"
    try:
        return load_flow_from_entrypoint(f"{root / path}:{entrypoint.partition(':')[2]}", use_placeholder_flow=False)
    except Exception as error:  # loading runs the file, which may fail in any way
        cause = error.__cause__ or error
        return f"entrypoint {entrypoint}: {type(cause).__name__}: {cause}"


def _faults(flow: Flow[..., Any], entry: Entry) -> Iterator[str]:
    if flow.name != entry.config["flow_name"]:
        yield f"the flow at {entry.config['entrypoint']} is named `{flow.name}`"
    given = entry.config.get("parameters") or {}
    yield from _parameters(flow, given)
    for schedule in entry.schedules:
        own = schedule.get("parameters") or {}
        yield from (f"schedules: {fault}" for fault in _parameters(flow, own))
        for name in sorted({*flow.parameters.required} - {*given, *own}):
            yield f"schedules: nothing gives the parameter `{name}`, which has no default"


def _parameters(flow: Flow[..., Any], given: dict[str, Any]) -> Iterator[str]:
    """Names and values against the flow's form. Values known only at deployment (templates) are left alone."""
    names = frozenset(flow.parameters.properties)
    for name in given:
        if name not in names:
            yield f"parameters: the flow has no `{name}`{nearest(name, names)}"
    known = {name: value for name, value in given.items() if name in names and not find_placeholders(value)}
    for error in validate(known, flow.parameters.model_dump_for_openapi(), ignore_required=True):
        yield f"parameters: {'.'.join(map(str, error.path))}: {error.message}"
