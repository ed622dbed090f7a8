"""From a push to what runs: a commit alone, a change of packages, and pairs that stay pairs while a deploy happens."""

import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Scheduled
from prefect.types._datetime import now

from ops.deploy import checks, records
from tests.cluster.delivery import PROBE, Delivery, both_differ, pair_of

pytestmark = pytest.mark.timeout(900)

CODE_ONLY = 180.0
"""Seconds that are too many even on a busy machine for a deploy that leaves the packages alone, from the push to the
new state of the schedules; docs/delivery.md has what is aimed at, and seen on a quiet one."""
BACK = 90.0
"""The same for a rollback."""
MONTHLY = "monthly/trip-duration"
LEAP_DAYS = "0 9 29 2 *"
"""When MONTHLY is to run from the first commit on: hardly while this suite does."""


def test_a_commit_alone_is_deployed_and_builds_nothing(delivery: Delivery, say: Callable[[str], None]) -> None:
    before, tags = checks.image(delivery.image, trusted=False), delivery.tags
    began = time.monotonic()
    commit = delivery.push_code("one", cron=LEAP_DAYS)

    plan = delivery.submit("plan")
    told = delivery.submit("apply")
    crons = delivery.crons(MONTHLY)

    took = time.monotonic() - began
    say(f"a commit alone: pushed, planned and deployed, its schedule read back, in {took:.0f} s")
    assert took < CODE_ONLY
    assert crons == [LEAP_DAYS]
    assert f"+ {PROBE}: new, commit {commit[:12]}" in plan
    assert f"Deployed commit {commit[:12]}" in told
    image, deployed = delivery.pair()
    assert deployed == commit
    assert image == before
    assert image.startswith(f"{delivery.registry}/flows@sha256:")
    assert delivery.tags == tags
    assert delivery.platform.run(PROBE).message == f"{commit} one False"
    record = records.head(delivery.platform.lake())
    assert record
    assert (record.image, record.commit) == (image, commit)


def test_a_change_of_packages_is_deployed_with_its_commit_and_taken_back(
    delivery: Delivery, say: Callable[[str], None]
) -> None:
    before, old = delivery.pair(), delivery.image
    began = time.monotonic()
    commit = delivery.push_packages("two")

    delivery.submit("apply")

    say(f"a change of packages: pushed, built in a layer, and deployed in {time.monotonic() - began:.0f} s")
    assert delivery.image != old
    assert delivery.platform.run(PROBE).message == f"{commit} two True"
    began = time.monotonic()
    delivery.submit("rollback")
    took = time.monotonic() - began
    say(f"back to the deploy before in {took:.0f} s")
    assert took < BACK
    assert delivery.pair() == before
    assert delivery.platform.run(PROBE).message == f"{before[1]} one False"


def test_a_run_in_the_end_shows_that_the_platform_works(delivery: Delivery) -> None:
    said = delivery.submit("smoke")

    assert "ended Completed: bucket trainyard keeps objects; MLflow holds" in said
    assert "reconcile (dry) ended " in said
    with delivery.platform.client() as client:
        only = FlowRunFilter(name=FlowRunFilterName(any_=["reconcile (dry)"]))
        newest = client.read_flow_runs(flow_run_filter=only, sort=FlowRunSort.START_TIME_DESC, limit=1)[0]
    assert delivery.pairs(newest) == {delivery.pair()}


def test_a_run_that_waits_for_its_pod_keeps_the_pair_it_was_submitted_with(delivery: Delivery) -> None:
    delivery.push_code("three")
    delivery.deploy()
    before = delivery.pair()
    delivery.platform.kubectl("cordon", delivery.platform.place.node)
    try:
        waiting = delivery.platform.start(PROBE)
        delivery.platform.await_pod(waiting, 60, phase="Pending")
        delivery.push_packages("four")
        delivery.deploy()
    finally:
        delivery.platform.kubectl("uncordon", delivery.platform.place.node)

    state = delivery.platform.wait(waiting, 480).state

    assert state
    assert str(state.message).startswith(f"{before[1]} three ")
    assert delivery.pairs(waiting) == {before}
    assert both_differ(before, delivery.pair())


def test_a_run_that_is_rescheduled_has_the_old_pair_first_and_then_the_new_one(delivery: Delivery) -> None:
    delivery.push_code("five")
    delivery.deploy()
    before = delivery.pair()
    running = delivery.platform.start(PROBE, {"seconds": 20})
    pod = delivery.platform.await_pod(running, 480)
    after = delivery.push_packages("six")
    delivery.deploy()

    seen = {pair_of(pod)}
    delivery.platform.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false")
    ended = delivery.platform.wait(running, 480)

    seen |= delivery.pairs(running)
    assert ended.state
    assert str(ended.state.message).startswith(f"{after} six ")
    assert seen == {before, delivery.pair()}
    assert both_differ(before, delivery.pair())


def test_a_run_that_was_scheduled_before_the_deploy_and_starts_after_it_has_the_new_pair(delivery: Delivery) -> None:
    later = Scheduled(scheduled_time=now("UTC") + timedelta(seconds=45))
    before, scheduled = delivery.pair(), delivery.platform.start(PROBE, state=later)
    after = delivery.push_packages("seven")
    delivery.deploy()

    ended = delivery.platform.wait(scheduled, 480)

    assert ended.state
    assert str(ended.state.message).startswith(f"{after} seven ")
    assert delivery.pairs(scheduled) == {delivery.pair()}
    assert both_differ(before, delivery.pair())
