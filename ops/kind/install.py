"""The platform in the cluster: its namespace, the chart, the git server."""

import json
from collections.abc import Mapping
from pathlib import Path
from string import Template

from ops.chart import forget_pending
from ops.kind import access, diagnosis
from ops.kind.cluster import NAMESPACE, RELEASE, Cluster, ports
from ops.kind.tools import CommandFailed, KindError

CHART = "infra/helm/trainyard"
VALUES = (f"{CHART}/values-laptop.yaml", "infra/kind/values.yaml")
PATIENCE = "5m"
"""How long the platform may take to be ready; on two cores it takes less than one."""
POD_SECURITY = {
    f"pod-security.kubernetes.io/{mode}{what}": value
    for mode in ("enforce", "warn", "audit")
    for what, value in (("", "restricted"), ("-version", "latest"))
}


def namespace(cluster: Cluster) -> None:
    """The namespace, which refuses pods that are not held to the restricted Pod Security standard."""
    wanted = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": POD_SECURITY},
    }
    cluster.kubectl("apply", "--filename=-", stdin=json.dumps(wanted))


def chart(cluster: Cluster, root: Path, images: Mapping[str, str]) -> None:
    """Install or upgrade the chart and wait until all of it is ready. Raises ``KindError`` with what is not."""
    forget_pending(cluster.kubectl, RELEASE)
    files = [f"--values={root / name}" for name in VALUES]
    wait = ("--wait", "--wait-for-jobs", f"--timeout={PATIENCE}")
    try:
        cluster.helm("upgrade", "--install", RELEASE, str(root / CHART), *files, *_given(cluster, images), *wait)
    except CommandFailed as error:
        raise KindError(f"the platform does not come up. {error}\n{diagnosis.of(cluster)}") from error


def git_server(cluster: Cluster, root: Path, image: str) -> None:
    """The git server, answering. Raises ``KindError`` with what is in its way."""
    manifest = Template((root / "infra/kind/git-server.yaml").read_text()).substitute(image=image)
    cluster.kubectl("apply", "--filename=-", stdin=manifest)
    try:
        cluster.kubectl("rollout", "status", "deployment/git", "--timeout=120s")
    except CommandFailed as error:
        raise KindError(f"the git server does not come up. {error}\n{diagnosis.of(cluster)}") from error


def _given(cluster: Cluster, images: Mapping[str, str]) -> list[str]:
    """The values that are known only here: images, and the addresses on this machine."""
    urls = access.urls(ports(cluster))
    values = {f"images.{name}": reference for name, reference in images.items()}
    values |= {"prefect.url": urls["prefect"], "mlflow.url": urls["mlflow"]}
    return [f"--set-string={key}={value}" for key, value in values.items()]
