"""The Job of a deploy in the cluster, made of the chart's own manifest."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ops.deploy import __main__ as commands
from ops.deploy import job
from ops.deploy.__main__ import parser
from ops.deploy.chart import difference, unfinished
from ops.lint import repository
from tests.platform import chart, flow_run_job, pod_security
from tests.platform.chart import IMAGES, ROOT, Object, every_case, requires_helm
from tests.platform.flow_run_job import COMMIT, PAIR
from tests.platform.test_chart_names import references, there
from tests.unit import stand_ins

pytestmark = requires_helm

ARGUMENTS = ("rollback", "--image", IMAGES["flows"], "--trust-image", "--by", "ann", "--to", "previous")


def made(case: str, image: str = IMAGES["flows"]) -> Object:
    """The Job as it is handed to Kubernetes."""
    template = chart.case(case).one("ConfigMap", "-deploy")["data"]["job.yaml"]
    return job.manifest(template, (ROOT / "ops/pull.py").read_text(), image, COMMIT, ARGUMENTS)


def pod(case: str) -> Object:
    found: Object = made(case)["spec"]["template"]["spec"]
    return found


@every_case
def test_its_pod_is_held_to_the_restricted_standard_and_the_rules_of_the_house(case: str) -> None:
    assert pod_security.restricted(pod(case)) + pod_security.house(pod(case)) == []


@every_case
def test_it_has_an_account_of_its_own_without_a_token(case: str) -> None:
    account = chart.case(case).one("ServiceAccount", "-deploy")

    assert pod(case)["serviceAccountName"] == account["metadata"]["name"] == "trainyard-deploy"
    assert pod(case)["automountServiceAccountToken"] is account["automountServiceAccountToken"] is False


@every_case
def test_everything_it_names_is_there_or_is_the_installations_own(case: str) -> None:
    objects = chart.case(case)
    own = set(re.findall(r"[\w-]+", json.dumps(chart.CASES[case][1])))

    missing = {each for each in references(pod(case)) if each[1] not in own and not there(objects, *each)}

    assert missing == set()


@every_case
def test_its_secrets_are_those_of_a_flow_run_and_by_reference(case: str) -> None:
    run = flow_run_job.container(flow_run_job.job(chart.case(case), PAIR))
    own = flow_run_job.container(made(case))

    assert own["envFrom"] == run["envFrom"]
    held = {each["name"]: each for each in run["env"] if "secretKeyRef" in each.get("valueFrom", {})}
    mine = {each["name"]: each for each in own["env"] if "valueFrom" in each}
    assert set(held) - set(mine) == {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"}
    assert all(held[name] == each for name, each in mine.items())


def test_it_is_ended_by_itself_and_not_tried_again_behind_anyones_back() -> None:
    spec = made("laptop")["spec"]

    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]) == (0, job.RUN, 120)
    assert pod("laptop")["restartPolicy"] == "Never"


@every_case
def test_without_an_image_of_its_own_it_runs_in_the_charts_image_of_flow_runs(case: str) -> None:
    (container,) = made(case, image="")["spec"]["template"]["spec"]["containers"]

    assert container["image"] == IMAGES["flows"]


def test_its_command_is_one_that_a_deploy_takes() -> None:
    args = pod("laptop")["containers"][0]["args"]

    given = parser().parse_args(args[args.index("deploy") + 1 :])

    assert args[:2] == ["sh", "-euc"]
    assert (given.verb, given.to, given.by, given.trust_image) == ("rollback", "previous", "ann", True)


def test_the_paths_it_clones_exist_and_hold_all_that_a_deploy_imports(tmp_path: Path) -> None:
    environment = {each["name"]: each.get("value") for each in pod("laptop")["containers"][0]["env"]}
    paths = str(environment["GIT_PATHS"]).split()
    files = [
        name for name in repository.files(ROOT) if any(name == path or name.startswith(f"{path}/") for path in paths)
    ]
    for name in files:
        copy = tmp_path / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((ROOT / name).read_bytes())

    done = subprocess.run(
        [sys.executable, "-m", "ops.deploy", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert environment["TRAINYARD_GIT_SHA"] == COMMIT
    assert "chart-upgrade" in done.stdout


def test_why_a_pod_does_not_start_is_told() -> None:
    pulling = {"reason": "ImagePullBackOff", "message": "no such image"}
    pods = [
        {"containerStatuses": [{"state": {"waiting": pulling}}]},
        {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room"}]},
        {},
    ]

    assert [job.waiting({"status": each})[1] for each in pods] == [
        "ImagePullBackOff no such image",
        "Unschedulable no room",
        "no word why",
    ]


def test_an_environment_that_there_is_not_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / commands.TERRAFORM
    folder.mkdir(parents=True)
    for name in ("production", "staging"):
        (folder / f"{name}.tfvars").touch()
    monkeypatch.setattr(commands, "ROOT", tmp_path)

    with pytest.raises(SystemExit):
        parser().parse_args(["submit", "apply", "--environment", "prod"])

    assert "there is no environment 'prod'. There are production, staging." in capsys.readouterr().err


def test_a_workflow_finds_what_was_said_in_its_jobs_summary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    monkeypatch.setattr("sys.argv", ["deploy", "chart-upgrade", "--values", "absent.yaml"])
    monkeypatch.setattr(commands, "said", [])

    assert commands.main() == 1

    text = (tmp_path / "summary.md").read_text()
    assert text.startswith("## Chart-upgrade: failed\n\n```\nthere is no values file absent.yaml")


def test_the_makefile_calls_it_in_the_cluster_with_an_environment_and_from_here_without() -> None:
    def printed(*given: str) -> str:
        asked = ["make", "--dry-run", "--always-make", *given]
        return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert "-m ops.deploy submit apply --environment" in printed("deploy", "ENVIRONMENT=staging")
    assert 'ops.deploy submit rollback --environment "staging"' in printed("deploy-rollback", "ENVIRONMENT=staging")
    assert "submit" not in printed("deploy-plan")
    assert '--values "a.yaml" --values "b.yaml"' in printed("chart-upgrade", "VALUES=a.yaml b.yaml")


@pytest.mark.parametrize(
    ("given", "to"),
    [
        (None, "previous"),
        ("c0ffee0", "c0ffee0"),
        ('"; $(shell touch it) `touch it` $$', '"; $(shell touch it) `touch it` $$'),
    ],
)
def test_what_a_rollback_is_given_is_taken_as_it_is(tmp_path: Path, given: str | None, to: str) -> None:
    told = stand_ins.put(tmp_path, "python", "printf '%s\\n' \"$@\"")
    env = {name: value for name, value in os.environ.items() if name != "TO"} | ({"TO": given} if given else {})

    asked = ["make", "--silent", "--old-file=install", "deploy-rollback", f"PYTHON={told}"]
    done = subprocess.run(asked, cwd=ROOT, env=env, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == ["-m", "ops.deploy", "rollback", "--to", to]
    assert not (ROOT / "it").exists()


@pytest.mark.parametrize(("status", "said"), [("deployed", ""), ("failed", "revision 3 is failed")])
def test_a_release_whose_upgrade_failed_is_upgraded_though_nothing_else_changed(status: str, said: str) -> None:
    assert unfinished({"version": 3, "info": {"status": status}}) == said


def test_a_release_that_differs_by_its_number_alone_is_not_upgraded() -> None:
    text = chart.template({}, "laptop")
    first = {"manifest": text, "hooks": [], "config": {}}
    again = {**first, "manifest": text.replace("trainyard-bootstrap-1", "trainyard-bootstrap-2")}

    assert again != first
    assert difference("trainyard", first, again) == ""
    assert difference("trainyard", first, {**again, "config": {"worker": {"concurrency": 9}}}) == "values"
    assert difference("trainyard", first, {**again, "manifest": text.replace("cpu: 200m", "cpu: 300m")}) == "objects"
