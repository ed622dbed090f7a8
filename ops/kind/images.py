"""The images on the node: what is not there yet is loaded from this machine's Docker, so that nothing is pulled."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from ops import images as project
from ops.kind.cluster import Cluster
from ops.kind.tools import CommandFailed, run


def own(root: Path) -> dict[str, str]:
    """The references of the project's images by their names: flows, server, mlflow."""
    return {image.name: image.reference for image in project.images(root)}


def others(root: Path) -> tuple[str, ...]:
    """The images of others that the platform runs on a laptop."""
    values = yaml.safe_load((root / "infra/helm/trainyard/values.yaml").read_text())
    return (values["minio"]["image"],)


def loadable(references: Iterable[str]) -> list[str]:
    """Those this machine's Docker has. The node pulls the rest itself."""
    return [reference for reference in references if _is_here(reference)]


def lacking(cluster: Cluster, references: Iterable[str]) -> list[str]:
    """Those the node has not."""
    there = set(run(["docker", "exec", cluster.node, "ctr", "--namespace=k8s.io", "images", "list", "--quiet"]).split())
    return [reference for reference in references if full(reference) not in there]


def pack(references: Sequence[str], archive: Path) -> None:
    """One archive of images; layers they share are in it once."""
    run(["docker", "save", f"--output={archive}", *references])


def load(cluster: Cluster, archive: Path) -> None:
    """Bring the images of an archive to the node."""
    run(["kind", "load", "image-archive", "--name", cluster.name, str(archive)], env=cluster.env())


def full(reference: str) -> str:
    """A reference as containerd keeps it: with the registry, Docker Hub where none is named."""
    first, slash, _ = reference.partition("/")
    if not slash:
        return f"docker.io/library/{reference}"
    return reference if "." in first or ":" in first or first == "localhost" else f"docker.io/{reference}"


def _is_here(reference: str) -> bool:
    try:
        run(["docker", "image", "inspect", "--format", "{{.Id}}", reference])
    except CommandFailed:
        return False
    return True
