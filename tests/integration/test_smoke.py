"""What the flow of `helm test` says of an MLflow, one that is well and others."""

from collections.abc import Iterator
from types import ModuleType

import boto3
import mlflow
import pytest

from ops import chart
from tests.integration.servers import ROOT, at
from tests.integration.test_cluster_bootstrap import server


@pytest.fixture
def smoke(platform: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The flow's module, where the environment leads to a real MLflow."""
    monkeypatch.syspath_prepend(str(ROOT / chart.CHART / "files" / "bootstrap"))
    import smoke as found

    with at(platform):
        yield found


def test_an_mlflow_that_is_well_keeps_an_artifact_which_is_taken_away_again(
    smoke: ModuleType, platform: dict[str, str]
) -> None:
    assert smoke.registry.fn() == "MLflow holds 0 models"
    assert smoke.artifacts.fn() == "MLflow keeps artifacts"

    left = boto3.client("s3").list_objects_v2(Bucket=platform["TRAINYARD_LAKE_BUCKET"], Prefix="mlflow/smoke/")
    assert left["KeyCount"] == 0


def test_an_mlflow_older_than_the_flows_is_named(smoke: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow, "__version__", "99.0.0")

    with pytest.raises(smoke.SmokeError, match=r"is version 3\..*, older than the flows' 99\.0\.0: upgrade it first"):
        smoke.registry.fn()


def test_an_mlflow_that_may_not_write_to_the_lake_is_named(smoke: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    with server((500, "AccessDenied")) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)

        with pytest.raises(smoke.SmokeError, match=r"an artifact \(PUT .*: 500 AccessDenied\).*mlflow\.service"):
            smoke.artifacts.fn()


def test_an_mlflow_whose_clients_reach_the_artifacts_themselves_is_not_asked_to_keep_one(
    smoke: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server((503, "Endpoint disabled due to the mlflow server running with `--no-serve-artifacts`")) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)

        assert smoke.artifacts.fn() == "MLflow leaves artifacts to its clients"
