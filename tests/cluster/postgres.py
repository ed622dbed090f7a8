"""A Postgres in a namespace of the cluster, with a certificate of an authority of its own."""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.kind import images
from tests.cluster.platform import Platform
from tests.integration.postgres import IMAGE, certificates
from tests.platform.chart import Object

NAME = "database"
PASSWORD = "owner-of-the-cluster's-database"


@dataclass(frozen=True)
class Postgres:
    """Where it is in the cluster; ``authority`` is the certificate of who has signed its own, in PEM."""

    platform: Platform
    namespace: str
    authority: bytes

    @property
    def host(self) -> str:
        """Its name within the cluster."""
        return f"{NAME}.{self.namespace}.svc"

    def ask(self, database: str, statement: str) -> str:
        """What a statement gives, asked by the superuser. Raises ``CommandFailed``."""
        asked = ("psql", "-U", "postgres", "-d", database, "-Atc", statement)
        return self.platform.place.kubectl("exec", NAME, "--", *asked, namespace=self.namespace).strip()

    def takes(self, user: str, password: str, database: str) -> bool:
        """Whether it lets a user with that password into a database, asked over the network."""
        asked = f'PGPASSWORD={password} psql -h "$(hostname -i)" -U {user} -d {database} -Atc "select 1" 2>&1 || true'
        said = self.platform.place.kubectl("exec", NAME, "--", "sh", "-c", asked, namespace=self.namespace)
        return said.strip() == "1"


def started(platform: Platform, namespace: str) -> Postgres:
    """One that answers. Skips where its image cannot be had."""
    _on_the_node(platform)
    authority, key, certificate = certificates(f"{NAME}.{namespace}.svc")
    tls = {"tls.key": key.decode(), "tls.crt": certificate.decode(), "password": PASSWORD}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME}, "stringData": tls}
    port = {"port": 5432, "targetPort": 5432}
    spec = {"selector": {"app": NAME}, "ports": [port]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME}, "spec": spec}
    objects = {"apiVersion": "v1", "kind": "List", "items": [secret, service, _pod()]}
    kubectl = platform.place.kubectl
    kubectl("create", "--filename=-", stdin=json.dumps(objects), namespace=namespace)
    kubectl("wait", f"pod/{NAME}", "--for=condition=Ready", "--timeout=300s", namespace=namespace)
    return Postgres(platform, namespace, authority)


def _pod() -> Object:
    tls = ["-c", "ssl=on", "-c", "ssl_cert_file=/tls/tls.crt", "-c", "ssl_key_file=/tls/tls.key"]
    password = {"secretKeyRef": {"name": NAME, "key": "password"}}
    container = {
        "name": "postgres",
        "image": IMAGE,
        "args": ["postgres", *tls],
        "env": [{"name": "POSTGRES_PASSWORD", "valueFrom": password}, {"name": "PGDATA", "value": "/data/main"}],
        "readinessProbe": {"exec": {"command": ["pg_isready", "-h", "127.0.0.1"]}, "periodSeconds": 2},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {"requests": {"cpu": "20m", "memory": "128Mi"}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "tls", "mountPath": "/tls"}],
    }
    user = {"runAsNonRoot": True, "runAsUser": 999, "runAsGroup": 999, "fsGroup": 999}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "labels": {"app": NAME}},
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": {**user, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": [
                {"name": "data", "emptyDir": {}},
                {"name": "tls", "secret": {"secretName": NAME, "defaultMode": 0o440}},
            ],
        },
    }


def _on_the_node(platform: Platform) -> None:
    if not images.lacking(platform.place, [IMAGE]):
        return
    if not images.loadable([IMAGE]):
        pulled = subprocess.run(["docker", "pull", "--quiet", IMAGE], capture_output=True, text=True, check=False)
        if pulled.returncode:
            pytest.skip(f"the image {IMAGE} is not here and cannot be pulled: {pulled.stderr.strip()[-200:]}")
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "postgres.tar"
        images.pack([IMAGE], archive)
        images.load(platform.place, archive)
