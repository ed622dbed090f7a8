"""What can be read of a cluster by whoever may not read Secrets: objects, logs, what Helm and the servers keep."""

import base64
import gzip
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import yaml
from mlflow import MlflowClient
from prefect.client.orchestration import SyncPrefectClient, get_client

from flows.ml.lake import connect
from flows.ml.lake_errors import ObjectMissing
from ops.kind.cluster import Cluster
from ops.kind.tools import CommandFailed
from tests.cluster.leaks import Text, text

PAGE = 200
FILTERS = (
    "artifacts",
    "automations",
    "block_documents",
    "concurrency_limits",
    "deployments",
    "flow_runs",
    "flows",
    "logs",
    "task_runs",
    "v2/concurrency_limits",
    "variables",
    "work_pools",
    "work_pools/kubernetes/workers",
    "work_queues",
)
"""What Prefect lists, a page at a time."""

Object = dict[str, Any]


def of_kubernetes(place: Cluster) -> Iterator[Text]:
    """Every object of every kind in every namespace; of Secrets all but what they hold."""
    kinds = place.kubectl("api-resources", "--verbs=list", "--output=name").split()
    listed = place.kubectl("get", ",".join(kinds), "--all-namespaces", "--output=json", "--show-managed-fields")
    for found in json.loads(listed)["items"]:
        found.pop("data" if found["kind"] == "Secret" else "", None)
        yield text(found["kind"], _name(found), found)


def of_logs(place: Cluster) -> Iterator[Text]:
    """The logs of every container of every pod that is there, those before a restart among them.

    Raises ``CommandFailed`` where one that has a log is not to be read: what is not searched holds no secret.
    """
    pods = json.loads(place.kubectl("get", "pods", "--all-namespaces", "--output=json"))["items"]
    asked = [
        (pod, container["name"], previous)
        for pod in pods
        for kind in ("initContainerStatuses", "containerStatuses")
        for container in pod["status"].get(kind, [])
        if container["restartCount"] or "waiting" not in container["state"]  # else it has not begun, and has no log
        for previous in ([False, True] if container["restartCount"] else [False])
    ]

    def log(each: tuple[Object, str, bool]) -> str:
        pod, container, previous = each
        where = (pod["metadata"]["name"], f"--container={container}", f"--previous={str(previous).lower()}")
        try:
            return place.kubectl("logs", *where, namespace=pod["metadata"]["namespace"])
        except CommandFailed:
            if _stays(place, pod):
                raise
            return ""

    with ThreadPoolExecutor(4) as threads:
        for (pod, container, _), said in zip(asked, threads.map(log, asked), strict=True):
            yield Text("log", f"{_name(pod)}/{container}", said)


def _stays(place: Cluster, pod: Object) -> bool:
    """Whether a pod is still there, and not about to go: one that goes has no log from some moment on."""
    meta = pod["metadata"]
    asked = ("--ignore-not-found", "--output=jsonpath={.metadata.uid} {.metadata.deletionTimestamp}")
    return place.kubectl("get", "pod", meta["name"], *asked, namespace=meta["namespace"]).split() == [meta["uid"]]


def of_helm(place: Cluster) -> Iterator[Text]:
    """What ``helm get`` shows of each revision of each release, but for the Secrets among its objects.

    The passwords that the chart makes are in the release's own record, as everything is that the chart makes. That
    record is a Secret in the same namespace: who may read it may read the Secrets themselves.
    """
    kept = place.kubectl("get", "secrets", "--all-namespaces", "--field-selector=type=helm.sh/release.v1", "-o", "json")
    for found in json.loads(kept)["items"]:
        record = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(found["data"]["release"]))))
        yield text("Helm's notes", _name(found), record["info"])
        yield text("Helm's values", _name(found), record.get("config"))
        hooks = "\n---\n".join(hook["manifest"] for hook in record.get("hooks") or [])
        objects = [each for each in yaml.safe_load_all(f"{record['manifest']}\n---\n{hooks}") if each]
        yield text("Helm's manifest", _name(found), [each for each in objects if each["kind"] != "Secret"])


def of_prefect(name: str) -> Iterator[Text]:
    """What the API gives out that the environment leads to, secret fields of blocks among it."""
    with get_client(sync_client=True) as client:
        for kind in FILTERS:
            yield text(f"Prefect's {kind}", name, list(_listed(client, kind)))
        yield text("Prefect's events", name, list(_events(client)))
        yield text("Prefect's settings", name, client._client.get("/admin/settings").json())


def of_mlflow(name: str) -> Iterator[Text]:
    """Experiments, runs with their parameters and tags, models and versions."""
    client = MlflowClient()
    experiments = client.search_experiments()
    yield text("MLflow's experiments", name, [vars(each) for each in experiments])
    runs = client.search_runs([each.experiment_id for each in experiments], max_results=1000)
    yield text("MLflow's runs", name, [each.to_dictionary() for each in runs])
    yield text("MLflow's models", name, [vars(each) for each in client.search_registered_models()])
    yield text("MLflow's versions", name, [vars(each) for each in client.search_model_versions()])


def of_lake(name: str) -> Iterator[Text]:
    """Every object of the bucket but for the public months: task results, manifests, records, models.

    What a smoke run writes it takes away again, maybe in between.
    """
    lake = connect("trainyard")
    for key in sorted(lake.keys()):
        if not key.startswith("examples/"):
            with suppress(ObjectMissing):
                yield Text("lake", f"{name}/{key}", lake.get(key).decode("latin-1"))


def _listed(client: SyncPrefectClient, kind: str) -> Iterator[Object]:
    offset, secret = 0, {"include_secrets": True} if kind == "block_documents" else {}
    while True:
        page = client._client.post(f"/{kind}/filter", json={"limit": PAGE, "offset": offset, **secret}).json()
        yield from page
        if len(page) < PAGE:
            return
        offset += PAGE


def _events(client: SyncPrefectClient) -> Iterator[Object]:
    page = client._client.post("/events/filter", json={"limit": 50, "filter": {}}).json()
    while True:
        yield from page["events"]
        if not page.get("next_page"):
            return
        page = client._client.get(page["next_page"].partition("/api")[2]).json()


def _name(found: Object) -> str:
    return f"{found['metadata'].get('namespace', '')}/{found['metadata']['name']}"
