"""What a change is compared with."""

import subprocess
from pathlib import Path

import pytest

from ops import revisions
from ops.revisions import UnknownRevision


def git(root: Path, *argv: str) -> str:
    identity = ["-c", "user.name=one", "-c", "user.email=one@example.com"]
    done = subprocess.run(["git", "-C", str(root), *identity, *argv], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(root: Path, text: str) -> str:
    (root / "file").write_text(text)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", text)
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository whose origin's main is its first commit."""
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "update-ref", "refs/remotes/origin/main", commit(tmp_path, "first"))
    return tmp_path


def test_a_branch_is_compared_with_where_it_left_main(root: Path) -> None:
    left = git(root, "rev-parse", "HEAD")
    commit(root, "main goes on")
    git(root, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(root, "checkout", "--quiet", "-b", "branch", left)
    commit(root, "second")

    assert revisions.base(root) == left


def test_main_itself_is_compared_with_the_commit_before(root: Path) -> None:
    first = git(root, "rev-parse", "HEAD")
    git(root, "update-ref", "refs/remotes/origin/main", commit(root, "second"))

    assert revisions.base(root) == first


def test_any_revision_can_be_named(root: Path) -> None:
    first = git(root, "rev-parse", "HEAD")
    commit(root, "second")
    commit(root, "third")

    assert revisions.base(root, "HEAD~2") == first


@pytest.mark.parametrize("name", ["no-such-branch", "--all", "HEAD~9"])
def test_a_revision_that_git_does_not_know_is_named_with_what_to_do(root: Path, name: str) -> None:
    with pytest.raises(UnknownRevision, match="git fetch origin main") as error:
        revisions.base(root, name)

    assert name in str(error.value)


def test_histories_without_a_commit_in_common_are_not_compared(root: Path) -> None:
    git(root, "checkout", "--quiet", "--orphan", "shallow")
    commit(root, "what a shallow clone has")

    with pytest.raises(UnknownRevision, match="git fetch --unshallow"):
        revisions.base(root)


def test_the_files_of_a_commit_are_unpacked_as_they_were_then(root: Path, tmp_path: Path) -> None:
    first = git(root, "rev-parse", "HEAD")
    commit(root, "second")
    folder = tmp_path / "unpacked"
    folder.mkdir()

    revisions.unpack(root, first, folder, "file")

    assert (folder / "file").read_text() == "first"
    assert revisions.text(root, first, "file") == "first"
    assert revisions.text(root, first, "none") == ""


def test_a_folder_the_commit_has_not_is_a_sentence(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownRevision, match="did not match any files"):
        revisions.unpack(root, "HEAD", tmp_path, "flows")
