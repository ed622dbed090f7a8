"""A secret put once at each kind of place that a search has to find it at, here and there in another form."""

import base64
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mlflow import MlflowClient
from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolUpdate

from flows.ml.lake import connect
from tests.cluster.release import Object, Release, release

IN_PREFECT = {
    "Prefect's artifacts",
    "Prefect's automations",
    "Prefect's block_documents",
    "Prefect's concurrency_limits",
    "Prefect's deployments",
    "Prefect's events",
    "Prefect's flow_runs",
    "Prefect's flows",
    "Prefect's logs",
    "Prefect's task_runs",
    "Prefect's v2/concurrency_limits",
    "Prefect's variables",
    "Prefect's work_pools",
    "Prefect's work_pools/kubernetes/workers",
    "Prefect's work_queues",
}
IN_MLFLOW = {"MLflow's experiments", "MLflow's runs", "MLflow's models", "MLflow's versions"}
IN_CLUSTER = {"ConfigMap", "Event", "Job", "Pod", "Secret", "log", "Helm's notes", "Helm's values", "Helm's manifest"}
PLACES = IN_PREFECT | IN_MLFLOW | IN_CLUSTER | {"lake"}


def in_servers(made: Release, secret: str) -> None:
    """Plant it in Prefect, MLflow and the lake of a release that is reached."""
    coded = base64.b64encode(f"Basic {secret}".encode()).decode()
    named = limit_name(secret)
    with made.client() as client:
        tagged = {"name": "planted", "tags": [quote(secret, safe="")]}
        flow_id = client._client.post("/flows/", json=tagged).raise_for_status().json()["id"]
        job_variables = {"image": "a:1", "env": {"A": coded}}
        deployment = client.create_deployment(flow_id, "planted", job_variables=job_variables)
        address = {"url": f"s3://user:{secret}@host"}
        run = client.create_flow_run_from_deployment(deployment, parameters=address, name=f"planted {secret}")
        client.update_work_pool("kubernetes", WorkPoolUpdate(description=coded))
        log = {"name": "planted", "level": 20, "message": coded, "flow_run_id": str(run.id)}
        trigger = {"type": "event", "posture": "Reactive", "expect": ["never"], "threshold": 1, "within": 0}
        given: dict[str, Any] = {
            "concurrency_limits/": {"tag": named, "concurrency_limit": 1},
            "v2/concurrency_limits/": {"name": named, "limit": 1},
            "variables/": {"name": "planted", "value": {"a": [secret]}},
            "artifacts/": {"key": "planted", "type": "markdown", "data": f"# {quote(secret, safe='')}"},
            "logs/": [{**log, "timestamp": run.created.isoformat() if run.created else None}],
            "work_pools/kubernetes/queues/": {"name": "planted", "description": coded},
            "work_pools/kubernetes/workers/heartbeat": {"name": secret},
            "task_runs/": {"flow_run_id": str(run.id), "task_key": "t", "dynamic_key": "0", "name": secret},
            "automations/": {
                "name": "planted",
                "description": secret,
                "trigger": trigger,
                "actions": [{"type": "do-nothing"}],
            },
        }
        for path, body in given.items():
            client._client.post(f"/{path}", json=body).raise_for_status()
        _wait_for_event(client, str(run.id))
    Secret(value=secret).save("planted")
    mlflow = MlflowClient()
    experiment = mlflow.create_experiment("planted", tags={"note": secret})
    mlflow.log_param(mlflow.create_run(experiment).info.run_id, "planted", coded)
    mlflow.create_registered_model("planted", description=secret)
    mlflow.create_model_version("planted", "s3://trainyard/none", tags={"note": secret})
    connect("trainyard").put_new("results/planted", json.dumps({"result": secret}).encode())


def limit_name(secret: str) -> str:
    """A secret in a name that Prefect takes of a limit: one without slashes, as some base64 of it has none."""
    codes = (base64.b64encode(b"." * shift + secret.encode()).decode() for shift in range(3))
    return next(code for code in codes if "/" not in code)


def _wait_for_event(client: SyncPrefectClient, run: str) -> None:
    """Prefect writes its events down some seconds after they are sent."""
    about = {"filter": {"any_resource": {"id": [f"prefect.flow-run.{run}"]}}}
    deadline = time.monotonic() + 60
    while not client._client.post("/events/filter", json=about).raise_for_status().json()["events"]:
        assert time.monotonic() < deadline, "Prefect wrote no event of the planted run down within 60 s"
        time.sleep(1)


def in_cluster(made: Release, secret: str, chart: Path) -> None:
    """Plant it among the objects of a namespace, in a log, and in what Helm keeps; a chart is written to ``chart``."""
    coded = base64.b64encode(secret.encode()).decode()
    meta = {"name": "planted", "namespace": made.namespace}
    about = {"apiVersion": "v1", "kind": "Namespace", "name": made.namespace, "namespace": made.namespace}
    objects: list[Object] = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": meta,
            "data": {"address": f"s3://a:{quote(secret)}@host"},
        },
        {"apiVersion": "v1", "kind": "Secret", "metadata": {**meta, "annotations": {"applied-before": coded}}},
        {"apiVersion": "v1", "kind": "Event", "metadata": meta, "involvedObject": about, "message": f"with {secret}"},
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"template": _pod(made, secret)}},
    ]
    made.kubectl("create", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    made.kubectl("wait", "job/planted", "--for=condition=complete", "--timeout=300s")
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("{apiVersion: v2, name: planted, version: 0.1.0}")
    (chart / "templates" / "NOTES.txt").write_text("Log in with {{ .Values.note }}")
    named = "{apiVersion: v1, kind: ConfigMap, metadata: {name: noted}, data: {note: {{ .Values.note | b64enc }}}}"
    (chart / "templates" / "noted.yaml").write_text(named)
    beside = release(made.platform, made.namespace, "planted")
    beside.helm("install", str(chart), f"--set-json=note={json.dumps(secret)}")


def _pod(made: Release, secret: str) -> Object:
    """A pod that says the secret, which is in its environment."""
    user = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    container = {
        "name": "planted",
        "image": made.images()["flows"],
        "command": ["sh", "-c", "echo the password is $SAID"],
        "env": [{"name": "SAID", "value": secret}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {"spec": {"restartPolicy": "Never", "securityContext": user, "containers": [container]}}
