"""What becomes of runs while a part of the platform is away: a node for them, the worker, Prefect's API, MLflow."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import pytest

from ops.kind.tools import CommandFailed
from tests.cluster.faults import DONE, EVERY, START, Again, How, Lab, at_once, begun_again
from tests.cluster.scenarios import GONE, NEVER_STARTED

pytestmark = pytest.mark.timeout(2400)  # the first test of a session waits for images and cluster

SILENCE = 240.0 + START
"""Seconds within which a run ends whose Job was lost: it was heard of at most 30 s before, may be silent for 120
(prefect.silenceSeconds), is run again by itself then, and a busy machine takes its time."""
AWAY = 60.0
"""Seconds that MLflow is away after a training has ended."""
LEFT_ALONE = ("worker killed", "worker replaced", "job lost")
"""Runs that no worker looked after for a while."""


@pytest.fixture(scope="module")
def without_worker(lab: Lab, never_started: How) -> Iterator[How]:
    """Three runs in training while the worker is told to stop and the next one killed.

    One of them loses its Job before there is a worker again, another its processes once there is one.
    """
    with lab.platform.disturbing():
        went_on, lost = lab.start("worker-killed", slow=1.0), lab.start("job-lost", slow=2.0)
        taken_over = lab.start("worker-replaced", slow=1.5)
        _, pod, watched = lab.training(went_on), lab.training(lost), lab.training(taken_over)
        job = lab.platform.get("pod", pod)[0]["metadata"]["labels"]["batch.kubernetes.io/job-name"]
        lab.platform.kubectl("rollout", "restart", "deployment/trainyard-worker")
        lab.platform.kubectl("rollout", "status", "deployment/trainyard-worker", "--timeout=300s")
        with scaled_to_none(lab, "worker"):
            kill_worker(lab)
            lab.kill(pod)
            lab.platform.kubectl("delete", "job", job)
        lab.platform.kubectl("rollout", "status", "deployment/trainyard-worker", "--timeout=300s")
        with lab.platform.client() as client:
            state = client.read_flow_run(went_on.id).state
        assert state
        assert state.is_running(), f"the worker came back too late to show anything: {state!r}"
    ends = {
        "worker killed": partial(lab.end, "worker stopped, and the next one killed, mid-training", went_on, START),
        "worker replaced": partial(
            lab.end,
            "every process of the pod killed, whose worker was replaced",
            taken_over,
            GONE,
            lambda: lab.kill(watched),
        ),
        "job lost": partial(lab.end, "Job lost while no worker was there", lost, SILENCE),
    }
    with at_once(ends) as found:
        yield found


@pytest.fixture(scope="module")
def again(lab: Lab, never_started: How, without_worker: How) -> Iterator[Again]:
    """How the same run ended that was started once more after a fault, and what the two left."""
    sources = {**dict.fromkeys(NEVER_STARTED, never_started), **dict.fromkeys(LEFT_ALONE, without_worker)}
    with begun_again(lab, sources) as found:
        yield found


def test_a_run_goes_on_while_a_worker_stops_and_the_next_is_killed(lab: Lab, without_worker: How) -> None:
    found = without_worker("worker killed")

    assert (found.state, found.run.run_count) == ("Promoted", 1)
    assert len(lab.platform.pods(found.run)) == 1


def test_the_next_worker_looks_after_the_runs_of_the_one_before(without_worker: How) -> None:
    found = without_worker("worker replaced")

    assert found.crash
    assert "nothing was heard of it" not in found.crash  # as of one that no worker looked after
    assert (found.state, found.run.run_count) == ("Promoted", 2)


def test_mlflow_may_be_away_for_a_minute_when_training_ends(lab: Lab, without_worker: How) -> None:
    for fault in LEFT_ALONE:  # a run that begins, or begins again, while MLflow is away is refused
        without_worker(fault)

    def take_away() -> None:
        with scaled_to_none(lab, "mlflow"):
            lab.await_task(run, "train ", "Completed", START)
            time.sleep(AWAY)

    with lab.platform.disturbing():
        run = lab.start("mlflow-away", slow=0.1)
        lab.training(run)
        found = lab.end("MLflow away for a minute when training ends", run, START, take_away)

    assert found.state == "Promoted"
    assert lab.again(found) == ("Unchanged", DONE)
    assert [task.run_count for task in lab.tasks(run) if task.name.startswith("train ")] == [1]


def test_a_restart_of_the_api_costs_neither_a_run_nor_its_slot(lab: Lab) -> None:
    like = lab.platform.deployment(lab.deployment)
    limit = {"concurrency_limit": 1, "concurrency_options": {"collision_strategy": "ENQUEUE"}}
    name = lab.platform.deploy_entry(lab.deployment, "faults-one-at-a-time", enforce_parameter_schema=False, **limit)

    def restart() -> None:
        lab.platform.kubectl("delete", "pods", "--selector=app.kubernetes.io/component=prefect")

    with lab.platform.disturbing():
        run = lab.start("api-restarted", slow=0.3, deployment=name)
        lab.training(run)
        taken = slots(lab, name)
        found = lab.end("Prefect's API restarted mid-run, with a concurrency limit", run, START, restart)

    assert like.concurrency_limit is None
    assert taken == 1
    assert (found.state, found.run.run_count) == ("Promoted", 1)
    assert lab.again(found) == ("Unchanged", DONE)
    assert slots(lab, name) == 0


def test_a_run_whose_job_was_lost_is_crashed_once_it_was_silent_for_long_and_run_again(
    without_worker: How, lost_pods_again: Again
) -> None:
    """Meanwhile, with nothing taken away any more, the runs begin whose pods are lost."""
    found = without_worker("job lost")

    assert "nothing was heard of it for 120 s" in found.crash
    assert (found.state, found.run.run_count) == ("Promoted", 2)


def test_a_run_whose_image_does_not_exist_is_crashed_with_the_remedy(never_started: How) -> None:
    found = never_started("no image")

    assert (found.state, found.run.run_count) == ("Crashed", 0)
    assert "the image cannot be pulled" in found.sentence


def test_a_run_that_no_node_has_room_for_is_crashed_with_the_remedy(never_started: How) -> None:
    found = never_started("no room")

    assert (found.state, found.run.run_count) == ("Crashed", 0)
    assert "no node has room" in found.sentence


@pytest.mark.parametrize(
    ("fault", "ends"),
    [
        *((fault, "Unchanged") for fault in LEFT_ALONE),
        *((fault, "Promoted") for fault in NEVER_STARTED),
    ],
)
def test_the_same_run_again_completes_the_work_with_one_version(again: Again, fault: str, ends: str) -> None:
    assert again(fault) == (ends, DONE)


@contextmanager
def scaled_to_none(lab: Lab, server: str) -> Iterator[None]:
    """There is none of a server meanwhile."""
    lab.platform.kubectl("scale", f"deployment/trainyard-{server}", "--replicas=0")
    try:
        yield
    finally:
        lab.platform.kubectl("scale", f"deployment/trainyard-{server}", "--replicas=1")


def kill_worker(lab: Lab) -> None:
    """The worker, which is told to stop, has no time to do so: its process is gone, and none comes after it."""
    selector = "--selector=app.kubernetes.io/component=worker"
    for pod in lab.platform.get("pods", selector):
        with suppress(subprocess.CalledProcessError, CommandFailed):  # it has ended
            lab.kill(pod["metadata"]["name"])
    lab.platform.kubectl("wait", "pods", selector, "--for=delete", "--timeout=300s")


def slots(lab: Lab, deployment: str, seconds: float = 60) -> int:
    """The slots of a deployment's concurrency limit that are taken, once that no longer changes."""
    taken, before = -1, -2
    deadline = time.monotonic() + seconds
    while taken != before and time.monotonic() < deadline:
        before = taken
        limit = lab.platform.deployment(deployment).global_concurrency_limit
        assert limit
        taken = limit.active_slots
        time.sleep(EVERY)
    return taken
