"""Volumes with databases that another version wrote, made before a release is installed that takes them over."""

import json
from typing import Any

from tests.cluster.release import Release
from tests.platform.chart import Object

EARLIER_PREFECT, EARLIER_MLFLOW = "2095de406cbe", "3500859a5d39"
"""Revisions of the schemas: Prefect's of May 2026, MLflow's of 2.3."""
NOT_YET = "ffffffffffff"
"""A revision that no version knows."""

EARLIER = {
    "prefect": f"""
import os, sqlite3, subprocess
os.environ["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = "sqlite+aiosqlite:////data/prefect.db"
subprocess.run(["prefect", "server", "database", "upgrade", "--yes", "--revision", "{EARLIER_PREFECT}"], check=True)
with sqlite3.connect("/data/prefect.db") as found:
    found.execute("insert into flow (name) values ('kept')")
""",
    "mlflow": f"""
import sqlite3
from alembic import command
from mlflow.store.db import utils
from mlflow.store.tracking.dbmodels.initial_models import Base
url = "sqlite:////data/mlflow.db"
Base.metadata.create_all(utils.create_sqlalchemy_engine(url))
command.upgrade(utils._get_alembic_config(url), "{EARLIER_MLFLOW}")
with sqlite3.connect("/data/mlflow.db") as found:
    columns = "experiment_id, name, lifecycle_stage, artifact_location"
    found.execute(f"insert into experiments ({{columns}}) values (7, 'kept', 'active', 's3://trainyard/mlflow/7')")
""",
}
LATER = {
    name: f"""
import sqlite3
with sqlite3.connect("/data/{name}.db") as found:
    found.execute("create table alembic_version (version_num varchar(32) not null)")
    found.execute("insert into alembic_version values ('{NOT_YET}')")
    found.execute("create table flow (name text)")
"""
    for name in ("prefect", "mlflow")
}


def write(release: Release, programs: dict[str, str]) -> None:
    """Begin to write the databases of the servers; ``await_written`` waits for the end."""
    objects = [
        each for name, program in programs.items() for each in (_volume(release, name), _pod(release, name, program))
    ]
    release.kubectl("create", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def await_written(release: Release, programs: dict[str, str]) -> None:
    """Return once they are written. Raises ``CommandFailed``."""
    pods = [f"pod/{release.name}-{name}-writer" for name in programs]
    release.kubectl("wait", *pods, "--for=jsonpath={.status.phase}=Succeeded", "--timeout=400s")
    release.kubectl("delete", *pods)


def _volume(release: Release, name: str) -> Object:
    """As Helm left it."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": f"{release.name}-{name}",
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": {
                "meta.helm.sh/release-name": release.name,
                "meta.helm.sh/release-namespace": release.namespace,
            },
        },
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def _pod(release: Release, name: str, program: str) -> Object:
    image = release.images()["server" if name == "prefect" else name]
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    user = {"runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001}
    container: dict[str, Any] = {
        "name": "writer",
        "image": image,
        "command": ["python3", "-c", program],
        "env": [{"name": "HOME", "value": "/tmp"}],
        "securityContext": security,
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{release.name}-{name}-writer"},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {**user, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": f"{release.name}-{name}"}}],
        },
    }
