"""The chart: where it is, which values files are installed together, the oldest Kubernetes it is for, and Helm."""

import re
import shutil
from pathlib import Path

import yaml

CHART = Path("infra/helm/trainyard")


def helm() -> str | None:
    """The path of Helm; None where it is not on PATH."""
    return shutil.which("helm")


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
