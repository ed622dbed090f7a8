"""The chart as Helm renders it: for every values file that is shipped, and for values of a test's own."""

import functools
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops import chart

ROOT = Path(__file__).resolve().parents[2]
RELEASE = NAMESPACE = "trainyard"
IMAGES = {name: f"registry.example.org/trainyard/{name}:0123456789ab" for name in ("flows", "server", "mlflow")}
REQUIRED = {"images": IMAGES, "git": {"repository": "https://git.example.org/team/trainyard.git"}}
"""What no values file can know: it comes with the installation."""

EVERYTHING_ELSEWHERE = {
    "lake": {"bucket": "acme-lake", "prefix": "trainyard/eu", "existingSecret": "lake-keys"},
    "git": {"tokenSecret": "git-token"},
    "prefect": {"externalApiUrl": "https://prefect.example.org/api", "existingAuthSecret": "prefect-login"},
    "mlflow": {"externalUrl": "https://mlflow.example.org", "existingAuthSecret": "mlflow-login"},
    "images": {"pullSecrets": ["registry-login"]},
}
EVERY_OPTION = {
    "lake": {"endpoint": "http://s3.example.org:9000", "existingSecret": "lake-keys", "prefix": "trainyard"},
    "git": {"tokenSecret": "git-token"},
    "prefect": {
        "url": "https://prefect.example.org",
        "existingAuthSecret": "prefect-login",
        "noticeSecret": "notices",
        "rerunCrashed": False,
        "concurrencyLimits": {"tlc": 2},
        "variables": {"note": "hello", "limits": {"rows": 3}},
        "storage": {"className": "fast"},
        "service": {"nodePort": 31420},
    },
    "jobs": {"serviceAccountAnnotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/jobs"}},
    "deploy": {
        "environment": "production",
        "serviceAccountAnnotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/deploys"},
    },
    "reconcile": {
        "schedule": "0 */6 * * 1-5",
        "suspend": True,
        "keepDays": 30,
        "keepVersions": 5,
        "monthlyDays": 0,
        "webhookSecret": "alerts",
        "serviceAccountAnnotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/reconcile"},
    },
    "mlflow": {
        "url": "https://mlflow.example.org",
        "existingAuthSecret": "mlflow-login",
        "allowedHosts": ["mlflow.internal:8443"],
        "serviceAccountAnnotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/mlflow"},
        "storage": {"className": "fast"},
        "service": {"nodePort": 31500},
    },
    "images": {"pullSecrets": ["registry-login"]},
}
ON_POSTGRES = {
    "postgres": {
        "prefectSecret": "prefect-login",
        "mlflowSecret": "mlflow-login",
        "mlflowUsersSecret": "users-login",
        "ownerSecret": "owner-login",
        "caConfigMap": "database-authority",
    },
}
CASES: dict[str, tuple[str, Mapping[str, Any]]] = {
    **{name: (name, {}) for name in chart.values_files(ROOT)},
    "everything elsewhere": ("default", EVERYTHING_ELSEWHERE),
    "every option": ("default", EVERY_OPTION),
    "on postgres": ("default", ON_POSTGRES),
}
"""What is rendered: each profile, and what an installation may make of the defaults."""

requires_helm = pytest.mark.skipif(chart.helm() is None, reason="helm is not on PATH")
every_case = pytest.mark.parametrize("case", CASES)

Object = dict[str, Any]


class Refused(Exception):
    """What Helm said where it rendered nothing."""


@functools.cache
def case(name: str) -> "Objects":
    """A case of ``CASES``, rendered once."""
    profile, values = CASES[name]
    return render(values, profile)


def render(values: Mapping[str, Any], profile: str = "default", *, release: str = RELEASE) -> "Objects":
    """The objects of an installation: a profile, what every one needs, ``values``. Raises ``Refused``."""
    printed = template(values, profile, "--namespace", NAMESPACE, release=release)
    return Objects([found for found in yaml.safe_load_all(printed) if found])


def template(
    values: Mapping[str, Any],
    profile: str = "default",
    *options: str,
    release: str = RELEASE,
    folder: Path = ROOT / chart.CHART,
) -> str:
    """What `helm template` prints for a profile and ``values``. Raises ``Refused``."""
    program = chart.helm()
    assert program
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as own:
        json.dump(merged(REQUIRED, values), own)
        own.flush()
        files = [*map(str, chart.values_files(ROOT)[profile]), own.name]
        given = [option for file in files for option in ("--values", file)]
        version = ("--kube-version", chart.oldest_kubernetes(ROOT))
        command = [program, "template", release, str(folder), *version, *given, *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Two values files laid upon each other, as Helm does it."""
    both = {key: merged(first[key], second[key]) for key in first.keys() & second if isinstance(second[key], Mapping)}
    return {**first, **second, **both}


class Objects(list[Object]):
    """The objects of an installation."""

    def of(self, kind: str) -> list[Object]:
        """Those of a kind."""
        return [found for found in self if found["kind"] == kind]

    def one(self, kind: str, name: str) -> Object:
        """The object of a kind whose name ends so."""
        (found,) = (found for found in self.of(kind) if found["metadata"]["name"].endswith(name))
        return found

    def pods(self) -> Iterator[tuple[str, Object]]:
        """The pods of the installation, each as its owner's kind and name with its specification."""
        for found in self:
            own = found.get("spec", {})
            spec = found if found["kind"] == "Pod" else own.get("jobTemplate", {}).get("spec", own).get("template")
            if spec:
                yield f"{found['kind']}/{found['metadata']['name']}", spec["spec"]

    def configuration(self) -> Object:
        """What the bootstrap Job applies."""
        applied: Object = yaml.safe_load(self.one("ConfigMap", "-bootstrap")["data"]["configuration.yaml"])
        return applied


def notes(values: Mapping[str, Any], profile: str = "default", *options: str) -> str:
    """What Helm prints once the chart is installed. It renders that for nobody: a copy of the chart has it in."""
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(ROOT / chart.CHART, Path(folder) / chart.CHART.name)
        (copy / "templates" / "shown.yaml").write_text(
            'notes: {{ include (print $.Template.BasePath "/NOTES.txt") . | toJson }}\n'
        )
        shown = ("--show-only", "templates/shown.yaml", "--namespace", NAMESPACE)
        printed = template(values, profile, *shown, *options, folder=copy)
    return str(yaml.safe_load(printed)["notes"])


def quantity(text: str) -> float:
    """A quantity of Kubernetes, in processors or bytes."""
    found = re.fullmatch(r"([0-9.]+)(m|Mi|Gi|)", text)
    assert found, text
    return float(found[1]) * {"m": 1e-3, "Mi": 2.0**20, "Gi": 2.0**30, "": 1.0}[found[2]]
