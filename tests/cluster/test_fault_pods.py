"""What becomes of a run whose pod is taken away, killed or starved. All of them are under way at once."""

import re

import pytest

from tests.cluster.faults import DONE, EVERY, START, Again, How, Lab
from tests.cluster.scenarios import LATE, MOST, PODS

pytestmark = pytest.mark.timeout(2400)

JOB_GONE = 120.0
"""Seconds after its end within which the Job of a run is gone that nobody in its pod could end: its pod has 30 to stop,
the rest is a busy machine's. The Jobs' own time to live is longer here, and begins for none that never started."""


def test_a_run_whose_pod_is_deleted_goes_on_in_another_pod(lost_pods: How) -> None:
    found = lost_pods("deleted")

    assert found.state == "Promoted"
    assert found.run.run_count == 2


def test_a_run_whose_processes_are_killed_is_crashed_and_run_again(lost_pods: How) -> None:
    found = lost_pods("killed")

    assert found.crash
    assert (found.state, found.run.run_count) == ("Promoted", 2)


def test_a_run_that_outgrows_its_memory_twice_is_crashed_and_says_so(lab: Lab, lost_pods: How) -> None:
    found = lost_pods("starved")

    assert (found.state, found.run.run_count, len(lab.crashes(found.run))) == ("Crashed", 2, 2)
    assert "exceeding memory limits" in found.sentence


def test_a_run_beyond_its_deadline_ends(lost_pods: How) -> None:
    found = lost_pods("late")

    assert found.state in ("Failed", "Crashed")
    assert re.search("No active or succeeded pods found|was evicted, or reached its deadline", found.sentence)
    assert found.run.run_count <= MOST


def test_a_run_whose_pod_is_taken_away_each_time_fails_with_a_sentence(lost_pods: How) -> None:
    found = lost_pods("put_back")

    assert found.state == "Failed"
    assert re.search(r"started \d+ times: its pod was evicted", found.sentence)


@pytest.mark.parametrize("scenario", ["unstarted", "hanging"])
def test_a_run_that_nobody_in_its_pod_can_end_is_cancelled_all_the_same(
    lab: Lab, lost_pods: How, scenario: str
) -> None:
    found = lost_pods(scenario)

    assert found.state == "Cancelled"
    assert found.sentence.startswith("Flow run cancellation timed out")
    lab.platform.await_no_job(found.run, JOB_GONE)


@pytest.mark.parametrize("scenario", PODS)
def test_the_same_run_again_completes_the_work_with_one_version(
    lost_pods: How, lost_pods_again: Again, scenario: str
) -> None:
    expected = "Unchanged" if lost_pods(scenario).state == "Promoted" else "Promoted"

    assert lost_pods_again(scenario) == (expected, DONE)


def test_what_has_ended_stays_ended(lab: Lab, lost_pods_again: Again) -> None:
    """Except at a deadline: a pod that is told to stop asks for another one, maybe just after its worker gave it up."""
    for scenario in PODS:
        lost_pods_again(scenario)

    kept = {found.fault: found.run for found in lab.ended if found.fault != LATE}
    with lab.platform.client() as client:
        found = {fault: client.read_flow_run(run.id).state_id for fault, run in kept.items()}
    assert found == {fault: run.state_id for fault, run in kept.items()}


def test_a_run_that_goes_on_after_its_deadline_ends_at_the_next(lab: Lab, lost_pods: How) -> None:
    with lab.platform.client() as client:
        run = client.read_flow_run(lost_pods("late").run.id)

    run = lab.platform.wait(run, 3 * START, every=EVERY)

    assert run.run_count <= MOST
