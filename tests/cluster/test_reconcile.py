"""The CronJob that reconciles, started by hand: what it finds of runs and Jobs on a real cluster."""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelled, Pending, Running

from ops.kind.tools import CommandFailed
from tests.cluster.pages import DOCS, blocks, script
from tests.cluster.platform import Platform

pytestmark = pytest.mark.timeout(900)

MINE = "trainyard-reconcile"
AT_ONCE = ("--settle-minutes=0",)


def reconcile(cluster: Platform, *options: str) -> tuple[bool, str]:
    """A Job made of the CronJob, with these options instead of its own; whether it succeeded, and what it said."""
    (cron,) = cluster.get(f"cronjob/{MINE}")
    name = f"reconcile-{uuid.uuid4().hex[:8]}"
    job: dict[str, Any] = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}}
    job["spec"] = cron["spec"]["jobTemplate"]["spec"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    container["args"] = [*container["args"][:2], "--release=trainyard", *options]
    cluster.kubectl("create", "--filename=-", stdin=json.dumps(job))
    try:
        succeeded = ended(cluster, name)
        return succeeded, cluster.kubectl("logs", f"job/{name}")
    finally:
        cluster.kubectl("delete", f"job/{name}", "--cascade=foreground")


@pytest.fixture
def alone(cluster: Platform) -> Iterator[None]:
    """Nobody else's run is begun meanwhile: a repair that waits for nothing takes one for lost whose Job is to come."""
    with cluster.disturbing():
        yield


def ended(cluster: Platform, name: str, seconds: float = 240) -> bool:
    """Whether a Job succeeded, once it has ended."""
    deadline = time.monotonic() + seconds
    while True:
        (job,) = cluster.get(f"job/{name}")
        for condition in job["status"].get("conditions", ()):
            if condition["type"] in ("Complete", "Failed"):
                return bool(condition["type"] == "Complete")
        assert time.monotonic() < deadline, job["status"]
        time.sleep(1)


@pytest.fixture
def lost_run(cluster: Platform) -> Iterator[FlowRun]:
    """A run that Prefect takes to be Running, and that never had a Job. A test that leaves it so ends it."""
    with cluster.client() as client:
        client.update_work_pool("kubernetes", pause())
        try:
            run = cluster.start("ingest/green-trips", {"dataset": "green-trips", "month": "2023-01"})
            client.set_flow_run_state(run.id, Pending())
            client.set_flow_run_state(run.id, Running())
        finally:
            client.update_work_pool("kubernetes", pause(False))
        yield client.read_flow_run(run.id)
        state = client.read_flow_run(run.id).state
        if state and not state.is_final():
            client.set_flow_run_state(run.id, Cancelled(), force=True)


def pause(paused: bool = True) -> WorkPoolUpdate:
    return WorkPoolUpdate(is_paused=paused)


@pytest.fixture
def lost_job(cluster: Platform) -> Iterator[str]:
    """A Job as the worker makes them, at work for a run that Prefect does not know."""
    name = f"planted-{uuid.uuid4().hex[:8]}"
    labels = {
        "app.kubernetes.io/instance": "trainyard",
        "app.kubernetes.io/component": "job",
        "prefect.io/flow-run-id": str(uuid.uuid4()),
    }
    # It is suspended: no pod need start for it.
    pod = {"restartPolicy": "Never", "containers": [{"name": "one", "image": "none:1"}]}
    spec = {"suspend": True, "backoffLimit": 0, "template": {"spec": pod}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": labels}, "spec": spec}
    cluster.kubectl("create", "--filename=-", stdin=json.dumps(job))
    yield name
    cluster.kubectl("delete", f"job/{name}", "--ignore-not-found")


def jobs(cluster: Platform) -> set[str]:
    return {job["metadata"]["name"] for job in cluster.get("jobs")}


def test_a_dry_run_says_what_it_would_do_and_does_not(cluster: Platform, lost_run: FlowRun, lost_job: str) -> None:
    succeeded, said = reconcile(cluster, *AT_ONCE)

    assert succeeded, said
    assert "would end the run" in said
    assert "would delete the Job" in said
    assert lost_job in jobs(cluster)
    with cluster.client() as client:
        assert client.read_flow_run(lost_run.id).state.name == "Running"  # type: ignore[union-attr]


def again(cluster: Platform, run: FlowRun, seconds: float = 120) -> None:
    """Wait for the end of the one run that follows a crash."""
    deadline = time.monotonic() + seconds
    with cluster.client() as client:
        while (run := client.read_flow_run(run.id)).state_name == "Crashed":
            assert time.monotonic() < deadline, "it was not run again"
            time.sleep(1)
    cluster.wait(run, 480)


def test_a_run_without_its_job_is_ended_and_a_job_without_its_run_is_deleted(
    cluster: Platform, alone: None, lost_run: FlowRun, lost_job: str
) -> None:
    succeeded, said = reconcile(cluster, "--repair", *AT_ONCE)

    assert succeeded, said
    assert lost_job not in jobs(cluster)
    again(cluster, lost_run)
    with cluster.client() as client:
        crashed = [one for one in client.read_flow_run_states(lost_run.id) if one.name == "Crashed"]
    assert "run without its Job" in str(crashed[0].message)
    for job in cluster.get("jobs", f"--selector=prefect.io/flow-run-id={lost_run.id}"):
        ended(cluster, job["metadata"]["name"], 60)  # until then it is a Job without its run
    _, said = reconcile(cluster, "--repair", *AT_ONCE)
    assert said.splitlines()[-1] == "nothing to do", said


@contextmanager
def away(cluster: Platform, *names: str) -> Iterator[None]:
    """Parts of the platform have no pod for as long as the block lasts."""
    with cluster.disturbing():
        try:
            for name in names:
                cluster.kubectl("scale", f"deployment/trainyard-{name}", "--replicas=0")
            yield
        finally:
            for name in reversed(names):
                cluster.kubectl("scale", f"deployment/trainyard-{name}", "--replicas=1")


def test_it_repairs_while_the_worker_is_away(cluster: Platform, lost_job: str) -> None:
    with away(cluster, "worker"):
        succeeded, said = reconcile(cluster, "--repair", *AT_ONCE)

    assert succeeded, said
    assert lost_job not in jobs(cluster)


def test_it_deletes_nothing_while_prefect_is_away(cluster: Platform, lost_job: str) -> None:
    with away(cluster, "worker", "prefect"):
        succeeded, said = reconcile(cluster, "--repair", *AT_ONCE)

    assert succeeded, said
    assert "runs and Jobs: left out. Prefect does not answer" in said
    assert lost_job in jobs(cluster)


def test_the_runbook_starts_it_by_hand(cluster: Platform) -> None:
    (block,) = blocks("", DOCS / "runbooks" / "run-stuck.md")

    printed = script(cluster.root, block, cluster.place.env())

    assert "by the code of deploy" in printed
    assert "reconcile-now" not in jobs(cluster)


def test_it_may_not_read_a_secret_or_make_a_job(cluster: Platform) -> None:
    who = f"--as=system:serviceaccount:trainyard:{MINE}"

    for verb, resource in (("get", "secrets"), ("create", "jobs"), ("list", "pods")):
        with pytest.raises(CommandFailed):
            cluster.kubectl("auth", "can-i", verb, resource, who)
