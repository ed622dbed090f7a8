"""What the platform adds to a training: start, logging, gate, and a retrain that has nothing to do.

A platform of its own (``PLACE=bench``) is begun anew and the main job run on it; then a retrain that was promoted
already is scheduled ``--runs`` times. Seconds are what Prefect has on record. The floor of a start is a bare flow: a
process that imports Prefect and runs an empty one on the same server. Run it as ``python -m benchmarks.overhead`` on a
machine that does nothing else.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, TaskRunFilter, TaskRunFilterName
from prefect.client.schemas.objects import FlowRun, TaskRun

from benchmarks import own

RETRAIN = "retrain/trip-duration-local"
BARE = "from prefect import flow\n@flow\ndef bare(): pass\nbare()"
AIMS = {"schedule to first task": 6.0, "gate": 3.0, "retrain with nothing to do": 4.0}
"""Seconds to reach."""


def retrains(client: SyncPrefectClient, runs: int) -> Iterator[dict[str, float]]:
    """Runs of a retrain that finds its training promoted, one after the other."""
    deployment = client.read_deployment_by_name(RETRAIN)
    for _ in range(runs):
        run = ended(client, client.create_flow_run_from_deployment(deployment.id))
        assert run.state
        assert run.state.name == "Unchanged", run.state
        assert run.expected_start_time
        assert run.start_time
        assert run.end_time
        first = min(task.start_time for task in tasks(client, run, "") if task.start_time)
        yield {
            "schedule to first task": (first - run.expected_start_time).total_seconds(),
            "schedule to flow": (run.start_time - run.expected_start_time).total_seconds(),
            "retrain with nothing to do": (run.end_time - run.start_time).total_seconds(),
        }


def ended(client: SyncPrefectClient, run: FlowRun) -> FlowRun:
    """The run once it has ended."""
    while not (run.state and run.state.is_final()):
        time.sleep(0.5)
        run = client.read_flow_run(run.id)
    return run


def tasks(client: SyncPrefectClient, run: FlowRun | None, like: str) -> list[TaskRun]:
    """The task runs of a run, or of all, whose names begin so."""
    family = FlowRunFilter(id=FlowRunFilterId(any_=[run.id])) if run else None
    named = TaskRunFilter(name=TaskRunFilterName(like_=like)) if like else None
    found = client.read_task_runs(flow_run_filter=family, task_run_filter=named)
    return [task for task in found if task.name.startswith(like)]


def bare(env: dict[str, str]) -> dict[str, float]:
    """A process that runs an empty flow."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", BARE], env=env, check=True, capture_output=True)
    return {"floor: a bare flow": time.perf_counter() - began}


def measure(env: dict[str, str], runs: int) -> dict[str, list[float]]:
    """Seconds of everything, in the order it was seen; the environment of this process leads to the platform."""
    found: dict[str, list[float]] = {}
    with get_client(sync_client=True) as client:
        for name, like in {"gate": "judge ", "MLflow: a version registered": "register ", "training": "train "}.items():
            found[name] = [task.total_run_time.total_seconds() for task in tasks(client, None, like)]
        for one in retrains(client, runs):
            for name, seconds in (one | bare(env)).items():
                found.setdefault(name, []).append(seconds)
    return found


def on_its_own(runs: int) -> dict[str, list[float]]:
    """The same on a platform that is begun anew, and ended afterwards."""
    command = [sys.executable, "-m", "benchmarks.overhead", "--runs", str(runs), "--one"]
    with own.served("bench") as (place, env):
        done = subprocess.run(command, env=env, cwd=place.root, check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return measured


def main() -> None:
    """Measure, print the table, then the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="retrains that find nothing to do (default: %(default)s)")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(dict(os.environ), given.runs)))
        return
    found = on_its_own(given.runs)
    print(f"{'':30} {'median s':>9} {'range':>13} {'runs':>5} {'to reach':>9}")
    for name, seconds in found.items():
        spread = f"{min(seconds):.1f} to {max(seconds):.1f}"
        aim = f"{AIMS[name]:9.0f}" if name in AIMS else ""
        print(f"{name:30} {statistics.median(seconds):9.2f} {spread:>13} {len(seconds):5} {aim}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
