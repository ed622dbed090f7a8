"""Every pod of the chart, and of the flow runs it starts, is one that a restricted namespace takes."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.platform import chart, flow_run_job, pod_security
from tests.platform.chart import Object, every_case, quantity, requires_helm
from tests.platform.test_chart_job import DEPLOYMENTS, variables
from tests.platform.test_kind import pod_spec

pytestmark = requires_helm

WORKER, RECONCILE = "Deployment/trainyard-worker", "CronJob/trainyard-reconcile"
KIND = {"cpu": "950m", "memory": "290Mi"}
"""What Kubernetes' own pods ask for on a node of kind."""
GOOD: dict[str, Any] = {
    "enableServiceLinks": False,
    "automountServiceAccountToken": False,
    "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {
            "name": "one",
            "image": "registry.example.org:5000/one:1.2",
            "imagePullPolicy": "IfNotPresent",
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "env": [{"name": "A", "value": "1"}],
            "ports": [{"containerPort": 1}],
            "livenessProbe": {"httpGet": {"path": "/", "port": 1}},
            "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
            "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],
        }
    ],
    "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}}],
}


def pods(case: str) -> dict[str, Object]:
    """Every pod of a case, those of flow runs with no and with every job variable among them."""
    objects = chart.case(case)
    runs = {"the least": flow_run_job.PAIR, "everything": flow_run_job.EVERY_VARIABLE}
    jobs = {name: flow_run_job.job(objects, variables) for name, variables in runs.items()}
    return dict(objects.pods()) | {
        f"a run that gives {name}": job["spec"]["template"]["spec"] for name, job in jobs.items()
    }


@every_case
def test_every_pod_keeps_the_restricted_standard(case: str) -> None:
    faults = {name: found for name, pod in pods(case).items() if (found := pod_security.restricted(pod))}

    assert faults == {}


@every_case
def test_every_pod_is_bounded_and_holds_no_more_than_it_needs(case: str) -> None:
    faults = {name: found for name, pod in pods(case).items() if (found := pod_security.house(pod))}

    assert faults == {each: ["holds a token of its service account"] for each in (WORKER, RECONCILE)}


def test_the_pods_are_those_of_the_platform_its_bootstrap_its_test_and_its_runs() -> None:
    assert set(pods("laptop")) == {
        "Deployment/trainyard-prefect",
        "Deployment/trainyard-mlflow",
        "Deployment/trainyard-minio",
        WORKER,
        RECONCILE,
        "Job/trainyard-bootstrap-1",
        "Pod/trainyard-test",
        "a run that gives the least",
        "a run that gives everything",
    }


def test_a_laptops_cluster_of_two_cores_and_four_gibibytes_has_room_for_all_that_may_be_there_at_once() -> None:
    objects = chart.case("kind")
    runs = [name for name, entry in DEPLOYMENTS.items() if entry.config["work_pool"].get("work_queue_name") is None]
    largest = {kind: max(asked(run_of(name), kind) for name in runs) for kind in KIND}
    at_once = {name: pod for name, pod in objects.pods() if name.startswith(("Deployment/", "Job/", RECONCILE))}
    at_once |= {"git": pod_spec(), "promote": run_of("promote/trip-duration")}

    wanted = {
        kind: quantity(KIND[kind])
        + sum(asked(pod, kind) for pod in at_once.values())
        + largest[kind] * objects.configuration()["pool"]["concurrency"]
        for kind in KIND
    }

    assert len(at_once) == 8
    assert wanted["cpu"] <= 2
    assert wanted["memory"] <= quantity("4Gi")


def run_of(name: str) -> Object:
    """The pod of a run of a deployment of ``prefect.yaml``, on a kind cluster."""
    job = flow_run_job.job(chart.case("kind"), variables(DEPLOYMENTS[name]))
    pod: Object = job["spec"]["template"]["spec"]
    return pod


def asked(pod: Object, kind: str) -> float:
    """What a pod requests: its containers at once, or one of those that run first, where that asks for more."""
    first = [quantity(each["resources"]["requests"][kind]) for each in pod.get("initContainers", [])]
    return max(sum(quantity(each["resources"]["requests"][kind]) for each in pod["containers"]), *first, 0)


def edited(change: Callable[[Any, Any], object]) -> Object:
    pod = copy.deepcopy(GOOD)
    change(pod, pod["containers"][0])
    return pod


def test_a_pod_that_keeps_every_rule_has_no_fault() -> None:
    assert pod_security.restricted(GOOD) + pod_security.house(GOOD) == []


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("hostNetwork is on", lambda pod, one: pod.update(hostNetwork=True)),
        ("hostPID is on", lambda pod, one: pod.update(hostPID=True)),
        ("sysctls is set", lambda pod, one: pod["securityContext"].update(sysctls=[{"name": "a", "value": "b"}])),
        ("AppArmor is off", lambda pod, one: pod["securityContext"].update(appArmorProfile={"type": "Unconfined"})),
        ("volume node is a hostPath", lambda pod, one: pod["volumes"].append({"name": "node", "hostPath": {}})),
        ("one: may gain privileges", lambda pod, one: one["securityContext"].pop("allowPrivilegeEscalation")),
        ("one: may gain privileges", lambda pod, one: one["securityContext"].update(privileged=True)),
        ("one: may run as root", lambda pod, one: pod["securityContext"].pop("runAsNonRoot")),
        ("one: may run as root", lambda pod, one: one["securityContext"].update(runAsNonRoot=False)),
        ("one: runs as root", lambda pod, one: one["securityContext"].update(runAsUser=0)),
        ("one: has no seccomp profile", lambda pod, one: pod["securityContext"].pop("seccompProfile")),
        ("one: keeps capabilities", lambda pod, one: one["securityContext"].pop("capabilities")),
        ("one: keeps capabilities", lambda pod, one: one["securityContext"]["capabilities"].update(add=["SYS_ADMIN"])),
        ("one: sees the whole of /proc", lambda pod, one: one["securityContext"].update(procMount="Unmasked")),
        ("one: takes port 80 of the node", lambda pod, one: one["ports"].append({"hostPort": 80})),
        ("one: is probed at another host", lambda pod, one: one["livenessProbe"]["httpGet"].update(host="10.0.0.1")),
    ],
)
def test_a_pod_that_breaks_the_restricted_standard_is_found(fault: str, change: Callable[[Any, Any], object]) -> None:
    assert pod_security.restricted(edited(change)) == [fault]


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("finds the namespace's Services in its environment", lambda pod, one: pod.pop("enableServiceLinks")),
        ("holds a token of its service account", lambda pod, one: pod.pop("automountServiceAccountToken")),
        ("volume scratch has no limit", lambda pod, one: pod["volumes"][0].update(emptyDir={})),
        ("one: has no user by number", lambda pod, one: pod["securityContext"].pop("runAsUser")),
        ("one: may write to its root", lambda pod, one: one["securityContext"].pop("readOnlyRootFilesystem")),
        ("one: image one:latest has no fixed tag or digest", lambda pod, one: one.update(image="one:latest")),
        ("one: image host:80/one has no fixed tag or digest", lambda pod, one: one.update(image="host:80/one")),
        ("one: pulls its image though it is there", lambda pod, one: one.update(imagePullPolicy="Always")),
        ("one: requests no cpu", lambda pod, one: one["resources"]["requests"].pop("cpu")),
        ("one: requests no memory", lambda pod, one: one["resources"]["requests"].pop("memory")),
        ("one: has no limit of memory", lambda pod, one: one["resources"].pop("limits")),
        ("one: A is set twice", lambda pod, one: one["env"].append({"name": "A", "value": "2"})),
        ("one: mounts data, which is no volume", lambda pod, one: one["volumeMounts"].append({"name": "data"})),
    ],
)
def test_a_pod_that_breaks_a_rule_of_the_house_is_found(fault: str, change: Callable[[Any, Any], object]) -> None:
    assert pod_security.house(edited(change)) == [fault]


@pytest.mark.parametrize("place", ["initContainers", "ephemeralContainers"])
def test_containers_that_run_first_or_are_added_are_judged_as_well(place: str) -> None:
    pod = edited(lambda pod, one: pod.update({place: [{"name": "two", "image": "two"}]}))

    assert any(fault.startswith("two: ") for fault in pod_security.restricted(pod))
    assert any(fault.startswith("two: ") for fault in pod_security.house(pod))
