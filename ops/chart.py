"""The chart: where it is, which values files are installed together, the oldest Kubernetes it is for, and Helm."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import yaml

CHART = Path("infra/helm/trainyard")


def helm() -> str | None:
    """The path of Helm; None where it is not on PATH."""
    return shutil.which("helm")


def forget_pending(kubectl: Callable[..., str], release: str) -> None:
    """Forget a revision of a release that was killed on its way: Helm refuses every later one. What it made stays.

    ``kubectl`` runs in the release's namespace. The Job of the revision goes as well, since the next one has its name.
    """
    begun = f"owner=helm,name={release},status in (pending-install,pending-upgrade,pending-rollback)"
    if kubectl("get", "secrets", f"--selector={begun}", "--output=name").split():
        kubectl("delete", "secrets", f"--selector={begun}")
        bootstrap = f"--selector=app.kubernetes.io/instance={release},app.kubernetes.io/component=bootstrap"
        kubectl("delete", "jobs", bootstrap, "--ignore-not-found")


def values_files(root: Path) -> dict[str, tuple[Path, ...]]:
    """The values files that are shipped, each with those it is laid upon, by the name of the profile.

    Every profile of the chart stands on the defaults alone; that of ``infra/kind`` stands on the laptop's.
    """
    chart, kind = root / CHART, root / "infra/kind/values.yaml"
    found: dict[str, tuple[Path, ...]] = {"default": ()}
    found |= {path.stem.removeprefix("values-"): (path,) for path in sorted(chart.glob("values-*.yaml"))}
    if kind.exists():
        found["kind"] = (chart / "values-laptop.yaml", kind)
    return found


def oldest_kubernetes(root: Path) -> str:
    """The oldest Kubernetes the chart says it is for, such as ``1.29.0``. Raises ``ValueError`` where it says none."""
    stated = str(yaml.safe_load((root / CHART / "Chart.yaml").read_text("utf-8")).get("kubeVersion", ""))
    if not (match := re.match(r">=\s*(\d+\.\d+\.\d+)", stated)):
        raise ValueError(f"{CHART}/Chart.yaml: kubeVersion is {stated!r}; it must begin with >= and a version")
    return match[1]
