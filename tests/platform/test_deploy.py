"""What is deployed: image and commit as a pair, from a clean tree, by a commit that pods can clone."""

import socket
import subprocess
from importlib import import_module
from pathlib import Path

import pytest

from ops import deploy
from ops.deploy import NotDeployed, programs
from ops.deploy.checkout import SHOWN
from ops.lint import prefect_yaml
from ops.lint.prefect_yaml import Entry

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = [entry for entry in prefect_yaml.load(ROOT).entries if entry.config["work_pool"]["name"] == deploy.POOL]
AUTHOR = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
START = 600
"""Seconds a pod may take to start, its image pulled, which count towards its Job's deadline."""


def git(root: Path, *argv: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *argv], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a commit."""
    root = tmp_path / "checkout"
    root.mkdir()
    git(root, "init", "--quiet")
    commit(root, "flows.py")
    return root


@pytest.fixture
def published(tmp_path: Path, checkout: Path) -> str:
    """Where its commits are pushed to: it gives out any commit it has."""
    root = tmp_path / "published"
    git(tmp_path, "clone", "--quiet", "--bare", str(checkout), str(root))
    git(root, "config", "uploadpack.allowAnySHA1InWant", "true")
    return f"file://{root}"


def commit(root: Path, name: str) -> str:
    (root / name).write_text("")
    git(root, "add", name)
    git(root, *AUTHOR, "commit", "--quiet", "--message", name)
    return deploy.head(root)


def test_a_clean_tree_is_taken(checkout: Path) -> None:
    deploy.require_clean(checkout)


def test_changed_and_new_files_are_refused_by_name(checkout: Path) -> None:
    (checkout / "flows.py").write_text("x = 1\n")
    (checkout / "new.py").write_text("")

    with pytest.raises(NotDeployed, match=r"2 files differ .*: flows\.py, new\.py\. Commit them"):
        deploy.require_clean(checkout)


def test_many_files_are_counted_and_the_first_named(checkout: Path) -> None:
    for number in range(SHOWN + 5):
        (checkout / f"new-{number:02}.py").write_text("")

    with pytest.raises(NotDeployed, match=r"15 files differ .*new-09\.py and 5 more\."):
        deploy.require_clean(checkout)


def test_a_folder_that_is_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotDeployed, match="not a git repository"):
        deploy.head(tmp_path)


def test_a_published_commit_is_taken_a_later_one_not_until_it_is_pushed(checkout: Path, published: str) -> None:
    deploy.require_published(deploy.head(checkout), published)
    later = commit(checkout, "later.py")

    with pytest.raises(NotDeployed, match=f"does not give out commit {later}. Push it there first"):
        deploy.require_published(later, published)

    git(checkout, "push", "--quiet", published, "HEAD:refs/deployed/later")
    deploy.require_published(later, published)


def test_a_repository_that_does_not_answer_is_told_with_what_git_said(checkout: Path, tmp_path: Path) -> None:
    with pytest.raises(NotDeployed, match=r"(?s)does not give out commit .*git fetch says: .*does not appear"):
        deploy.require_published(deploy.head(checkout), f"file://{tmp_path}/nowhere")


def test_a_repository_that_takes_the_question_and_never_answers_is_not_waited_for(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"git://127.0.0.1:{silent.getsockname()[1]}/trainyard.git"

        with pytest.raises(NotDeployed, match=r"git fetch got no answer within 0\.5 s"):
            deploy.require_published(deploy.head(checkout), address)


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])
def test_image_and_commit_travel_together(entry: Entry) -> None:
    variables = entry.config["work_pool"]["job_variables"]

    assert variables["image"] == "{{ $FLOWS_IMAGE }}"
    assert variables["commit"] == "{{ $TRAINYARD_GIT_SHA }}"


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])
def test_a_flow_ends_by_its_own_timeout_before_its_job_does(entry: Entry) -> None:
    path, _, function = entry.config["entrypoint"].partition(":")
    flow = getattr(import_module(path.removesuffix(".py").replace("/", ".")), function)

    deadline = entry.config["work_pool"]["job_variables"]["deadline_seconds"]
    assert flow.timeout_seconds + START <= deadline <= flow.timeout_seconds + 2 * START


def test_both_pools_have_the_same_flows() -> None:
    flows = {pool: {name.split("/")[0] for name in deploy.deployments(ROOT, pool)} for pool in ("local", "kubernetes")}

    assert flows["local"] == flows["kubernetes"] >= {"ingest", "retrain", "monthly"}
