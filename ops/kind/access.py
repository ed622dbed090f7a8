"""The doors of the platform on this machine, and the keys to them, which stay in memory."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops.environment import client_settings, without_foreign
from ops.kind.cluster import RELEASE, Cluster, Ports, ports
from ops.kind.tools import CommandFailed, KindError


@dataclass(frozen=True)
class Access:
    """Where the platform is reached from this machine. ``keys`` holds the secret part of the environment."""

    prefect: str
    mlflow: str
    s3: str
    bucket: str
    prefix: str
    keys: Mapping[str, str] = field(repr=False)

    def settings(self, cluster: Cluster) -> dict[str, str]:
        """What points kubectl, prefect, mlflow and S3 clients at the platform."""
        return {
            **client_settings(),
            **self.keys,
            "KUBECONFIG": str(cluster.kubeconfig),
            "AWS_ENDPOINT_URL": self.s3,
            "AWS_CONFIG_FILE": str(cluster.state / "aws-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(cluster.state / "aws-credentials"),
            "MLFLOW_TRACKING_URI": self.mlflow,
            # Else its clients are sent to the S3 server, by the address it has in the cluster.
            "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
            "PREFECT_HOME": str(cluster.state / "prefect"),
            "PREFECT_API_URL": f"{self.prefect}/api",
            "TRAINYARD_LAKE_BUCKET": self.bucket,
            "TRAINYARD_LAKE_PREFIX": self.prefix,
        }

    def environment(self, cluster: Cluster, root: Path) -> dict[str, str]:
        """The environment of a command that works on the platform: this one's, less what would lead it elsewhere."""
        return {**without_foreign(cluster.env()), "PYTHONPATH": str(root), **self.settings(cluster)}


def find(cluster: Cluster) -> Access:
    """Ask the cluster. Raises ``KindError`` where the platform is not installed."""
    names = [f"secret/{RELEASE}-{what}" for what in ("prefect-auth", "mlflow-auth", "lake")]
    try:
        found = cluster.kubectl("get", "--output=json", *names, f"configmap/{RELEASE}-jobs")
    except CommandFailed as error:
        raise KindError(f"the platform is not installed in {cluster.name}: make kind-up. {error}") from error
    return read(json.loads(found)["items"], ports(cluster))


def urls(host: Ports) -> dict[str, str]:
    """The addresses on this machine, by name."""
    return {name: f"http://127.0.0.1:{getattr(host, name)}" for name in ("prefect", "mlflow", "minio")}


def git_url(cluster: Cluster) -> str:
    """The git server's address on this machine."""
    return f"git://127.0.0.1:{ports(cluster).git}/trainyard.git"


def read(objects: list[dict[str, Any]], host: Ports) -> Access:
    """The same from the Secrets and the ConfigMap of the flow runs."""
    data = {item["metadata"]["name"].removeprefix(f"{RELEASE}-"): item for item in objects}
    prefect, mlflow, lake = (_decoded(data[name]) for name in ("prefect-auth", "mlflow-auth", "lake"))
    jobs, url = data["jobs"]["data"], urls(host)
    keys = {
        "PREFECT_API_AUTH_STRING": prefect["auth-string"],
        "MLFLOW_TRACKING_USERNAME": mlflow["username"],
        "MLFLOW_TRACKING_PASSWORD": mlflow["password"],
        "AWS_ACCESS_KEY_ID": lake["AWS_ACCESS_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": lake["AWS_SECRET_ACCESS_KEY"],
    }
    bucket, prefix = jobs["TRAINYARD_LAKE_BUCKET"], jobs["TRAINYARD_LAKE_PREFIX"]
    return Access(url["prefect"], url["mlflow"], url["minio"], bucket, prefix, keys)


def _decoded(secret: dict[str, Any]) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
