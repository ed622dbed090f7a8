"""Runs of ``retrain`` that a fault comes upon: each of a model of its own, so that many can be under way at once.

They run a commit in which training can be made slow, or hungry for memory, by a run's environment. Their months are in
a lake of their own, beside that of the other tests.
"""

import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, TaskRun
from prefect.states import Cancelling

from flows import datasets
from flows.ml import landing, source
from flows.ml.ledger import entries
from ops.kind.tools import CommandFailed
from tests.cluster.platform import Platform
from tests.integration.home import DATASET, sample

LAKE = "faults"
"""The prefix of the lake the runs work in."""
MONTHS = ("2023-01", "2023-02")
SMALL = {"cpu_request": "20m", "memory": "768Mi", "scratch": "256Mi", "ttl_seconds": 900}
"""Job variables that let a dozen runs that mostly sleep share a laptop's cluster."""
START = 420.0
"""Seconds a run may take on a busy machine from its creation to its training, or to its end where nothing slows it."""
EVERY = 1.0
"""Seconds between two looks at a run: several are looked at at once."""
DONE: dict[str, Any] = {"versions": {1: "promote"}, "champion": 1, "ledger": [1]}
"""What is left once the work of a run is done, by however many runs: one version, promoted once."""

_TELL = "        nonlocal last\n"
_HINDRANCE = """

def hinder() -> None:
    import os

    time.sleep(float(os.environ.get("SLOW", "0")))
    if os.environ.get("HUNGRY"):
        HOARD.append(b"x" * 2**26)


HOARD: list[bytes] = []
"""
_MODEL = """from dataclasses import replace

from flows.models.trip_duration import MODEL as TRIPS

MODEL = replace(TRIPS, name="{name}")
"""


@dataclass(frozen=True)
class Ended:
    """How a run ended that a fault came upon, ``seconds`` after it; ``crash`` is what was said of it where it crashed
    first and was run again by itself."""

    fault: str
    run: FlowRun
    seconds: float
    crash: str = ""

    @property
    def state(self) -> str:
        """The name of the state it ended in."""
        assert self.run.state
        return str(self.run.state.name)

    @property
    def sentence(self) -> str:
        """What the operator reads."""
        assert self.run.state
        return str(self.run.state.message)


@dataclass(frozen=True)
class Lab:
    """Where faults are made; runs of ``deployment`` are slowed down, starved or bereft as a test asks."""

    platform: Platform
    deployment: str
    ended: list[Ended]

    def start(
        self, model: str, *, slow: float = 0.0, deployment: str = "", hungry: bool = False, **job: Any
    ) -> FlowRun:
        """A run whose training sleeps ``slow`` seconds a round, of a hundred; ``job`` are job variables."""
        env = {"TRAINYARD_LAKE_PREFIX": LAKE, "SLOW": str(slow), "HUNGRY": "1" if hungry else ""}
        variables = {**SMALL, "env": env, **job}
        return self.platform.start(deployment or self.deployment, {"model": model}, job_variables=variables)

    def end(self, fault: str, run: FlowRun, within: float, make: Callable[[], object] = lambda: None) -> Ended:
        """Make a fault and wait for the run's end. Fails where that takes longer than ``within`` seconds.

        A run that crashed at work is run again by itself, once: then its end is that of the second time.
        """
        make()
        since = datetime.now(UTC)
        run = self.until(run, within, lambda run: False)
        assert run.state
        crashes = self.crashes(run)
        found = Ended(fault, run, (run.state.timestamp - since).total_seconds(), crashes[0] if crashes else "")
        self.ended.append(found)
        return found

    def until(self, run: FlowRun, within: float, reached: Callable[[FlowRun], bool]) -> FlowRun:
        """The run once it is as asked, or has ended: for good, if it is one that is run again by itself."""
        run = self.platform.wait(run, within, reached, every=EVERY)
        if run.run_count and run.state and run.state.is_crashed() and len(self.crashes(run)) == 1:
            run = self.platform.wait(self.await_rerun(run), START, reached, every=EVERY)
        return run

    def crashes(self, run: FlowRun) -> list[str]:
        """What was said of a run each time it crashed, in order."""
        with self.platform.client() as client:
            states = sorted(client.read_flow_run_states(run.id), key=lambda state: state.timestamp)
        return [str(state.message) for state in states if state.is_crashed()]

    def await_rerun(self, run: FlowRun, seconds: float = 180) -> FlowRun:
        """A run that crashed once it is run again by itself."""
        deadline = time.monotonic() + seconds
        with self.platform.client() as client:
            while (run := client.read_flow_run(run.id)).state and run.state.is_crashed():
                assert time.monotonic() < deadline, run.state
                time.sleep(EVERY)
        return run

    def again(self, found: Ended) -> tuple[str, dict[str, Any]]:
        """How another run of the same ends, and what all runs of it have left."""
        model = found.run.parameters["model"]
        state = self.platform.wait(self.start(model), START, every=EVERY).state
        assert state
        return str(state.name), self.outcome(model)

    def training(self, run: FlowRun) -> str:
        """The pod of a run, once the run trains."""
        self.await_task(run, "train ", "Running", START)
        return self.pod(run)

    def pod(self, run: FlowRun) -> str:
        """The newest pod of a run."""
        pods = sorted(self.platform.pods(run), key=lambda pod: pod["metadata"]["creationTimestamp"])
        return str(pods[-1]["metadata"]["name"])

    def await_task(self, run: FlowRun, begins: str, state: str, seconds: float) -> TaskRun:
        """A task of a run once it is in a state, by how its name begins."""
        deadline = time.monotonic() + seconds
        only = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
        with self.platform.client() as client:
            while True:
                found = client.read_task_runs(flow_run_filter=only)
                for task in found:
                    if task.name.startswith(begins) and task.state_name == state:
                        return task
                assert time.monotonic() < deadline, f"after {seconds:.0f} s: {[(t.name, t.state_name) for t in found]}"
                time.sleep(EVERY)

    def tasks(self, run: FlowRun) -> list[TaskRun]:
        """The tasks of a run so far."""
        with self.platform.client() as client:
            return client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])))

    def kill(self, pod: str) -> None:
        """End the processes of a pod by SIGKILL, on its node: nobody is asked, and nobody is told."""
        self._tasks("kill", pod, "--all", "--signal=SIGKILL")

    def cancel(self, run: FlowRun) -> None:
        """What *Cancel* in the UI does."""
        with self.platform.client() as client:
            client.set_flow_run_state(run.id, Cancelling())

    @contextmanager
    def frozen(self, pod: str) -> Iterator[None]:
        """The processes of a pod hang meanwhile: they hear nothing and say nothing. Afterwards the pod is gone."""
        self._tasks("pause", pod)
        try:
            yield
        finally:
            self.platform.kubectl(
                "delete", "pod", pod, "--grace-period=0", "--force", "--wait=false", "--ignore-not-found"
            )
            with suppress(AssertionError, CommandFailed):  # they are gone
                self._tasks("resume", pod)

    def _tasks(self, verb: str, pod: str, *options: str) -> None:
        """Do something to the container of a pod on its node."""
        status = self.platform.get("pod", pod)[0]["status"]["containerStatuses"][0]
        container = status["containerID"].removeprefix("containerd://")
        command = ["docker", "exec", self.platform.place.node, "ctr", "--namespace=k8s.io", "tasks", verb, *options]
        for left in reversed(range(5)):  # runc gives up freezing what is very busy
            done = subprocess.run([*command, container], check=False, capture_output=True, text=True, timeout=60)
            if not done.returncode:
                return
            assert left, done.stderr
            time.sleep(EVERY)

    def outcome(self, model: str) -> dict[str, Any]:
        """What the runs of a model left: versions with their verdicts, the alias, the versions in the ledger."""
        registry = self.platform.registry()
        return {
            "versions": {version.number: version.tags["verdict"] for version in registry.versions(model)},
            "champion": registry.champion(model),
            "ledger": [entry.version for entry in entries(self.platform.lake(LAKE), model)],
        }


How = Callable[[str], Ended]
"""How the run of a scenario ended, by its name."""
Again = Callable[[str], tuple[str, dict[str, Any]]]
"""How the same run ended that was started once more after a scenario, and what the two left."""


@contextmanager
def at_once[T](calls: Mapping[str, Callable[[], T]]) -> Iterator[Callable[[str], T]]:
    """Calls under way at once, in threads; gives what waits for the end of one, and returns or raises as it did."""
    with ThreadPoolExecutor(len(calls)) as pool:
        under_way = {name: pool.submit(copy_context().run, call) for name, call in calls.items()}
        yield lambda name: under_way[name].result()


@contextmanager
def begun(lab: Lab, scenarios: Mapping[str, Callable[[Lab], Ended]]) -> Iterator[How]:
    """Scenarios under way at once."""
    with at_once({name: partial(scenario, lab) for name, scenario in scenarios.items()}) as found:
        yield found


@contextmanager
def begun_again(lab: Lab, sources: Mapping[str, How]) -> Iterator[Again]:
    """The same runs once more, each as soon as the first has ended; by the name of the scenario, and who knows it."""

    def rerun(name: str) -> tuple[str, dict[str, Any]]:
        return lab.again(sources[name](name))

    with at_once({name: partial(rerun, name) for name in sources}) as found:
        yield found


def prepare(platform: Platform, models: Iterable[str], folder: Path) -> Lab:
    """A lab with nothing done in it: two months in its lake, and a commit on the git server with the models."""
    lake = platform.lake(LAKE)
    for key in sorted(lake.keys()):
        lake.delete(key)
    for model in models:
        with suppress(MlflowException):
            MlflowClient(platform.access.mlflow).delete_registered_model(model)
    for month in MONTHS:
        path = folder / f"{month}.parquet"
        sample(month).write_parquet(path)
        fetched = source.fetch(str(path), month, folder)
        when = datetime.now(UTC).isoformat(timespec="seconds")
        landing.land(lake, datasets.load(DATASET), month, fetched, folder, revision="tests", created_at=when)
    commit = hindered(platform, models)
    name = platform.deploy_entry("retrain/trip-duration", "faults", {"commit": commit}, enforce_parameter_schema=False)
    return Lab(platform, name, [])


def hindered(platform: Platform, models: Iterable[str] = ()) -> str:
    """A commit on the git server by which training heeds SLOW and HUNGRY. The clone stays as it is."""
    text = (platform.root / "flows" / "resources.py").read_text()
    assert text.count(_TELL) == 1
    files = {"flows/resources.py": text.replace(_TELL, f"{_TELL}        hinder()\n") + _HINDRANCE}
    files |= {f"flows/models/{name.replace('-', '_')}.py": _MODEL.format(name=name) for name in models}
    head = platform.git("rev-parse", "HEAD").strip()
    try:
        return platform.commit(files)
    finally:
        platform.git("reset", "--quiet", "--hard", head)


def table(found: Iterable[Ended]) -> str:
    """What became of the runs, in Markdown."""
    head = ["| fault | the run ends | after | the operator reads |", "| --- | --- | --- | --- |"]
    rows = [
        f"| {one.fault} | {one.state} | {max(one.seconds, 0):.0f} s | {' '.join(one.sentence.split())} |"
        for one in found
    ]
    return "\n".join([*head, *rows]) + "\n"
