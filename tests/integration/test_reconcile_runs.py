"""Runs and Jobs that do not belong together, and what is let be while runs are under way. The Jobs are made up here;
real ones are in tests/cluster/test_reconcile.py."""

import contextlib
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectAlreadyExists
from prefect.states import AwaitingRetry, Cancelling, Completed, Failed, Paused, Pending, Running, Scheduled

from flows.ml.reconciling.finding import Limits
from flows.reconciling.jobs import Jobs
from flows.reconciling.runs import Job
from tests.integration.home import DATASET, MODEL, Home
from tests.integration.reconciling import Plants, close, done, look, start, state_of
from tests.integration.servers import at

pytestmark = pytest.mark.usefixtures("calm")


@dataclass
class Cluster:
    """The Jobs of a cluster that is none."""

    jobs: list[Job] = field(default_factory=list)

    def list(self) -> list[Job]:
        return list(self.jobs)

    def delete(self, name: str, uid: str) -> None:
        self.jobs = [job for job in self.jobs if (job.name, job.uid) != (name, uid)]

    def work_on(self, run: FlowRun | None, ended_at: datetime | None = None) -> Job:
        name = uuid.uuid4().hex
        run_id = str(run.id) if run else str(uuid.uuid4())
        self.jobs.append(Job(name, f"uid-{name}", run_id, datetime.now(UTC), ended_at))
        return self.jobs[-1]


@pytest.fixture
def cluster(home: Home) -> Cluster:
    """A cluster, and in Prefect the pool whose runs have Jobs on it."""
    with get_client(sync_client=True) as client, contextlib.suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name="kubernetes", type="kubernetes"))
    return Cluster()


def named(run: FlowRun) -> str:
    return f"run {run.name}"


@pytest.mark.parametrize("state", [Running(), Pending(), Cancelling()], ids=lambda state: state.name)
def test_a_run_without_its_job_is_ended(cluster: Cluster, state) -> None:
    lost = start(state, "kubernetes")
    alive = start(Running(), "kubernetes")
    cluster.work_on(alive)

    found = look(jobs=cluster)

    assert done(found) == [("run without its Job", named(lost), "done: end the run")]
    assert state_of(lost).name == ("Cancelled" if state.is_cancelling() else "Crashed")
    assert "Run it again" in str(state_of(lost).message)
    assert state_of(alive).name == "Running"
    assert done(look(jobs=cluster)) == []


def test_a_job_that_is_finished_is_none_and_one_just_finished_is_waited_for(cluster: Cluster) -> None:
    lost = start(Running(), "kubernetes")
    cluster.work_on(lost, ended_at=datetime.now(UTC))

    assert done(look(Limits(), jobs=cluster)) == []
    assert [one[1] for one in done(look(jobs=cluster))] == [named(lost)]


def test_a_job_whose_run_has_ended_or_never_was_is_deleted(cluster: Cluster) -> None:
    ended, alive = start(Completed(), "kubernetes"), start(Running(), "kubernetes")
    first, _, third = cluster.work_on(ended), cluster.work_on(alive), cluster.work_on(None)
    cluster.work_on(ended, ended_at=datetime.now(UTC))  # Kubernetes deletes it by itself

    found = look(jobs=cluster)

    assert {one[1] for one in done(found)} == {f"Job {first.name}", f"Job {third.name}"}
    assert len(cluster.jobs) == 2
    assert done(look(jobs=cluster)) == []


def test_the_subflow_runs_of_a_dead_parent_are_crashed_down_to_the_last(cluster: Cluster) -> None:
    dead, lost, alive = start(Failed(), "local"), start(Running(), "kubernetes"), start(Running(), "local")
    children = [start(Running(), parent=parent) for parent in (dead, lost)]
    grandchild = start(Pending(), parent=children[0])
    kept = start(Running(), parent=alive)

    found = look(jobs=cluster)

    crashed = {named(run) for run in (lost, *children, grandchild)}
    assert {one[1] for one in done(found)} == crashed
    assert {state_of(run).name for run in (*children, grandchild)} == {"Crashed"}
    assert state_of(kept).name == "Running"
    assert done(look(jobs=cluster)) == []


def test_runs_that_wait_or_are_of_another_pool_or_young_are_let_be(cluster: Cluster) -> None:
    start(Scheduled(), "kubernetes")
    waiting = [Scheduled(name="AwaitingConcurrencySlot"), AwaitingRetry(), Paused(timeout_seconds=3600)]
    assert [start(state, "kubernetes").state_name for state in waiting] == [state.name for state in waiting]
    start(Running(), "local")
    young = start(Running(), "kubernetes")
    job = cluster.work_on(young)

    assert done(look(jobs=cluster)) == []
    cluster.delete(job.name, job.uid)
    assert done(look(Limits(), jobs=cluster)) == []


def test_a_dry_run_ends_no_run_and_deletes_no_job(cluster: Cluster) -> None:
    lost = start(Running(), "kubernetes")
    child = start(Running(), parent=lost)
    cluster.work_on(None)

    found = look(jobs=cluster, dry_run=True)

    assert {one[2] for one in done(found)} == {"would end the run", "would delete the Job"}
    assert {state_of(run).name for run in (lost, child)} == {"Running"}
    assert len(cluster.jobs) == 1


@pytest.mark.parametrize("under_way", [{"model": MODEL}, {"dataset": DATASET}], ids=lambda given: next(iter(given)))
def test_what_a_run_under_way_may_be_at_work_on_is_let_be(home: Home, under_way: dict[str, str]) -> None:
    plants = Plants(home)
    plants.version("a"), plants.version("a")
    home.lake.put_new(f"candidates/{MODEL}/lost/0-booster.ubj", b"x")
    home.lake.put_new(f"raw/{DATASET}/2023-02/{'0' * 64}/data.parquet", b"half")
    busy = start(Running(), "local", **under_way)
    before = home.objects()

    found = look()

    of_dataset = [one for one in done(found) if one[1].startswith("raw/")]
    of_model = [one for one in done(found) if not one[1].startswith("raw/")]
    assert [one[2] for one in of_dataset] == [f"let be: a run of {DATASET} is under way, or was since this began"]
    if "model" in under_way:
        assert {one[2] for one in of_model} == {f"let be: a run of {MODEL} is under way, or was since this began"}
        assert home.objects() == before
        assert plants.numbers() == [1, 2]
    close(busy)
    assert {one[2].partition(":")[0] for one in done(look())} <= {"done"}
    assert done(look()) == []


def test_without_prefect_nothing_is_deleted_and_the_rest_is_done(home: Home) -> None:
    plants = Plants(home)
    first = plants.version("a")
    plants.version("a")
    plants.promote(first, "a")
    home.lake.put_new(f"candidates/{MODEL}/lost/0-booster.ubj", b"x")

    with at({**home.env, "PREFECT_API_URL": "http://127.0.0.1:9/api"}):
        found = look()

    assert not found.failed
    assert found.notes[0].startswith("runs and Jobs: left out. Prefect does not answer")
    let_be = [one[0] for one in done(found) if one[2] == "let be: only Prefect knows what is under way"]
    assert let_be == ["fingerprint registered twice", "staged object nothing refers to"]
    assert home.registry.champion(MODEL) == first
    assert keys_of_candidates(home)


def keys_of_candidates(home: Home) -> list[str]:
    return list(home.lake.keys("candidates/"))


def test_jobs_are_asked_for_by_release_page_by_page_and_deleted_by_their_uid() -> None:
    asked: list[tuple[str, str, str]] = []
    meta = {"uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"prefect.io/flow-run-id": "r"}}
    ended = {"conditions": [{"type": "Failed", "lastTransitionTime": "2026-01-01T01:00:00Z"}]}

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.url.path, request.content.decode()))
        if request.method == "DELETE":
            return httpx.Response(409, json={})
        first = "continue=&" in f"{request.url.query.decode()}&"
        items = [{"metadata": {**meta, "name": "a" if first else "b"}, "status": {} if first else ended}]
        return httpx.Response(200, json={"items": items, "metadata": {"continue": "more"} if first else {}})

    jobs = Jobs(httpx.Client(base_url="https://k", transport=httpx.MockTransport(answer)), "ns", "release")
    found = jobs.list()
    jobs.delete("a", "u")

    assert [(job.name, job.ended_at is None) for job in found] == [("a", True), ("b", False)]
    assert asked[-1][:2] == ("DELETE", "/apis/batch/v1/namespaces/ns/jobs/a")
    assert '"uid":"u"' in asked[-1][2].replace(" ", "")
