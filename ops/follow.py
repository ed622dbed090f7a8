"""A run of a deployment, started and followed to its end with a bar that says what it is doing."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

PATIENCE = 900.0
"""Seconds a run may take; it takes ten to twenty."""


class NoEnd(Exception):
    """A run did not end in time: which one, and where to look."""


def to_end(
    client: SyncPrefectClient,
    console: Console,
    deployment: str,
    parameters: Mapping[str, object],
    title: str,
    logs: str,
) -> FlowRun:
    """A new run of a deployment, once it has ended. ``title`` is shown meanwhile. Raises ``NoEnd``."""
    found = client.read_deployment_by_name(deployment)
    run = client.create_flow_run_from_deployment(found.id, parameters=dict(parameters))
    deadline = time.monotonic() + PATIENCE
    with _bar(console) as bar:
        line = bar.add_task(f"{title}  waiting for the worker", total=None)
        while not (run.state and run.state.is_final()):
            time.sleep(0.4)
            run = client.read_flow_run(run.id)
            bar.update(line, description=f"{title}  {_doing(client, run)}")
            if time.monotonic() > deadline:
                raise NoEnd(f"{title}: no end after {PATIENCE:.0f} s; see {logs}, and the run {run.name}")
    return run


def subflows(client: SyncPrefectClient, run: FlowRun) -> list[FlowRun]:
    """The subflow runs of a run."""
    of_run = FlowRunFilterParentFlowRunId(any_=[run.id])
    return client.read_flow_runs(flow_run_filter=FlowRunFilter(parent_flow_run_id=of_run))


@contextmanager
def _bar(console: Console) -> Iterator[Progress]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=20), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield bar


def _doing(client: SyncPrefectClient, run: FlowRun) -> str:
    """The tasks at work in a run and its subflows, else the state of the run."""
    children = subflows(client, run)
    tasks = client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id, *(child.id for child in children)])),
        task_run_filter=TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=[StateType.RUNNING]))),
    )
    names = [task.name for task in tasks if not any(child.name == task.name for child in children)]
    return ", ".join(names) or ((run.state.name or "") if run.state else "").lower()
