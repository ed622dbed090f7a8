"""From a push to what runs: a commit alone, a change of packages, and pairs that stay pairs while a deploy happens."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Scheduled
from prefect.types._datetime import now

from ops import images
from ops.deploy import POOL, checks, deploying, records
from ops.kind import access
from ops.kind.tools import run
from tests.cluster import registry
from tests.cluster.platform import Platform

pytestmark = pytest.mark.timeout(900)

CODE_ONLY = 180.0
"""Seconds that are too many even on a busy machine for a deploy that leaves the packages alone, from the push to the
new state of the schedules; docs/delivery.md has what is aimed at, and seen on a quiet one."""
BACK = 90.0
"""The same for a rollback."""
PROBE = "probe/pair"
MONTHLY = "monthly/trip-duration"
LEAP_DAYS = "0 9 29 2 *"
"""When MONTHLY is to run from the first commit on: hardly while this suite does."""
FLOW = '''"""Says which pair it runs in."""

import importlib.util
import os
import time

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed


@flow(name="probe", timeout_seconds=600)
def probe(seconds: float = 0.0) -> State:
    """Wait, then end with the commit, {word}, and whether the new package is there."""
    time.sleep(seconds)
    there = importlib.util.find_spec("arrived") is not None
    return Completed(message=f"{{os.environ['TRAINYARD_GIT_SHA']}} {word} {{there}}")
'''
NEW_PACKAGE = """
FROM {image}
USER 0
RUN python3 -c "import pathlib, prefect; (pathlib.Path(prefect.__file__).parents[1] / 'arrived.py').write_text('')"
USER 10001:10001
"""


@dataclass(frozen=True)
class Delivery:
    """The suite's platform, a registry beside it, and the clone that is deployed from."""

    platform: Platform
    registry: str

    @property
    def image(self) -> str:
        """The image of the flow runs as the clone's files name it."""
        (found,) = (each for each in images.images(self.platform.root, self.registry) if each.name == "flows")
        return found.reference

    @property
    def tags(self) -> set[str]:
        """The tags of the image of the flow runs in the registry."""
        found: list[str] = httpx.get(f"http://{self.registry}/v2/flows/tags/list").json()["tags"]
        return set(found)

    def push_code(self, word: str, cron: str = "", **changed: str) -> str:
        """Commit and push a probe that says a word, and ``cron`` as the days of publication; the commit."""
        file = self.platform.root / "prefect.yaml"
        entry = {
            "name": "pair",
            "flow_name": "probe",
            "entrypoint": "flows/probe.py:probe",
            "description": "Says which pair it runs in.",
            "tags": ["probe"],
            "pull": yaml.safe_load(file.read_text())["definitions"]["kubernetes"]["pull"],
            "build": yaml.safe_load(file.read_text())["definitions"]["kubernetes"]["build"],
            "work_pool": {
                "name": POOL,
                "job_variables": {
                    "image": "{{ $FLOWS_IMAGE }}",
                    "commit": "{{ $TRAINYARD_GIT_SHA }}",
                    "cpu_request": "50m",
                    "memory": "512Mi",
                    "deadline_seconds": 1300,
                },
            },
        }
        text = file.read_text()
        if "flow_name: probe" not in text:
            text += yaml.safe_dump([entry], default_flow_style=False).replace("\n", "\n  ").join(("\n  ", "\n"))
        if cron:
            text = re.sub(r"(&publication_days {cron: )[^,]+", rf"\g<1>{cron}", text)
        return self.platform.commit({"flows/probe.py": FLOW.format(word=word), "prefect.yaml": text, **changed})

    def push_packages(self, word: str) -> str:
        """The same with a package more: a lock that is another, and its image in the registry; the commit."""
        old, lock = self.image, "flows/requirements.txt"
        commit = self.push_code(word, **{lock: f"{(self.platform.root / lock).read_text()}# one more\n"})
        build = ["docker", "build", "--quiet", f"--label=word={word}", f"--tag={self.image}", "-"]
        run(build, stdin=NEW_PACKAGE.format(image=old))
        run(["docker", "push", "--quiet", self.image])
        return commit

    def submit(self, *arguments: str) -> str:
        """What `python -m ops.deploy submit` prints."""
        command = [sys.executable, "-m", "ops.deploy", "submit", *arguments, "--registry", self.registry]
        done = subprocess.run(
            command, cwd=self.platform.root, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of the deploy: the cluster's kubeconfig, and no address of Prefect or S3."""
        own = self.platform.place.env()
        path = f"{Path(sys.executable).parent}:{own['PATH']}"
        hidden = ("PREFECT_API", "AWS_", "MLFLOW_", "TRAINYARD_")
        kept = {name: value for name, value in own.items() if not name.startswith(hidden)}
        return {**kept, "PATH": path, "PYTHONPATH": str(self.platform.root)}

    def deploy(self) -> None:
        """Deploy the clone's HEAD from here, in the image that the registry has."""
        deploying.deploy(self.platform.root, self.image, access.git_url(self.platform.place))

    def pair(self) -> tuple[str, str]:
        """Image and commit of the probe's deployment."""
        variables = self.platform.deployment(PROBE).job_variables
        return variables["image"], variables["commit"]

    def crons(self, name: str) -> list[str | None]:
        """When a deployment runs, as the server has it."""
        return [each.schedule.model_dump().get("cron") for each in self.platform.deployment(name).schedules]

    def pairs(self, found: FlowRun) -> set[tuple[str, str]]:
        """Image and commit of every pod a run has."""
        return {pair_of(pod) for pod in self.platform.pods(found)}


def pair_of(pod: dict[str, Any]) -> tuple[str, str]:
    (container,) = pod["spec"]["containers"]
    variables = {each["name"]: each.get("value") for each in container["env"]}
    return container["image"], str(variables["TRAINYARD_GIT_SHA"])


def both_differ(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two pairs have neither image nor commit in common."""
    return one[0] != other[0] and one[1] != other[1]


@pytest.fixture(scope="module")
def delivery(cluster: Platform) -> Iterator[Delivery]:
    """The clone is put back afterwards, and deployed as it was."""
    commit = cluster.git("rev-parse", "HEAD").strip()
    yield Delivery(cluster, registry.make(cluster))
    cluster.git("reset", "--quiet", "--hard", commit)
    cluster.git("clean", "--quiet", "--force", "-d")
    cluster.deploy()
    registry.remove(cluster)


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
