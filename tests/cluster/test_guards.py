"""What the chart refuses once it can look at the cluster: Secrets, storage classes, namespaces that are not there."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ops.chart import CHART
from tests.platform.chart import REQUIRED, ROOT, merged

UNGUARDED = "unguarded"


@pytest.fixture
def unguarded(cluster: Any) -> Iterator[str]:
    """A namespace that takes any pod."""
    cluster.kubectl("create", "namespace", UNGUARDED)
    yield UNGUARDED
    cluster.kubectl("delete", "namespace", UNGUARDED, "--wait=false")


def install(cluster: Any, folder: Path, values: Mapping[str, Any], namespace: str) -> str:
    """What Helm says of an installation that it tries on the server and does not make."""
    own = folder / "values.yaml"
    own.write_text(json.dumps(merged(REQUIRED, values)))
    options = ("--dry-run=server", f"--values={own}", f"--namespace={namespace}")
    said: str = cluster.place.helm("install", "guarded", str(ROOT / CHART), *options)
    return said


def test_values_whose_secrets_and_classes_are_there_are_taken(cluster: Any, tmp_path: Path) -> None:
    (storage_class,) = cluster.kubectl("get", "storageclass", "--output=name").splitlines()
    values = {
        "prefect": {"existingAuthSecret": "trainyard-prefect-auth"},
        "mlflow": {"storage": {"className": storage_class.rpartition("/")[2]}},
    }

    assert "Trainyard" in install(cluster, tmp_path, values, "trainyard")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"prefect": {"existingAuthSecret": "none"}},
            'prefect.existingAuthSecret names the Secret "none", which is not',
        ),
        ({"mlflow": {"existingAuthSecret": "none"}}, 'mlflow.existingAuthSecret names the Secret "none", which is not'),
        ({"lake": {"existingSecret": "none"}}, 'lake.existingSecret names the Secret "none", which is not'),
        ({"prefect": {"noticeSecret": "none"}}, 'prefect.noticeSecret names the Secret "none", which is not'),
        ({"git": {"tokenSecret": "none"}}, 'git.tokenSecret names the Secret "none", which is not'),
        (
            {"prefect": {"storage": {"className": "none"}}},
            "prefect.storage.className: the cluster has no storage class",
        ),
        ({"mlflow": {"storage": {"className": "none"}}}, "mlflow.storage.className: the cluster has no storage class"),
    ],
)
def test_what_is_not_in_the_cluster_is_named_at_install_time(
    cluster: Any, tmp_path: Path, values: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(Exception) as refused:  # noqa: PT011 - what the cluster's fixture raises is its own
        install(cluster, tmp_path, values, "trainyard")

    assert said in str(refused.value)


def test_a_namespace_that_takes_any_pod_is_refused(cluster: Any, tmp_path: Path, unguarded: str) -> None:
    with pytest.raises(Exception, match=f"kubectl label namespace {unguarded} pod-security"):
        install(cluster, tmp_path, {}, unguarded)


def test_a_namespace_that_helm_would_have_to_make_is_refused(cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"there is no namespace nowhere; .* kubectl create namespace nowhere"):
        install(cluster, tmp_path, {}, "nowhere")
