"""What the start of a flow run is made of, up to its first task, by what Prefect has on record of runs that ended.

Run it as ``python -m benchmarks.start FLOW/DEPLOYMENT [--runs N]`` where PREFECT_API_URL leads to the server: on a
laptop in the shell of ``eval "$(make -s env)"``, for a cluster with its API forwarded. A pod's start is known to the
second; on a laptop there is none.
"""

import argparse
import json
import statistics
from collections.abc import Iterator, Sequence
from itertools import pairwise

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events.filters import EventAnyResourceFilter, EventFilter, EventNameFilter

from ops.command import count_of

STEPS = {
    "taken": "the worker takes the run up",
    "container": "the pod's container starts: scheduling, sandbox, volumes",
    "pull": "Prefect starts what watches over the run (in a pod), then what prepares its code",
    "pulled": "the pull step fetches the code",
    "running": "Python starts a third time, imports Prefect and the flow, and asks to run",
    "task": "settings, lake and registry are asked, and the first task begins",
}
"""The moments of a start in their order, each with what lies before it."""
LOGGED = {"pull": "deployment pull step(s)", "pulled": "All deployment steps completed"}


def moments(client: SyncPrefectClient, run: FlowRun) -> dict[str, float]:
    """When a run came to each step, in seconds since 1970; of a run that was started again, the last start's."""
    found: dict[str, float] = {}
    for state in client.read_flow_run_states(run.id):
        if state.type == StateType.PENDING and state.name == "Pending":
            found = {"taken": state.timestamp.timestamp()}
        elif state.type == StateType.RUNNING:
            found["running"] = state.timestamp.timestamp()
    for line in client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]))):
        for name, text in LOGGED.items():
            if text in line.message:
                found[name] = line.timestamp.timestamp()
    begins = found.get("taken", 0.0)
    return found | dict(_container(client, run)) | dict(_task(client, run, begins))


def _container(client: SyncPrefectClient, run: FlowRun) -> Iterator[tuple[str, float]]:
    wanted = EventFilter(
        event=EventNameFilter(name=["prefect.kubernetes.pod.running"]),
        any_resource=EventAnyResourceFilter(id=[f"prefect.flow-run.{run.id}"]),
    )
    if events := client.read_events(wanted, limit=50).events:
        yield "container", max(event.occurred.timestamp() for event in events)


def _task(client: SyncPrefectClient, run: FlowRun, begins: float) -> Iterator[tuple[str, float]]:
    children = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run.id]))
    )
    family = FlowRunFilter(id=FlowRunFilterId(any_=[run.id, *(child.id for child in children)]))
    tasks = (task.start_time.timestamp() for task in client.read_task_runs(flow_run_filter=family) if task.start_time)
    if since := [start for start in tasks if start >= begins]:
        yield "task", min(since)


def parts(found: dict[str, float]) -> dict[str, float]:
    """The seconds before each moment, since the one before it."""
    known = [(name, found[name]) for name in STEPS if name in found]
    return {name: at - before for (_, before), (name, at) in pairwise(known)}


def show(measured: Sequence[dict[str, float]]) -> None:
    """A line a step: median, range, and what it is made of; then the whole."""
    for name, what in STEPS.items():
        if seconds := [each[name] for each in measured if name in each]:
            print(f"{statistics.median(seconds):6.1f} s  ({min(seconds):.1f} to {max(seconds):.1f})  {what}")
    whole = [sum(each.values()) for each in measured]
    inside = [sum(part for name, part in each.items() if name != "container") for each in measured]
    print(
        f"{statistics.median(whole):6.1f} s  ({min(whole):.1f} to {max(whole):.1f})  from the worker to the first task"
    )
    print(f"{statistics.median(inside):6.1f} s  ({min(inside):.1f} to {max(inside):.1f})  of it within the pod")


def main() -> None:
    """Print what the starts of a deployment's newest runs were made of, then the seconds of each as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("deployment", metavar="FLOW/DEPLOYMENT")
    parser.add_argument("--runs", type=count_of("runs"), default=5, help="the newest (default: %(default)s)")
    given = parser.parse_args()
    flow, _, name = given.deployment.partition("/")
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])),
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[name])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.COMPLETED, StateType.FAILED]))
            ),
            sort=FlowRunSort.END_TIME_DESC,
            limit=given.runs,
        )
        measured = [found for run in runs if "task" in (found := parts(moments(client, run)))]
    if not measured:
        raise SystemExit(f"No run of {given.deployment} has come to a task yet: start one, then ask again.")
    print(f"{given.deployment}, {len(measured)} runs: median (range)")
    show(measured)
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
