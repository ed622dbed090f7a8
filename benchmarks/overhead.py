"""What the platform adds to a training: start, logging, gate, and a retrain that has nothing to do.

A platform of its own (``PLACE=bench``) is begun anew and the main job run on it; then a retrain that was promoted
already is scheduled ``--runs`` times. Seconds are what Prefect has on record; of the gate only those of a candidate
that met a champion. Below what is measured is its floor, on the same servers: a process that imports Prefect until an
empty flow begins in it, until that has ended, that flow alone, a month predicted by two models, files logged and made a
version.

A retrain with nothing to do is to take 4 seconds once its process runs. The start before that has an aim of its own,
and of the whole the floor alone takes most of them.

Run it as ``python -m benchmarks.overhead`` on a machine that does nothing else.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from mlflow import MlflowClient
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, TaskRunFilter, TaskRunFilterName
from prefect.client.schemas.objects import FlowRun, TaskRun

from benchmarks import months, own
from benchmarks.measuring import THREADS
from flows import models
from flows.ml import training
from flows.ml.registration import ARTIFACTS
from flows.ml.registry import Registry
from flows.resources import attach
from ops.command import count_of

MODEL = "trip-duration"
RETRAIN = "retrain/trip-duration-local"
BARE = """
import time
from prefect import flow

@flow
def bare():
    print(time.time())

print(time.time())
bare()
print(time.time())
"""
"""Tells when Prefect is imported, when a flow begins, and when it has ended."""
MADE = "benchmark"
"""What of MLflow's is made to be measured."""
FLOW, FIRST = "schedule to flow", "schedule to first task"
GATE, VERSION = "gate, with a champion", "MLflow: a version registered"
NOTHING, WHOLE = "retrain with nothing to do, once its process runs", "the same, from its schedule to its end"
AIMS = {FIRST: 6.0, GATE: 3.0, NOTHING: 4.0}
"""Seconds to reach."""
FLOORS = {
    FIRST: "  floor of both: a process until a bare flow begins",
    NOTHING: "  floor: a bare flow, once its process runs",
    WHOLE: "  floor: a process until a bare flow has ended",
    GATE: "  floor: the month predicted twice",
    VERSION: "  floor: its files logged and made a version",
}


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
            FLOW: (run.start_time - run.expected_start_time).total_seconds(),
            FIRST: (first - run.expected_start_time).total_seconds(),
            NOTHING: (run.end_time - run.start_time).total_seconds(),
            WHOLE: (run.end_time - run.expected_start_time).total_seconds(),
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


def judges(registry: Registry) -> list[str]:
    """The names of the tasks in which a candidate met a champion."""
    met = [version.tags["judged"] for version in registry.versions(MODEL) if version.tags["judged_against"]]
    return [f"judge {MODEL} on {month}" for month in met]


def bare(env: dict[str, str]) -> dict[str, float]:
    """A process until an empty flow begins in it and until that has ended, and that flow alone."""
    began = time.time()
    done = subprocess.run([sys.executable, "-c", BARE], env=env, check=True, capture_output=True, text=True)
    called, inside, ended = map(float, done.stdout.split()[-3:])
    return {FLOORS[FIRST]: inside - began, FLOORS[NOTHING]: ended - called, FLOORS[WHOLE]: ended - began}


def stored(registry: Registry, folder: Path) -> dict[str, float]:
    """A month predicted by two versions, all at hand, and the files of one logged and made a version."""
    model = models.load(MODEL)
    rows = training.in_scope(months.landed("2023-03"), model)
    paths = [registry.download(version, folder / str(version.number)) for version in registry.versions(MODEL)[:2]]
    parts = [[(path / "artifacts" / name).read_bytes() for name in ARTIFACTS.values()] for path in paths]
    predictors = [training.Predictor(one, two, code.decode(), THREADS) for one, two, code in parts]
    client = MlflowClient(registry.uri, registry.uri)
    began = time.perf_counter()
    for predictor in predictors:
        predictor.predict(rows)
    predicted = time.perf_counter()
    run = client.create_run(client.create_experiment(MADE))
    client.log_artifacts(run.info.run_id, str(paths[0]))
    client.create_registered_model(MADE)
    client.create_model_version(MADE, str(run.info.artifact_uri), run.info.run_id)
    return {FLOORS[GATE]: predicted - began, FLOORS[VERSION]: time.perf_counter() - predicted}


def measure(env: dict[str, str], runs: int) -> dict[str, list[float]]:
    """Seconds of everything, each before its floor; the environment of this process leads to the platform."""
    found: dict[str, list[float]] = {}
    registry = attach().registry
    with get_client(sync_client=True) as client:
        for name, named in {GATE: judges(registry), VERSION: ["register "]}.items():
            done = [task for like in named for task in tasks(client, None, like)]
            found[name] = [task.total_run_time.total_seconds() for task in done]
        for one in retrains(client, runs):
            for name, seconds in (one | bare(env)).items():
                found.setdefault(name, []).append(seconds)
    with tempfile.TemporaryDirectory() as folder:
        found |= {name: [seconds] for name, seconds in stored(registry, Path(folder)).items()}
    return {each: found[each] for each in (FLOW, *(line for pair in FLOORS.items() for line in pair))}


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
    runs = "retrains that find nothing to do (default: %(default)s)"
    parser.add_argument("--runs", type=count_of("runs"), default=5, help=runs)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(dict(os.environ), given.runs)))
        return
    found = on_its_own(given.runs)
    show(found)
    print(json.dumps(found))


def show(found: dict[str, list[float]]) -> None:
    """The table: a line each."""
    width = max(map(len, found))
    print(f"{'':{width}} {'median s':>9} {'range':>13} {'runs':>5} {'to reach':>9}")
    for name, seconds in found.items():
        spread = f"{min(seconds):.1f} to {max(seconds):.1f}"
        aim = f"{AIMS[name]:9.0f}" if name in AIMS else ""
        print(f"{name:{width}} {statistics.median(seconds):9.2f} {spread:>13} {len(seconds):5} {aim}")


if __name__ == "__main__":
    main()
