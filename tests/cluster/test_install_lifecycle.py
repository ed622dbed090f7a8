"""The chart from its first installation to its last: what comes up, what is kept, how servers end."""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from ops import images
from ops.chart import CHART
from ops.deploy import chart
from ops.deploy.job import Namespace
from ops.kind import images as on_node
from tests.cluster import history, kept
from tests.cluster.ends import Ends, watched
from tests.cluster.kept import Kept
from tests.cluster.platform import Platform
from tests.cluster.release import Object, Release, namespace, release
from tests.integration.servers import ROOT

pytestmark = pytest.mark.timeout(900)

WAIT = ("--wait", "--timeout=10m")


@dataclass(frozen=True)
class Installed:
    """A release, what was put there when the chart before this one was installed, and the seconds Helm took."""

    release: Release
    before: Kept
    seconds: float


@dataclass(frozen=True)
class Reinstalled(Installed):
    """The same installed anew after an uninstallation: what that left, and how the servers ended."""

    left: set[str]
    ends: Ends


@pytest.fixture(scope="module")
def installed(
    cluster: Platform, tmp_path_factory: pytest.TempPathFactory, say: Callable[[str], None]
) -> Iterator[Installed]:
    """The chart before this one, with the images of its commit and with data."""
    if not (commit := history.earlier(ROOT, CHART)):
        pytest.fail("no commit here has another chart to upgrade from: fetch the whole history")
    before = history.checked_out(ROOT, commit, tmp_path_factory.mktemp("earlier"))
    bring(cluster, before, say)
    with namespace(cluster, "life") as name:
        made = release(cluster, name)
        seconds = made.apply("install", *WAIT, root=before)
        say(f"helm install --wait of the chart of {commit[:12]}: {seconds:.0f} s")
        yield Installed(made, kept.plant(made), seconds)


@pytest.fixture(scope="module")
def upgraded(installed: Installed, say: Callable[[str], None]) -> Installed:
    """The chart of HEAD on it, as the deploy of a push does it."""
    made, began = installed.release, time.monotonic()
    told = upgrade(made)
    seconds = time.monotonic() - began
    say(f"{told} ({seconds:.0f} s)")
    assert told.startswith("Upgraded")
    return replace(installed, seconds=seconds)


@pytest.fixture(scope="module")
def reinstalled(upgraded: Installed, say: Callable[[str], None]) -> Reinstalled:
    """The chart of HEAD uninstalled, and installed again on what was left; Helm does not wait."""
    made = upgraded.release
    with watched(made) as ends:
        made.helm("uninstall")
        made.kubectl("delete", "pods", made.ours("test"))  # Helm leaves a test's, so that its log can be read
        servers = f"{made.ours()},app.kubernetes.io/component!=job"
        made.kubectl("wait", "pods", servers, "--for=delete", "--timeout=300s")
    left = set(made.kubectl("get", "all,configmaps,secrets,persistentvolumeclaims", "--output=name").split())
    seconds = made.apply("install")
    made.await_ready()
    return Reinstalled(made, upgraded.before, seconds, left, ends)


def test_an_upgrade_that_is_waited_for_comes_up_with_the_data_and_the_passwords(upgraded: Installed) -> None:
    after = kept.find(upgraded.release, upgraded.before.run[0])

    upgraded.release.await_ready()
    assert after == upgraded.before
    assert upgraded.before.run[1] == "before the upgrade"


def test_an_upgrade_to_the_chart_that_is_there_changes_nothing(upgraded: Installed) -> None:
    assert upgrade(upgraded.release) == "Nothing to change: release life has this chart and these values"


def test_helm_test_proves_the_platform_by_a_run(upgraded: Installed, undisturbed: None) -> None:
    said = upgraded.release.helm("test", "--logs", "--timeout=8m")

    does = "bucket trainyard keeps objects; MLflow holds 1 models; MLflow keeps artifacts; git://git.trainyard.svc/"
    assert f"ended Completed: {does}" in said


def test_a_bootstrap_run_twice_at_once_leaves_everything_as_it_was(upgraded: Installed) -> None:
    made = upgraded.release
    before = _applied(made)

    for name in ("once", "twice"):
        made.kubectl("create", "--filename=-", stdin=json.dumps(_again(made, name)))
    made.kubectl("wait", "jobs/once", "jobs/twice", "--for=condition=complete", "--timeout=300s")

    assert _applied(made) == before
    assert {kind: len(each) for kind, each in before.items() if kind != "automations"} == {
        "pools": 1,
        "blocks": 1,
        "deployments": 1,
    }
    names = [each["name"] for each in before["automations"]]
    assert len(set(names)) == len(names)
    assert {
        "A run that fell silent is Crashed",
        "A run that does not start is Crashed",
        "A run that is being cancelled and does not end is Cancelled",
    } <= set(names)  # those of the chart before, where it had others, are still there


def test_helm_goes_back_to_the_revision_before_with_the_data(upgraded: Installed) -> None:
    made = upgraded.release

    made.helm("rollback", *WAIT)
    made.await_ready()

    assert "Rollback to 1" in json.loads(made.helm("status", "--output=json"))["info"]["description"]
    assert kept.find(made, upgraded.before.run[0]) == upgraded.before


def test_servers_end_by_themselves_when_they_are_told_to(reinstalled: Reinstalled, say: Callable[[str], None]) -> None:
    ends = reinstalled.ends.found

    say("seconds to end: " + ", ".join(f"{name} {end.seconds:.0f} (status {end.status})" for name, end in ends.items()))
    assert set(ends) == {"prefect", "mlflow", "worker", "minio"}
    assert {name: end for name, end in ends.items() if end.status not in {0, 143} or end.seconds >= end.grace} == {}


def test_an_uninstallation_leaves_volumes_and_passwords_and_nothing_else(reinstalled: Reinstalled) -> None:
    ours = {name for name in reinstalled.left if name.partition("/")[2].startswith("life")}

    assert ours == {
        *(f"persistentvolumeclaim/life-{name}" for name in ("prefect", "mlflow", "minio")),
        *(f"secret/life-{name}" for name in ("prefect-auth", "mlflow-auth", "lake")),
    }


def test_an_installation_that_is_not_waited_for_comes_up_on_the_volumes_and_passwords_that_were_left(
    reinstalled: Reinstalled,
) -> None:
    after = kept.find(reinstalled.release, reinstalled.before.run[0])

    assert after == reinstalled.before
    assert [job["status"].get("succeeded") for job in reinstalled.release.get("jobs", "bootstrap")] == [1]


def bring(cluster: Platform, root: Path, say: Callable[[str], None]) -> None:
    """Build the images of another checkout that are not there, and bring them to the node."""
    wanted = images.images(root)
    images.build(root, wanted, say)
    if missing := on_node.lacking(cluster.place, [image.reference for image in wanted]):
        on_node.pack(missing, archive := root.with_name("images.tar"))
        on_node.load(cluster.place, archive)


def upgrade(made: Release) -> str:
    """What `make chart-upgrade` says of it, with the images of HEAD: other values it keeps as they are."""
    with mock.patch.dict(os.environ, made.platform.place.env()):
        return chart.upgrade(Namespace(made.namespace, made.name), ROOT, [], made.images())


def _again(made: Release, name: str) -> Object:
    """The bootstrap Job once more, under another name."""
    (job,) = made.get("jobs", "bootstrap")
    template = job["spec"]["template"]
    template["metadata"]["labels"] = {"app.kubernetes.io/component": "again"}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template}}


def _applied(made: Release) -> dict[str, list[Any]]:
    """What the bootstrap applies, but for when it did, and for what changes with a worker's looks at it."""
    apart: dict[str, Any] = {"exclude": {"updated", "status", "last_polled"}}
    with made.reached(), made.client() as client:
        automations = client._client.post("/automations/filter", json={}).json()
        return {
            "pools": [found.model_dump(**apart) for found in client.read_work_pools()],
            "automations": [{**found, "updated": None} for found in automations],
            "blocks": [found.data for found in client.read_block_documents()],
            "deployments": [found.model_dump(**apart) for found in client.read_deployments()],
        }
