"""The checkout that is deployed: its commit, whether that is all there is, whether pods can have it."""

import getpass
import os
import tempfile
from pathlib import Path

from ops.deploy.errors import NotDeployed
from ops.deploy.programs import ProgramFailed, run
from ops.pull import PullError, source

SHOWN = 10
"""How many files that differ are named."""


def head(root: Path) -> str:
    """The commit of the checkout. Raises ``NotDeployed`` outside git."""
    return run(["git", "rev-parse", "--verify", "HEAD"], cwd=root).strip()


def require_clean(root: Path) -> None:
    """Raises ``NotDeployed`` with the files that differ from the commit: they would not be in the pods."""
    changed = [line[3:] for line in run(["git", "status", "--porcelain"], cwd=root).splitlines()]
    if changed:
        more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        raise NotDeployed(
            f"{len(changed)} files differ from the commit and would not be in the pods: {', '.join(changed[:SHOWN])}"
            f"{more}. Commit them, ignore them, or `git stash --include-untracked`."
        )


def require_published(commit: str, repository: str) -> None:
    """Raises ``NotDeployed`` where the commit cannot be fetched by its 40 hex digits, as a pod does.

    A token in ``GIT_TOKEN`` opens a private repository, as it does for a pod.
    """
    given = {"GIT_REPOSITORY": repository, "TRAINYARD_GIT_SHA": commit, "GIT_TOKEN": os.environ.get("GIT_TOKEN", "")}
    try:
        known = source(given).environment
    except PullError as error:
        raise NotDeployed(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="trainyard-") as folder:  # a repository that has the commit would not ask
        place = Path(folder)
        run(["git", "init", "--quiet", "--bare"], cwd=place)
        try:
            run(["git", "fetch", "--quiet", "--depth=1", "--filter=tree:0", repository, commit], cwd=place, env=known)
        except ProgramFailed as error:
            raise NotDeployed(
                f"{repository} does not give out commit {commit}. Push it there first. {error}"
            ) from error


def repository(root: Path) -> str:
    """The repository that pods clone: ``GIT_REPOSITORY``, else the checkout's origin. Raises ``NotDeployed``."""
    if address := os.environ.get("GIT_REPOSITORY"):
        return address
    try:
        return run(["git", "remote", "get-url", "origin"], cwd=root).strip()
    except ProgramFailed as error:
        raise NotDeployed(
            "this checkout has no remote `origin`: give the repository that pods clone with --repository."
        ) from error


def author(root: Path) -> str:
    """Who deploys: the actor of a workflow run, else git's user, else the user of this machine."""
    if actor := os.environ.get("GITHUB_ACTOR"):
        return actor
    try:
        return run(["git", "config", "user.email"], cwd=root).strip()
    except ProgramFailed:
        return _user()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a pod's user has no name
        return f"user {os.getuid()}"
