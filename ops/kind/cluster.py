"""The kind cluster of a checkout, with a kubeconfig of its own: the user's is neither read nor changed."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template

from ops import ports as free_ports
from ops.command import alone
from ops.kind.tools import CommandFailed, KindError, run

NAMESPACE = "trainyard"
RELEASE = "trainyard"
_USERS = ("KUBE", "HELM_", "KIND_CLUSTER")
"""How the variables begin by which a user's shell leads kubectl, helm and kind to another cluster."""


@dataclass(frozen=True)
class Ports:
    """A number for each door of the platform: on the node (``NODE_PORTS``), or on this machine's loopback."""

    prefect: int
    mlflow: int
    minio: int
    git: int


NODE_PORTS = Ports(prefect=30420, mlflow=30500, minio=30900, git=30418)
PREFERRED = Ports(prefect=4210, mlflow=5010, minio=9010, git=9418)


@dataclass(frozen=True)
class Cluster:
    """A cluster of one node and the git-ignored folder with what this machine keeps of it."""

    name: str
    state: Path

    @property
    def node(self) -> str:
        """The container that is the node."""
        return f"{self.name}-control-plane"

    @property
    def kubeconfig(self) -> Path:
        """The only kubeconfig anything here reads or writes."""
        return self.state / "kubeconfig"

    def env(self, base: Mapping[str, str] = os.environ) -> dict[str, str]:
        """The environment of kubectl and helm: they know this cluster only, and keep their caches with it."""
        own = {name: value for name, value in base.items() if not name.startswith(_USERS)}
        helm = {f"HELM_{what}_HOME": str(self.state / "helm" / what.lower()) for what in ("CACHE", "CONFIG", "DATA")}
        return {**own, **helm, "KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": str(self.state / "kube-cache")}

    def kubectl(self, *argv: str, stdin: str | None = None, namespace: str = NAMESPACE) -> str:
        """Run kubectl in a namespace. Raises ``CommandFailed``."""
        where = ("--kubeconfig", str(self.kubeconfig), "--namespace", namespace)
        return run(["kubectl", *argv[:1], *where, *argv[1:]], env=self.env(), stdin=stdin)

    def helm(self, *argv: str) -> str:
        """Run helm in the platform's namespace. Raises ``CommandFailed``."""
        where = ("--kubeconfig", str(self.kubeconfig), "--namespace", NAMESPACE)
        return run(["helm", *argv[:1], *where, *argv[1:]], env=self.env())


def of(root: Path, name: str | None = None, state: Path | None = None) -> Cluster:
    """The cluster of a checkout; its name holds a digest of the path, so that two checkouts have two clusters."""
    own = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:6]
    return Cluster(name or f"trainyard-{own}", state or root / ".trainyard" / "kind")


@contextlib.contextmanager
def exclusive(cluster: Cluster) -> Iterator[None]:
    """Held by the one command that changes the cluster; raises ``KindError`` while another holds it."""
    cluster.state.mkdir(parents=True, exist_ok=True)
    refusal = KindError("another make kind-up, kind-deploy, kind-demo or kind-down is at work here: wait for it.")
    with alone(cluster.state.with_suffix(".lock"), refusal):
        yield


def exists(cluster: Cluster) -> bool:
    """Whether the cluster is there, running or stopped."""
    return cluster.name in run(["kind", "get", "clusters"]).split()


def require(cluster: Cluster) -> None:
    """Raises ``KindError`` where the cluster is not there or stopped."""
    if not exists(cluster):
        raise KindError(f"there is no cluster {cluster.name}. Make it: make kind-up")
    if not _runs(cluster):
        raise KindError(f"the cluster {cluster.name} is stopped. Start it: make kind-up")


def create(cluster: Cluster, root: Path, image: str | None) -> None:
    """Make the cluster, from ``infra/kind/cluster.yaml`` and, where given, another node image than kind's own.

    Where that fails or is interrupted nothing of it stays: kind takes a node that is half made for a cluster.
    """
    cluster.state.mkdir(parents=True, exist_ok=True)
    config = Template((root / "infra/kind/cluster.yaml").read_text()).substitute(asdict(free()))
    other = ("--image", image) if image else ()
    where = ("--name", cluster.name, "--kubeconfig", str(cluster.kubeconfig))
    try:
        run(["kind", "create", "cluster", *where, "--config", "-", *other], env=cluster.env(), stdin=config)
    except BaseException:
        with contextlib.suppress(CommandFailed):  # what stopped it is told, not that this failed as well
            delete(cluster)
        raise


def revive(cluster: Cluster) -> None:
    """Start a node that was stopped, e.g. with the machine, and write the kubeconfig anew."""
    if not _runs(cluster):
        run(["docker", "start", cluster.node])
    where = ("--name", cluster.name, "--kubeconfig", str(cluster.kubeconfig))
    run(["kind", "export", "kubeconfig", *where], env=cluster.env())


def delete(cluster: Cluster) -> bool:
    """Delete the cluster with all that is on it; False where there was none."""
    there = exists(cluster)
    where = ("--name", cluster.name, "--kubeconfig", str(cluster.kubeconfig))
    run(["kind", "delete", "cluster", *where], env=cluster.env())
    return there


def ports(cluster: Cluster) -> Ports:
    """The ports of this machine that lead to the platform, as the node was made with."""
    bound = run(["docker", "inspect", "--format", "{{json .HostConfig.PortBindings}}", cluster.node])
    return bindings(json.loads(bound))


def bindings(bound: Mapping[str, list[dict[str, str]]]) -> Ports:
    """The same from what Docker says of the node."""
    return Ports(**{name: int(bound[f"{port}/tcp"][0]["HostPort"]) for name, port in asdict(NODE_PORTS).items()})


def free() -> Ports:
    """For each door the first port of this machine that nobody listens on. Raises ``KindError``."""
    chosen: dict[str, int] = {}
    for name, port in asdict(PREFERRED).items():
        try:
            chosen[name] = free_ports.next_free(port, chosen.values())
        except OSError as error:
            raise KindError(f"{name} finds no port: {error}. End what uses them and try again.") from error
    return Ports(**chosen)


def _runs(cluster: Cluster) -> bool:
    try:
        return run(["docker", "inspect", "--format", "{{.State.Running}}", cluster.node]).strip() == "true"
    except CommandFailed as error:
        raise KindError(f"the cluster {cluster.name} has lost its node: make kind-down, then make kind-up") from error
