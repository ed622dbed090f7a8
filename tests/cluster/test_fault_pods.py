"""What becomes of a run whose pod is taken away, killed or starved. All of them are under way at once."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from tests.cluster.faults import DONE, EVERY, START, Ended, Lab, at_once

pytestmark = pytest.mark.timeout(1200)

GONE = 90.0 + START
"""Seconds within which a run ends whose processes were killed, on a busy machine, run again by itself meanwhile."""

CANCELLED = 180.0
"""Seconds within which a cancelled run ends that does not end itself: an automation does after 90, and a busy machine
takes its time."""

MOST = 10
"""How often a run may be started: five times, since that ends it; and where it crashed meanwhile as often once more."""

LATE = "deadline of the Job reached, each time"

How = Callable[[str], Ended]
Again = Callable[[str], tuple[str, dict[str, Any]]]


def deleted(lab: Lab) -> Ended:
    run = lab.start("pod-deleted", slow=0.15)
    pod = lab.training(run)
    argv = ("delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")
    return lab.end("pod deleted with grace 0 mid-training", run, START, lambda: lab.platform.kubectl(*argv))


def killed(lab: Lab) -> Ended:
    run = lab.start("pod-killed", slow=0.3)
    pod = lab.training(run)
    return lab.end("every process of the pod killed mid-training", run, GONE, lambda: lab.kill(pod))


def starved(lab: Lab) -> Ended:
    run = lab.start("out-of-memory", slow=0.3, hungry=True)
    lab.training(run)
    return lab.end("memory limit reached mid-training", run, GONE)


def late(lab: Lab) -> Ended:
    run = lab.start("deadline", slow=2.0, deadline_seconds=90)
    return lab.end(LATE, run, 3 * START)


def put_back(lab: Lab) -> Ended:
    run = lab.start("put-back", slow=2.0)

    def take_away() -> None:
        for times in range(1, 5):
            lab.platform.kubectl("delete", "pod", lab.pod(run, times), "--wait=false")

    return lab.end("pod taken away four times", run, START, take_away)


def unstarted(lab: Lab) -> Ended:
    run = lab.start("cancelled-unstarted", cpu_request="900", cpu_limit="900")
    run = lab.platform.wait(run, START, lambda run: bool(run.infrastructure_pid), every=EVERY)
    return lab.end("cancelled before its pod has started", run, CANCELLED, lambda: lab.cancel(run))


def hanging(lab: Lab) -> Ended:
    run = lab.start("cancelled-hanging", slow=0.3)
    with lab.frozen(lab.training(run)):
        return lab.end("cancelled while its processes hang", run, CANCELLED, lambda: lab.cancel(run))


SCENARIOS = {each.__name__: each for each in (put_back, late, deleted, killed, starved, unstarted, hanging)}


@pytest.fixture(scope="module")
def ended(lab: Lab) -> Iterator[How]:
    """How a scenario ended; all of them begin with the first that is asked for."""
    with at_once({name: partial(scenario, lab) for name, scenario in SCENARIOS.items()}) as found:
        yield found


@pytest.fixture(scope="module")
def again(lab: Lab, ended: How) -> Iterator[Again]:
    """How the same run ended that was started once more after a scenario, and what the two left."""

    def rerun(name: str) -> tuple[str, dict[str, Any]]:
        return lab.again(ended(name))

    with at_once({name: partial(rerun, name) for name in SCENARIOS}) as found:
        yield found


def test_a_run_whose_pod_is_deleted_goes_on_in_another_pod(ended: How) -> None:
    found = ended("deleted")

    assert found.state == "Promoted"
    assert found.run.run_count == 2


def test_a_run_whose_processes_are_killed_is_crashed_and_run_again(ended: How) -> None:
    found = ended("killed")

    assert found.crash
    assert (found.state, found.run.run_count) == ("Promoted", 2)


def test_a_run_that_outgrows_its_memory_twice_is_crashed_and_says_so(lab: Lab, ended: How) -> None:
    found = ended("starved")

    assert (found.state, found.run.run_count, len(lab.crashes(found.run))) == ("Crashed", 2, 2)
    assert "exceeding memory limits" in found.sentence


def test_a_run_beyond_its_deadline_ends(ended: How) -> None:
    found = ended("late")

    assert found.state in ("Failed", "Crashed")
    assert found.run.run_count <= MOST


def test_a_run_that_was_put_back_four_times_fails_with_a_sentence(ended: How) -> None:
    found = ended("put_back")

    assert found.state == "Failed"
    assert "started 5 times" in found.sentence


@pytest.mark.parametrize("scenario", ["unstarted", "hanging"])
def test_a_run_that_nobody_in_its_pod_can_end_is_cancelled_all_the_same(ended: How, scenario: str) -> None:
    assert ended(scenario).state == "Cancelled"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_same_run_again_completes_the_work_with_one_version(ended: How, again: Again, scenario: str) -> None:
    expected = "Unchanged" if ended(scenario).state == "Promoted" else "Promoted"

    assert again(scenario) == (expected, DONE)


def test_what_has_ended_stays_ended(lab: Lab, again: Again) -> None:
    """Except at a deadline: a pod that is told to stop asks for another one, maybe just after its worker gave it up."""
    for scenario in SCENARIOS:
        again(scenario)

    kept = {found.fault: found.run for found in lab.ended if found.fault != LATE}
    with lab.platform.client() as client:
        found = {fault: client.read_flow_run(run.id).state_id for fault, run in kept.items()}
    assert found == {fault: run.state_id for fault, run in kept.items()}


def test_a_run_that_goes_on_after_its_deadline_ends_at_the_next(lab: Lab, ended: How) -> None:
    with lab.platform.client() as client:
        run = client.read_flow_run(ended("late").run.id)

    run = lab.platform.wait(run, 3 * START, every=EVERY)

    assert run.run_count <= MOST
