"""The script of the CronJob: the code that is deployed, by the record of the last deploy, without Prefect."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.ml.lake import Lake
from ops.s3_servers import Server
from tests.integration.conftest import ACCESS_KEY, BUCKET, SECRET_KEY
from tests.integration.servers import ROOT

SCRIPT = ROOT / "infra/helm/trainyard/files/reconcile/reconcile.py"
RECONCILING = 'import os, sys\nprint("told", *sys.argv[1:], os.environ["TRAINYARD_GIT_SHA"])\nsys.exit(7)\n'


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose second commit has a reconcile of a test's own."""
    root = tmp_path / "repository"
    for name, text in {"flows/__init__.py": "", "flows/reconciling/__main__.py": RECONCILING}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "init", "--quiet")
    git(root, "config", "uploadpack.allowAnySHA1InWant", "true")
    git(root, "config", "uploadpack.allowFilter", "true")
    git(root, "add", "flows/__init__.py")
    git(root, "commit", "--quiet", "--message", "first")
    git(root, "add", "flows")
    git(root, "commit", "--quiet", "--message", "second")
    return root


def git(root: Path, *argv: str) -> str:
    who = ("-c", "user.name=Tests", "-c", "user.email=tests@example.org")
    done = subprocess.run(["git", *who, *argv], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def deployed(lake: Lake, number: int, commit: str, *, done: bool = True) -> None:
    """The record of a deploy, as a deploy writes it."""
    pull = {"prefect.deployments.steps.run_shell_script": {"env": {"PULL": (ROOT / "ops/pull.py").read_text()}}}
    entry = {"settings": {"work_pool_name": "kubernetes", "pull_steps": [pull]}}
    record = {"number": number, "commit": commit, "deployments": [entry]}
    lake.put_new(f"deploys/{number:08d}.json", json.dumps(record).encode())
    if done:
        lake.put_new(f"deploys/{number:08d}.done.json", b"{}")


def run(lake: Lake, s3: Server, repository: Path, **env: str) -> subprocess.CompletedProcess[str]:
    own = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3.url,
        "TRAINYARD_LAKE_BUCKET": BUCKET,
        "TRAINYARD_LAKE_PREFIX": lake.prefix,
        "GIT_REPOSITORY": f"file://{repository}",
    }
    argv = [sys.executable, str(SCRIPT), "--repair", "--release", "trainyard"]
    return subprocess.run(argv, env={**own, **env}, capture_output=True, text=True, check=False)


def test_the_code_of_the_last_finished_deploy_runs_and_its_status_is_the_jobs(
    lake: Lake, s3: Server, repository: Path
) -> None:
    first, second = git(repository, "rev-parse", "HEAD~1"), git(repository, "rev-parse", "HEAD")
    deployed(lake, 1, first)
    deployed(lake, 2, second)
    deployed(lake, 3, first, done=False)

    done = run(lake, s3, repository)

    assert done.returncode == 7, done.stderr
    assert done.stdout.splitlines() == [
        f"by the code of deploy 2, commit {second[:12]}",
        f"told --repair --release trainyard {second}",
    ]


def test_where_nothing_was_ever_deployed_it_says_so_and_ends_well(lake: Lake, s3: Server, repository: Path) -> None:
    done = run(lake, s3, repository)

    assert (done.returncode, done.stdout) == (0, "nothing was ever deployed: there is nothing to reconcile\n")


def test_a_deployed_commit_without_a_reconcile_is_a_sentence(lake: Lake, s3: Server, repository: Path) -> None:
    deployed(lake, 1, git(repository, "rev-parse", "HEAD~1"))

    done = run(lake, s3, repository)

    assert done.returncode == 1
    assert "which is deployed, has no reconcile. Deploy a newer one." in done.stderr


def test_a_commit_that_cannot_be_had_is_a_sentence(lake: Lake, s3: Server, repository: Path) -> None:
    deployed(lake, 1, "0" * 40)

    done = run(lake, s3, repository)

    assert done.returncode == 1
    assert "has no commit" in done.stderr
    assert "the code that is deployed cannot be had; the reason is above" in done.stderr


def test_a_lake_that_refuses_is_a_sentence(lake: Lake, s3: Server, repository: Path) -> None:
    done = run(lake, s3, repository, AWS_SECRET_ACCESS_KEY="wrong")

    assert done.returncode == 1
    assert "does not give the record of the last deploy" in done.stderr
