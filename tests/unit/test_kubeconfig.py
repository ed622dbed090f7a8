"""How kubectl is pointed at a cluster; a program stands in for the AWS CLI."""

from pathlib import Path

import pytest

from ops import kubeconfig
from tests.unit import stand_ins

GIVEN = {"CLUSTER": "one", "AWS_REGION": "eu-west-1"}


def point(**given: str) -> int:
    said = GIVEN | given
    return kubeconfig.main(["--cluster", said["CLUSTER"], "--region", said["AWS_REGION"]])


def test_kubectl_is_pointed_at_the_cluster_by_the_aws_cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_ins.put(tmp_path, "aws", 'echo "$@"')
    stand_ins.first_on_path(tmp_path, monkeypatch)

    assert point() == 0
    assert capsys.readouterr().out == "eks update-kubeconfig --name one --region eu-west-1\n"


@pytest.mark.parametrize("name", GIVEN)
def test_a_variable_that_is_not_set_is_named(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert point(**{name: ""}) == 1
    assert capsys.readouterr().err == (
        f"trainyard: {name} is empty. Say both: make kubeconfig CLUSTER=… AWS_REGION=….\n"
    )


def test_an_aws_cli_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert point() == 1
    assert capsys.readouterr().err.startswith("trainyard: aws is not on PATH. Install the AWS CLI 2 (")


def test_what_the_aws_cli_says_of_a_failure_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_ins.put(tmp_path, "aws", 'echo "No cluster found for name: one." >&2; exit 254')
    stand_ins.first_on_path(tmp_path, monkeypatch)

    assert point() == 1
    assert capsys.readouterr().err == "trainyard: aws eks says: No cluster found for name: one.\n"
