"""What the service accounts of the namespace may do: asked of the API server, held to a written list."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ops.kind.tools import CommandFailed
from tests.cluster.platform import Platform
from tests.platform.chart import Object

pytestmark = pytest.mark.timeout(900)

EVERYONE = {
    "create selfsubjectaccessreviews.authorization.k8s.io",
    "create selfsubjectrulesreviews.authorization.k8s.io",
    "create selfsubjectreviews.authentication.k8s.io",
}
"""What Kubernetes lets everyone do: ask what oneself may do, and who one is."""
WORKER = {
    *(f"{verb} jobs.batch" for verb in ("create", "get", "list", "watch", "delete")),
    *(f"{verb} pods" for verb in ("get", "list", "watch")),
    "get pods/log",
}
MAY: dict[str, set[str]] = {
    "default": set(),  # the Prefect server, MinIO, the git server, `helm test`
    "trainyard-jobs": set(),  # flow runs, and the bootstrap Job
    "trainyard-deploy": set(),  # deploys that run in the cluster
    "trainyard-mlflow": set(),
    "trainyard-worker": WORKER,
    "trainyard-reconcile": {"list jobs.batch", "delete jobs.batch"},
}
WITH_TOKEN = {"worker", "reconcile"}
"""Components whose pods hold a token of their service account: the second has a pod only while it is at work."""
OTHER_NAMESPACES = ("default", "kube-system", "kube-public")


def rules(cluster: Platform, account: str, namespace: str) -> set[str]:
    """What an account may do in a namespace, as ``verb resource.group``; what everyone may is left out."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    who = ("--as", f"system:serviceaccount:trainyard:{account}", "--as-group=system:serviceaccounts")
    groups = ("--as-group=system:serviceaccounts:trainyard", "--as-group=system:authenticated")
    answer = json.loads(
        cluster.kubectl(
            "create", *who, *groups, "--output=json", "--validate=false", "--filename=-", stdin=json.dumps(review)
        )
    )
    status = answer["status"]
    assert not status["incomplete"], status
    return {each for rule in status["resourceRules"] for each in told(rule)} - EVERYONE


def told(rule: dict[str, Any]) -> Iterator[str]:
    """Each verb of a rule on each resource of it."""
    for verb in rule["verbs"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                named = f" {','.join(rule['resourceNames'])}" if rule.get("resourceNames") else ""
                yield f"{verb} {resource}{f'.{group}' if group else ''}{named}"


def may(cluster: Platform, account: str, verb: str, resource: str, *where: str) -> bool:
    """What ``kubectl auth can-i`` says for an account; it fails for a no."""
    who = f"--as=system:serviceaccount:trainyard:{account}"
    try:
        return cluster.kubectl("auth", "can-i", verb, resource, who, *where).strip() == "yes"
    except CommandFailed:
        return False


def holds_token(pod: Object) -> bool:
    """Whether a token of the API server is mounted in a pod."""
    sources = [each for volume in pod["spec"]["volumes"] for each in volume.get("projected", {}).get("sources", [])]
    return any("serviceAccountToken" in source for source in sources)


def test_every_service_account_of_the_namespace_is_on_the_list(cluster: Platform) -> None:
    assert {found["metadata"]["name"] for found in cluster.get("serviceaccounts")} == set(MAY)


@pytest.mark.parametrize("account", MAY)
def test_a_service_account_may_do_what_is_on_the_list_and_nothing_else(cluster: Platform, account: str) -> None:
    assert rules(cluster, account, "trainyard") == MAY[account]


@pytest.mark.parametrize("account", MAY)
@pytest.mark.parametrize("namespace", OTHER_NAMESPACES)
def test_no_service_account_may_do_anything_in_another_namespace(
    cluster: Platform, account: str, namespace: str
) -> None:
    assert rules(cluster, account, namespace) == set()


@pytest.mark.parametrize(
    ("verb", "resource", "answer"),
    [
        ("create", "jobs", True),
        ("get", "pods/log", True),
        ("get", "secrets", False),
        ("list", "secrets", False),
        ("get", "configmaps", False),
        ("create", "pods", False),
        ("create", "pods/exec", False),
        ("patch", "jobs", False),
        ("create", "serviceaccounts/token", False),
        ("create", "rolebindings", False),
        ("impersonate", "users", False),
        ("get", "nodes", False),
    ],
)
def test_the_worker_makes_jobs_and_reads_no_secret(cluster: Platform, verb: str, resource: str, answer: bool) -> None:
    assert may(cluster, "trainyard-worker", verb, resource) is answer


def test_the_worker_makes_no_job_and_reads_no_secret_elsewhere(cluster: Platform) -> None:
    asked = [("create", "jobs"), ("get", "secrets"), ("list", "pods")]

    assert [may(cluster, "trainyard-worker", *each, "--all-namespaces") for each in asked] == [False] * 3


def test_a_right_that_is_given_beside_the_chart_is_found(cluster: Platform) -> None:
    cluster.kubectl("create", "role", "planted", "--verb=get", "--resource=secrets")
    cluster.kubectl("create", "rolebinding", "planted", "--role=planted", "--serviceaccount=trainyard:trainyard-jobs")
    try:
        found = rules(cluster, "trainyard-jobs", "trainyard")
    finally:
        cluster.kubectl("delete", "rolebinding/planted", "role/planted")

    assert found == {"get secrets"}


def test_only_the_worker_and_the_reconcile_hold_a_token_of_the_api_server(cluster: Platform, undisturbed: None) -> None:
    run = cluster.start("smoke/platform")
    of_run = cluster.await_pod(run, 480)
    cluster.wait(run, 480)

    pods = [*cluster.get("pods"), of_run]
    components = {component(pod) for pod in pods}
    assert components >= {"prefect", "mlflow", "worker", "minio", "git", "job"}
    assert {component(pod) for pod in pods if holds_token(pod)} == WITH_TOKEN & components
    assert of_run["spec"]["serviceAccountName"] == "trainyard-jobs"


def component(pod: Object) -> str:
    """The part of the platform a pod is."""
    labels = pod["metadata"]["labels"]
    return str(labels.get("app.kubernetes.io/component") or labels.get("app.kubernetes.io/name"))
