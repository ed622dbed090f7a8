"""The main job as Jobs, by `make kind-demo`; two retrains at one moment, schedules, and what a run's pod is made of."""

import hashlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.exceptions import ObjectNotFound

from flows import models
from flows.ml import fingerprint, judging, landing, ledger, predictions, snapshot, training
from flows.ml.registry import Version
from ops import reproduce
from ops.kind import demo as demonstration
from tests.cluster import faults
from tests.cluster.faults import DONE, START, Lab
from tests.cluster.platform import POLL, Platform, steps
from tests.integration.home import DATASET

pytestmark = pytest.mark.timeout(1500)  # the first test of a session waits for images, cluster and main job

MODEL = "trip-duration"
RETRAIN = f"retrain/{MODEL}"
TWIN = "same-moment"
LATEST = 60.0
"""Seconds from a container's start to its first task that are too many even on a busy machine; docs/architecture.md has
what is seen on a quiet one."""
KEPT = {"ttl_seconds": 900}
"""Job variables by which a run's Job and pod are still there when a test looks at them."""
PROMOTED = 150.0
"""Seconds a promotion by hand may take on a busy machine; on a quiet one no more than 30."""
CANCELLED = 120.0
"""Seconds within which a cancelled run has ended, and then its Job."""
JOB_STAYS = 120
"""Seconds a finished Job stays on a laptop, as docs/first-hour-operator.md says."""


@dataclass(frozen=True)
class Job:
    """The main job done: how the demo ended, what it printed, and the run of each month."""

    status: int
    text: str
    months: list[FlowRun]


@pytest.fixture(scope="module")
def twins(lab: Lab) -> list[FlowRun]:
    """Two retrains of the same, started at the same moment, before the main job, which takes longer."""
    return [lab.start(TWIN, slow=0.2) for _ in range(2)]


@pytest.fixture(scope="module")
def job(
    cluster: Platform,
    twins: list[FlowRun],
    say: Callable[[str], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Job:
    """``make kind-demo`` in an empty lake."""
    cluster.forget()
    began, printed = datetime.now(UTC), tmp_path_factory.mktemp("demo") / "printed.txt"
    found = demonstration.demo(cluster.place, cluster.root, steps(say))
    with printed.open("w") as output:
        status = demonstration.run(cluster.place, cluster.root, found, output)
    months = runs_of(cluster, cluster.deployment(demonstration.DEPLOYMENT).id, began)
    return Job(status, printed.read_text(), months)


@pytest.fixture(scope="module")
def starts(cluster: Platform, job: Job) -> list[FlowRun]:
    """Runs with nothing to do, one after the other."""
    return [cluster.wait(cluster.start(RETRAIN, {"until": "2023-03"}, job_variables=KEPT), 480) for _ in range(3)]


@pytest.fixture(scope="module")
def versions(cluster: Platform, job: Job) -> list[Version]:
    """The versions the main job left."""
    return cluster.registry().versions(MODEL)


def test_the_main_job_ends_with_the_table_and_the_champion_in_the_clusters_mlflow(
    cluster: Platform, job: Job, versions: list[Version]
) -> None:
    assert job.status == 0, job.text
    assert "version 2: promote" in job.text
    assert "score    2023-03 by version 1: 71,980 of 71,980 rows" in job.text
    assert "monitor  2023-03 under version 1: Within limits" in job.text
    assert [name(run) for run in job.months] == ["Landed", "Promoted", "Promoted"]
    assert [(version.tags["judged"], version.tags["verdict"]) for version in versions] == [
        ("2023-02", "promote"),
        ("2023-03", "promote"),
    ]
    assert [version.number for version in versions] == [1, 2]
    assert cluster.registry().champion(MODEL) == 2
    assert [entry.version for entry in ledger.entries(cluster.lake(), MODEL)] == [1, 2]


def test_two_retrains_at_the_same_moment_leave_one_version(lab: Lab, twins: list[FlowRun], job: Job) -> None:
    runs = [lab.platform.wait(run, START) for run in twins]

    began, ended = zip(*((run.start_time, run.end_time) for run in runs), strict=True)
    assert max(began) < min(ended)
    assert {name(run) for run in runs} <= {"Promoted", "Unchanged"}
    assert lab.outcome(TWIN) == DONE


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


def test_a_version_of_a_pod_is_trained_again_from_its_record_on_a_laptop(
    cluster: Platform,
    versions: list[Version],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The packages are those of the tests, which are the record's; one of its own is made where a demo is tested.
    monkeypatch.setattr(reproduce, "environment", lambda lock, folder: Path(sys.executable))
    monkeypatch.setattr("sys.argv", ["reproduce", "--version", str(versions[1].number)])

    status = reproduce.main()

    record = reproduce.read(cluster.registry(), versions[1], tmp_path)
    assert status == 0
    assert record.python.startswith("3.13.")
    assert "Reproduced: all 6 files of version 2 are the same, byte for byte." in capsys.readouterr().out


def test_versions_and_months_name_the_commit_they_were_made_by(
    cluster: Platform, job: Job, versions: list[Version]
) -> None:
    head = cluster.git("rev-parse", "HEAD").strip()
    lake = cluster.lake()
    landed = [landing.manifest(lake, DATASET, month) for month in landing.months(lake, DATASET)]

    assert {version.tags["git_sha"] for version in versions} == {head}
    assert [month.revision for month in landed] == [head] * 3


def test_a_cancelled_run_ends_cancelled_and_leaves_the_champion_alone(
    cluster: Platform, versions: list[Version], slow_run: FlowRun
) -> None:
    lab = Lab(cluster, "", [])
    pod = lab.training(slow_run)
    threads = cluster.kubectl("exec", pod, "--", "printenv", "TRAINYARD_THREADS").strip()
    since = time.monotonic()

    lab.cancel(slow_run)
    ended = cluster.wait(slow_run, CANCELLED)
    took = time.monotonic() - since

    assert name(ended) == "Cancelled"
    assert await_finished(cluster, slow_run, CANCELLED)["spec"]["ttlSecondsAfterFinished"] == JOB_STAYS
    assert threads == "2"
    assert cluster.registry().champion(MODEL) == versions[-1].number
    assert cluster.registry().versions(MODEL) == versions
    assert took < CANCELLED


def test_a_runs_job_and_pod_say_what_they_are(cluster: Platform, starts: list[FlowRun]) -> None:
    [found], [pod] = cluster.get("jobs", f"--selector=prefect.io/flow-run-id={starts[0].id}"), cluster.pods(starts[0])
    variables = cluster.deployment(RETRAIN).job_variables

    for labels in (found["metadata"]["labels"], pod["metadata"]["labels"]):
        assert labels["prefect.io/flow-name"] == "retrain"
        assert labels["prefect.io/deployment-name"] == MODEL
        assert labels["trainyard/model"] == MODEL
        assert labels["trainyard/commit"] == variables["commit"]
        assert labels["trainyard/image"].endswith(variables["image"].rpartition(":")[2])


def test_a_runs_pod_is_shut_in(cluster: Platform, starts: list[FlowRun]) -> None:
    [pod] = cluster.pods(starts[0])
    [container] = pod["spec"]["containers"]

    assert pod["spec"]["automountServiceAccountToken"] is False
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"].keys() >= {"cpu", "memory"}


def test_first_tasks_begin_soon_after_the_container(
    cluster: Platform, starts: list[FlowRun], say: Callable[[str], None]
) -> None:
    found = min((began(cluster, run) for run in starts), key=lambda parts: parts[-1])

    say(f"container to flow {found[0]:.1f} s, to first task {found[1]:.1f} s (best of 3; the container's start to 1 s)")
    assert [name(run) for run in starts] == ["Unchanged"] * 3
    assert found[-1] < LATEST


@pytest.fixture(scope="module")
def often(cluster: Platform, starts: list[FlowRun]) -> Iterator[Any]:
    """A deployment that runs by its schedule, begun before a test that takes as long."""
    every = DeploymentScheduleCreate(schedule=IntervalSchedule(interval=timedelta(seconds=15)), active=True)
    parameters = {"dataset": "green-trips", "month": "2023-01", "source": cluster.source}
    entry = cluster.deploy_entry("ingest/green-trips", "often", parameters=parameters, schedules=[every])
    found = cluster.deployment(entry).id
    yield found
    with cluster.client() as client, suppress(ObjectNotFound):
        client.delete_deployment(found)


def test_the_operators_flows_run_as_jobs(cluster: Platform, versions: list[Version], often: Any) -> None:
    at_once = {f"backfill-scores/{MODEL}": {}, "backfill/green-trips": {}, "reconcile/platform": {}}
    begun = [cluster.start(deployment, parameters) for deployment, parameters in at_once.items()]
    ended = [cluster.wait(run, 480) for run in begun]
    for deployment in (f"score/{MODEL}", f"monitor/{MODEL}"):
        ended.append(cluster.wait(cluster.start(deployment, {"month": "2023-03"}), 480))

    lake, newest = cluster.lake(), versions[-1].number
    address = landing.manifest(lake, DATASET, "2023-03").address
    assert [name(run) for run in ended[:2]] == ["Filled", "Nothing missing"]
    assert name(ended[2]) in {"Nothing to do", "Dry run"}
    assert [name(run) for run in ended[3:]] == ["Unchanged", "Within limits"]
    assert predictions.find(lake, MODEL, "2023-03", address, newest)


def test_schedules_fire(cluster: Platform, often: Any) -> None:
    runs = await_runs(cluster, often, 2)

    with cluster.client() as client:
        client.delete_deployment(often)
    assert [run.auto_scheduled for run in runs] == [True, True]
    assert {name(run) for run in runs} == {"Unchanged"}


def test_an_operator_is_back_at_the_version_before_from_a_cold_pod(
    cluster: Platform, versions: list[Version], say: Callable[[str], None]
) -> None:
    began = time.monotonic()
    run = cluster.wait(cluster.start(f"promote/{MODEL}", {"operator": "ada", "reason": "it is off"}), 480)
    took = time.monotonic() - began

    say(f"a promotion by hand, from its start to its end: {took:.1f} s")
    assert run.state
    assert (name(run), cluster.registry().champion(MODEL)) == ("Promoted", versions[0].number), run.state.message
    assert ledger.bar(ledger.entries(cluster.lake(), MODEL), versions[1].tags["fingerprint"])
    assert took < PROMOTED


def test_by_then_the_job_of_the_cancelled_run_is_gone(cluster: Platform, slow_run: FlowRun) -> None:
    cluster.await_no_job(slow_run, JOB_STAYS + CANCELLED)


@pytest.fixture(scope="module")
def slow_run(cluster: Platform, job: Job) -> FlowRun:
    """A training that takes minutes, of what no version was trained on."""
    slow = cluster.deploy_entry(RETRAIN, "slow", {"commit": faults.hindered(cluster)})
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
    first = min(task.start_time for task in Lab(cluster, "", []).tasks(run) if task.start_time)
    assert run.start_time
    return (run.start_time - container).total_seconds(), (first - container).total_seconds()


def runs_of(cluster: Platform, deployment: Any, since: datetime) -> list[FlowRun]:
    """The runs of a deployment that began after a moment and have ended, in their order."""
    only = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment]))
    with cluster.client() as client:
        found = client.read_flow_runs(flow_run_filter=only)
    ended = [(run.start_time, run) for run in found if run.start_time and run.state and run.state.is_final()]
    return [run for started, run in sorted(ended, key=lambda pair: pair[0]) if started > since]


def await_runs(cluster: Platform, deployment: Any, count: int, seconds: float = 120) -> list[FlowRun]:
    """The first runs of a deployment, once so many have ended."""
    deadline = time.monotonic() + seconds
    while len(found := runs_of(cluster, deployment, datetime.min.replace(tzinfo=UTC))) < count:
        assert time.monotonic() < deadline, f"{len(found)} runs after {seconds:.0f} s"
        time.sleep(POLL)
    return found[:count]


def await_finished(cluster: Platform, run: FlowRun, seconds: float) -> dict[str, Any]:
    """The Job of a run once no pod of it is at work."""
    deadline = time.monotonic() + seconds
    while True:
        [found] = cluster.get("jobs", f"--selector=prefect.io/flow-run-id={run.id}")
        if {each["type"] for each in found["status"].get("conditions", [])} & {"Complete", "Failed"}:
            return found
        assert time.monotonic() < deadline, found["status"]
        time.sleep(POLL)
