"""The platform while nothing happens: how it came up, what it weighs, what its namespace lets in."""

import json
import time
from collections.abc import Callable

import pytest

from ops.kind.tools import CommandFailed
from tests.cluster.platform import Platform

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("undisturbed")]

IDLE = 1.6
"""GiB of memory that the idle platform may take in all."""
PLATFORM = "app.kubernetes.io/instance=trainyard,app.kubernetes.io/component!=job"
OURS = "--selector=app.kubernetes.io/instance=trainyard,app.kubernetes.io/component=bootstrap"


def test_an_installation_that_is_waited_for_comes_up(cluster: Platform) -> None:
    revisions = json.loads(cluster.place.helm("history", "trainyard", "--output=json"))

    assert {each["status"] for each in revisions} <= {
        "deployed",
        "superseded",
    }  # one that was waited for in vain: failed
    assert revisions[0]["description"] == "Install complete"
    assert [job["status"].get("succeeded") for job in cluster.get("jobs", OURS)] == [1]


def memory(cluster: Platform) -> dict[str, float]:
    """What each pod of the platform holds, in MiB; those of flow runs are none of it."""
    (node,) = cluster.get("nodes")
    stats = json.loads(cluster.kubectl("get", "--raw", f"/api/v1/nodes/{node['metadata']['name']}/proxy/stats/summary"))
    found = {pod["podRef"]["name"]: pod.get("memory", {}).get("workingSetBytes", 0) / 2**20 for pod in stats["pods"]}
    running = ("--selector=app.kubernetes.io/component!=job", "--field-selector=status.phase=Running")
    return {pod["metadata"]["name"]: found.get(pod["metadata"]["name"], 0.0) for pod in cluster.get("pods", *running)}


def test_the_idle_platform_takes_no_more_memory_than_a_laptop_has(
    cluster: Platform, say: Callable[[str], None]
) -> None:
    deadline = time.monotonic() + 180
    while not (taken := memory(cluster)) or min(taken.values()) == 0:  # a pod that has just begun is counted as nothing
        assert time.monotonic() < deadline, f"the kubelet does not say what every pod takes: {taken}"
        time.sleep(5)
    say("MiB by pod: " + ", ".join(f"{name} {size:.0f}" for name, size in sorted(taken.items())))
    say(f"in all {sum(taken.values()):.0f} MiB")
    parts = {name.removeprefix("trainyard-").partition("-")[0] for name in taken}
    assert parts >= {"prefect", "mlflow", "worker", "minio", "git"}
    assert sum(taken.values()) <= IDLE * 1024


def test_the_namespace_refuses_a_privileged_pod_and_has_refused_none_of_the_platforms(cluster: Platform) -> None:
    privileged = {"name": "root", "image": "debian:trixie-slim", "securityContext": {"privileged": True}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root"}, "spec": {"containers": [privileged]}}
    with pytest.raises(CommandFailed, match='violates PodSecurity "restricted:latest": privileged'):
        cluster.kubectl("create", "--filename=-", stdin=json.dumps(pod))

    (found,) = cluster.get("namespaces/trainyard")
    refused = [event["message"] for event in cluster.get("events") if "PodSecurity" in event.get("message", "")]
    phases = {
        each["metadata"]["name"]: each["status"]["phase"] for each in cluster.get("pods", f"--selector={PLATFORM}")
    }
    assert found["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert refused == []
    assert len(phases) >= 5
    assert set(phases.values()) <= {"Running", "Succeeded"}
