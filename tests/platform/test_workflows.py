"""The workflows before actionlint and zizmor; their order and their verbs."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops import refresh
from ops.lint import tools, workflows
from tests import suites

ROOT = Path(__file__).resolve().parents[2]
TEXT = """
name: Broken
on: [push]
permissions: {}
concurrency: {group: one, cancel-in-progress: false}
jobs:
  one:
    name: one
    runs-on: ubuntu-24.04
    permissions: {contents: read} # to check out
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
        with: {persist-credentials: false}
      - run: make build
"""


def loaded(name: str) -> dict[Any, dict[str, Any]]:
    data: dict[Any, dict[str, Any]] = yaml.safe_load((ROOT / workflows.FOLDER / name).read_text())
    return data


def verbs(job: dict[str, object]) -> list[str]:
    steps = job["steps"]
    assert isinstance(steps, list)
    return [step["run"].removeprefix("make ") for step in steps if "run" in step]


def findings(root: Path, before: str = "", after: str = "") -> list[str]:
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    folder = root / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "broken.yaml").write_text(TEXT.replace(before, after) if before else TEXT)
    return [str(one) for one in tools.workflows(root)]


def test_the_repositorys_workflows_have_no_findings() -> None:
    assert tools.workflows(ROOT) == []


def test_a_right_workflow_has_none(tmp_path: Path) -> None:
    assert findings(tmp_path) == []


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("runs-on: ubuntu-24.04", "runs-on: ubuntu-2404", "ubuntu-2404"),
        ("on: [push]", "on: [pushed]", "pushed"),
        ("\n        with: {persist-credentials: false}", "", "credential"),
        ("make build", "make ${{ github.head_ref }}", "template"),
    ],
    ids=["runner", "trigger", "credentials", "injection"],
)
def test_what_actionlint_or_zizmor_finds_is_told_with_file_and_line(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    found = findings(tmp_path, before, after)

    assert any(message in one and one.startswith(".github/workflows/broken.yaml:") for one in found), found


def test_every_suite_is_a_job_of_its_own_verb() -> None:
    jobs = loaded("ci.yaml")["jobs"]

    run = {name: verbs(job) for name, job in jobs.items()}
    own = {suite: ["demo-tests" if suite == "demo" else suite] for suite in set(suites.SUITES) - suites.OPTIONAL}
    assert run == own | {"lint": ["lint"], "evaluate": ["evaluate"], "packages": ["sbom", "sbom-diff"]}


def test_prefect_yaml_is_checked_before_anything_and_an_image_before_anything_of_it_is_deployed() -> None:
    order = verbs(loaded("environment.yaml")["jobs"]["deploy"])

    assert order == [
        "deploy-check",
        "push-images",
        "sign-images",
        "verify-image",
        "kubeconfig",
        "chart-upgrade",
        "deploy-plan",
        "deploy",
        "smoke",
    ]


def test_a_push_goes_to_staging_and_then_to_production_and_a_rollback_ends_with_a_look_at_it() -> None:
    deploy = loaded("deploy.yaml")
    started = deploy[True]  # YAML reads a bare `on` as true
    jobs = deploy["jobs"]

    assert started["push"] == {"branches": ["main"], "tags": ["v*"]}
    assert set(started["workflow_dispatch"]["inputs"]) == {"rollback", "environment"}
    assert {name: (job["if"], job.get("needs")) for name, job in jobs.items()} == {
        "staging": ("inputs.rollback == ''", None),
        "production": ("inputs.rollback == ''", ["staging"]),
        "rollback": ("inputs.rollback != ''", None),
    }
    assert [jobs[name]["with"] for name in ("staging", "production")] == [
        {"environment": "staging"},
        {"environment": "production"},
    ]
    assert verbs(jobs["rollback"]) == ["kubeconfig", "deploy-rollback", "smoke"]


def test_packages_and_images_are_refreshed_every_week() -> None:
    (weekly,) = loaded("scheduled.yaml")[True]["schedule"]

    assert weekly["cron"].split()[2:] == ["*", "*", "1"]
    assert "workflow_dispatch" in loaded(refresh.WORKFLOW)[True]  # by which the refresh starts it


def test_uv_is_that_of_the_lock_everywhere() -> None:
    names = [path.name for path in (ROOT / workflows.FOLDER).glob("*.yaml")]
    steps = [step for name in names for job in loaded(name)["jobs"].values() for step in job.get("steps", ())]
    given = [step.get("with", {}) for step in steps if step.get("uses", "").startswith("astral-sh/setup-uv@")]

    assert {each.get("version-file") for each in given} == {"ops/requirements.txt"}
    assert re.search(r"^uv==\d", (ROOT / "ops/requirements.txt").read_text(), re.MULTILINE)


def test_whatever_changes_an_environment_shares_its_group_and_is_never_cut_off() -> None:
    jobs = [loaded("environment.yaml")["jobs"]["deploy"], loaded("deploy.yaml")["jobs"]["rollback"]]

    assert {str(job["concurrency"]) for job in jobs} == {
        str({"group": "deploy-${{ inputs.environment }}", "cancel-in-progress": False})
    }
    assert {job["environment"] for job in jobs} == {"${{ inputs.environment }}"}


def test_what_changes_an_environment_runs_where_the_repository_says() -> None:
    jobs = [loaded("environment.yaml")["jobs"]["deploy"], loaded("deploy.yaml")["jobs"]["rollback"]]

    assert {job["runs-on"] for job in jobs} == {"${{ vars.DEPLOY_RUNNER || 'ubuntu-24.04' }}"}


def test_a_deploy_is_logged_in_to_the_registry_it_asks_and_a_rollback_asks_none() -> None:
    deploy, rollback = (
        [step.get("run") or step["uses"].partition("@")[0] for step in job["steps"]]
        for job in (loaded("environment.yaml")["jobs"]["deploy"], loaded("deploy.yaml")["jobs"]["rollback"])
    )

    assert deploy.index("docker/login-action") < deploy.index("make push-images")
    assert "docker/login-action" not in rollback
