"""The main job as Jobs: ingest, retrain and monthly through their deployments, and what a run's pod is made of."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import IntervalSchedule

from flows import models
from flows.ml import fingerprint, judging, ledger, snapshot, training
from flows.ml.registry import Version
from ops.kind import demo as demonstration
from tests.cluster import faults
from tests.cluster.platform import POLL, Platform

pytestmark = pytest.mark.timeout(1500)  # the first test of a session waits for images, cluster and main job

MODEL = "trip-duration"
RETRAIN = f"retrain/{MODEL}"
START = 30.0
"""Seconds from a container's start to its first task that are too many even on a busy machine; docs/architecture.md has
what is seen on a quiet one."""
KEPT = {"ttl_seconds": 900}
"""Job variables by which a run's Job and pod are still there when a test looks at them."""
CANCELLED = 60.0
"""Seconds within which a cancelled run has ended."""


@dataclass(frozen=True)
class Job:
    """The main job done: the runs of each deployment, in their order."""

    ingests: list[FlowRun]
    retrains: list[FlowRun]
    monthly: FlowRun


@pytest.fixture(scope="module")
def job(cluster: Platform) -> Job:
    """Two months through ``ingest``, the second judged by two retrains at the same moment, the third by ``monthly``."""
    cluster.forget()
    demonstration.publish(cluster.access, cluster.root)
    twin = cluster.deploy_entry(RETRAIN, "at-the-same-moment")
    months = [{"month": month, "source": cluster.source} for month in ("2023-01", "2023-02", "2023-03")]
    ingests = [cluster.start("ingest/green-trips", {"dataset": "green-trips", **month}) for month in months[:2]]
    ingests = [cluster.wait(run, 240) for run in ingests]
    retrains = [cluster.start(twin, {"until": "2023-02"}, job_variables=KEPT) for _ in range(2)]
    retrains = [cluster.wait(run, 240) for run in retrains]
    monthly = cluster.wait(cluster.start(f"monthly/{MODEL}", months[2], job_variables=KEPT), 240)
    return Job(ingests, retrains, monthly)


@pytest.fixture(scope="module")
def versions(cluster: Platform, job: Job) -> list[Version]:
    """The versions the main job left."""
    return cluster.registry().versions(MODEL)


def test_the_main_job_ends_with_the_champion_in_the_clusters_mlflow(
    cluster: Platform, job: Job, versions: list[Version]
) -> None:
    assert [name(run) for run in (*job.ingests, job.monthly)] == ["Landed", "Landed", "Promoted"]
    assert [version.tags["verdict"] for version in versions] == ["promote", "promote"]
    assert cluster.registry().champion(MODEL) == versions[-1].number
    assert [entry.version for entry in ledger.entries(cluster.lake(), MODEL)] == [each.number for each in versions]


def test_two_retrains_at_the_same_moment_leave_one_version(job: Job, versions: list[Version]) -> None:
    began, ended = zip(*((run.start_time, run.end_time) for run in job.retrains), strict=True)

    assert max(began) < min(ended)
    assert {name(run) for run in job.retrains} <= {"Promoted", "Unchanged"}
    assert [version.tags["judged"] for version in versions] == ["2023-02", "2023-03"]


def test_a_version_has_the_fingerprint_and_the_bytes_that_a_laptop_gives_it(
    cluster: Platform, versions: list[Version], tmp_path: Path
) -> None:
    lake, definition = cluster.lake(), models.load(MODEL)
    taken = snapshot.take(lake, definition.dataset, "2023-02", None, definition.window)
    rows = snapshot.read(lake, taken.dataset, taken.train, tmp_path, judging.columns(definition)).collect()

    trained = training.train(rows, definition, 1).files()["booster.ubj"]

    stored = next(cluster.registry().download(versions[0], tmp_path / "stored").rglob("booster.ubj"))
    assert versions[0].fingerprint == fingerprint.training(definition, taken)
    assert hashlib.sha256(stored.read_bytes()).hexdigest() == hashlib.sha256(trained).hexdigest()


def test_versions_and_months_name_the_commit_they_were_made_by(
    cluster: Platform, job: Job, versions: list[Version]
) -> None:
    head = cluster.git("rev-parse", "HEAD").strip()

    assert {version.tags["git_sha"] for version in versions} == {head}


def test_a_runs_job_and_pod_say_what_they_are(cluster: Platform, job: Job) -> None:
    run = job.retrains[0]
    [found], [pod] = cluster.get("jobs", f"--selector=prefect.io/flow-run-id={run.id}"), cluster.pods(run)
    variables = cluster.deployment(RETRAIN).job_variables

    for labels in (found["metadata"]["labels"], pod["metadata"]["labels"]):
        assert labels["prefect.io/flow-name"] == "retrain"
        assert labels["prefect.io/deployment-name"] == "at-the-same-moment"
        assert labels["trainyard/model"] == MODEL
        assert labels["trainyard/commit"] == variables["commit"]
        assert labels["trainyard/image"].endswith(variables["image"].rpartition(":")[2])


def test_a_runs_pod_is_shut_in(cluster: Platform, job: Job) -> None:
    [pod] = cluster.pods(job.monthly)
    [container] = pod["spec"]["containers"]

    assert pod["spec"]["automountServiceAccountToken"] is False
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"].keys() >= {"cpu", "memory"}


def test_first_tasks_begin_soon_after_the_container(cluster: Platform, job: Job, say: Callable[[str], None]) -> None:
    runs = [cluster.wait(cluster.start(RETRAIN, {"until": "2023-03"}, job_variables=KEPT), 120) for _ in range(3)]

    found = min((began(cluster, run) for run in runs), key=lambda parts: parts[-1])
    say(f"container to flow {found[0]:.1f} s, to first task {found[1]:.1f} s (best of 3; the container's start to 1 s)")
    assert [name(run) for run in runs] == ["Unchanged"] * 3
    assert found[-1] < START


def test_schedules_fire(cluster: Platform, job: Job) -> None:
    every = DeploymentScheduleCreate(schedule=IntervalSchedule(interval=timedelta(seconds=15)), active=True)
    parameters = {"dataset": "green-trips", "month": "2023-01", "source": cluster.source}
    often = cluster.deployment(
        cluster.deploy_entry("ingest/green-trips", "often", parameters=parameters, schedules=[every])
    )

    with cluster.client() as client:
        try:
            runs = await_runs(cluster, often.id, 2)
        finally:
            client.delete_deployment(often.id)

    assert [run.auto_scheduled for run in runs] == [True, True]
    assert {name(run) for run in runs} == {"Unchanged"}


def test_a_cancelled_run_ends_cancelled_and_leaves_the_champion_alone(
    cluster: Platform, versions: list[Version], slow_run: FlowRun
) -> None:
    lab = faults.Lab(cluster, "", [])
    pod = lab.training(slow_run)
    threads = cluster.kubectl("exec", pod, "--", "printenv", "TRAINYARD_THREADS").strip()
    since = time.monotonic()

    lab.cancel(slow_run)
    ended = cluster.wait(slow_run, CANCELLED)
    took = time.monotonic() - since

    assert name(ended) == "Cancelled"
    await_no_job(cluster, slow_run, CANCELLED)
    assert threads == "2"
    assert cluster.registry().champion(MODEL) == versions[-1].number
    assert cluster.registry().versions(MODEL) == versions
    assert took < CANCELLED


@pytest.fixture
def slow_run(cluster: Platform, job: Job) -> FlowRun:
    """A training that takes minutes, of what no version was trained on."""
    slow = cluster.deploy_entry(RETRAIN, "slow", {"commit": faults.hindered(cluster), "ttl_seconds": 5})
    return cluster.start(slow, {"until": "2023-03", "window": 1}, job_variables={"env": {"SLOW": "2"}})


def name(run: FlowRun) -> str:
    """The name of the state a run is in."""
    assert run.state
    return str(run.state.name)


def began(cluster: Platform, run: FlowRun) -> tuple[float, float]:
    """Seconds from the start of a run's container to the start of its flow, and of its first task."""
    [pod] = cluster.pods(run)
    [state] = pod["status"]["containerStatuses"][0]["state"].values()
    container = datetime.fromisoformat(state["startedAt"])
    first = min(task.start_time for task in faults.Lab(cluster, "", []).tasks(run) if task.start_time)
    assert run.start_time
    return (run.start_time - container).total_seconds(), (first - container).total_seconds()


def await_runs(cluster: Platform, deployment: Any, count: int, seconds: float = 120) -> list[FlowRun]:
    """The first runs of a deployment, once so many have ended."""
    deadline = time.monotonic() + seconds
    only = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment]))
    while True:
        with cluster.client() as client:
            found = [run for run in client.read_flow_runs(flow_run_filter=only) if run.state and run.state.is_final()]
        if len(found) >= count:
            return found[:count]
        assert time.monotonic() < deadline, f"{len(found)} runs after {seconds:.0f} s"
        time.sleep(POLL)


def await_no_job(cluster: Platform, run: FlowRun, seconds: float) -> None:
    """Return once the Job of a run is gone."""
    deadline = time.monotonic() + seconds
    while found := cluster.get("jobs", f"--selector=prefect.io/flow-run-id={run.id}"):
        assert time.monotonic() < deadline, found[0]["status"]
        time.sleep(POLL)
