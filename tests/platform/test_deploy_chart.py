"""What `make chart-upgrade` makes of what it finds; programs stand in for Helm and kubectl."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops.deploy import chart
from ops.deploy.errors import NotDeployed
from ops.deploy.job import Namespace
from tests.unit import stand_ins

HELM = """
cd {folder}
echo "helm $*" >>told
case "$*" in
  status*) cat status ;;
  *--dry-run*) grep -q '"pending-' status && {{ echo "another operation is in progress" >&2; exit 1; }}; cat proposed ;;
esac
"""
KUBECTL = """
cd {folder}
echo "kubectl $*" >>told
case "$1 $3" in
  "get secrets") echo secret/sh.helm.release.v1.trainyard.v3 ;;
  "delete secrets") mv before status ;;
esac
"""


class Release:
    """A release of which revision 2 is deployed, and revision 3 began some seconds ago."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        stand_ins.put(folder, "helm", HELM.format(folder=folder))
        stand_ins.put(folder, "kubectl", KUBECTL.format(folder=folder))
        self.write("before", 2, "deployed")
        self.write("proposed", 3, "pending-upgrade")

    def write(self, name: str, version: int, status: str, ago: float = 0.0, environment: str = "") -> None:
        """What Helm says of a revision."""
        began = (datetime.now(UTC) - timedelta(seconds=ago)).isoformat().replace("+00:00", "000Z")
        info = {"status": status, "last_deployed": began}
        config = {"deploy": {"environment": environment}} if environment else None
        found = {"version": version, "info": info, "config": config, "manifest": "kind: Job", "hooks": []}
        (self.folder / name).write_text(json.dumps(found))

    @property
    def told(self) -> str:
        """What Helm and kubectl were told."""
        return (self.folder / "told").read_text()


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    stand_ins.first_on_path(tmp_path, monkeypatch)
    return Release(tmp_path)


def upgrade(environment: str = "") -> str:
    return chart.upgrade(Namespace(), Path("/nowhere"), [], {}, environment)


@pytest.mark.parametrize("status", ["pending-upgrade", "pending-rollback"])
def test_an_upgrade_that_was_killed_is_forgotten_and_done_anew_though_nothing_else_changed(
    release: Release, status: str
) -> None:
    release.write("status", 3, status, ago=chart.LONGEST + 1)

    assert upgrade() == "Upgraded release trainyard to revision 3: revision 3 was killed on its way"
    assert (
        "kubectl delete --namespace=trainyard secrets --selector=owner=helm,name=trainyard,status in (" in release.told
    )
    assert "kubectl delete --namespace=trainyard jobs" in release.told
    assert "--wait-for-jobs" in release.told.splitlines()[-1]


def test_an_upgrade_that_may_be_under_way_is_left_alone(release: Release) -> None:
    release.write("status", 3, "pending-upgrade", ago=chart.PATIENCE)

    with pytest.raises(
        NotDeployed, match=r"^revision 3 is pending-upgrade: somebody upgrades .* Run this again; from "
    ):
        upgrade()

    assert "delete" not in release.told


def test_a_release_that_is_as_wanted_is_not_upgraded(release: Release) -> None:
    release.write("status", 2, "deployed")

    assert upgrade() == "Nothing to change: release trainyard has this chart and these values"
    assert "kubectl" not in release.told


def test_a_helm_that_is_missing_is_told_and_no_release_is_taken_for_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(NotDeployed, match=r"^helm is not on PATH\. Install Helm 3 or later"):
        upgrade()


def test_a_release_of_another_environment_is_left_alone(release: Release) -> None:
    release.write("status", 3, "pending-upgrade", ago=chart.LONGEST + 1, environment="staging")

    with pytest.raises(NotDeployed, match=r"leads to staging, and this is meant for production\. Correct"):
        upgrade("production")

    assert release.told.splitlines() == ["helm status trainyard --output=json --namespace=trainyard"]
