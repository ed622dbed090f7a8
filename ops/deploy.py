"""Image and commit to the deployments of the pool ``kubernetes``, as a pair: ``python -m ops.deploy``.

The Prefect server is the one the environment points at. What runs in a pod is the commit, cloned from the repository,
in the image; so both must be there before anything is changed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import httpx
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound, PrefectException

from flows.ml.errors import TrainyardError
from ops.environment import here

POOL = "kubernetes"
SHOWN = 10
"""How many files that differ are named."""
PATIENCE = 60.0
"""Seconds a command of git may take. Where the other end is gone without a word, git itself waits for ever."""


class NotDeployed(TrainyardError):
    """Nothing was deployed: why, and what to do."""


def deployments(root: Path, pool: str) -> list[str]:
    """The full names (flow/deployment) in ``prefect.yaml`` that run on a pool."""
    entries = yaml.safe_load((root / "prefect.yaml").read_text())["deployments"]
    return [f"{entry['flow_name']}/{entry['name']}" for entry in entries if entry["work_pool"]["name"] == pool]


def apply(root: Path, pool: str, variables: Mapping[str, str]) -> None:
    """Apply every deployment of a pool as ``prefect.yaml`` has it, ``variables`` filled in. Raises ``NotDeployed``."""
    names = [argument for name in deployments(root, pool) for argument in ("--name", name)]
    prefect = str(Path(sys.executable).with_name("prefect"))
    env = {**os.environ, **variables, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [prefect, "--no-prompt", "deploy", *names], cwd=root, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NotDeployed(f"`prefect deploy` failed: {_last(done.stdout + done.stderr, 12)}")


def head(root: Path) -> str:
    """The commit of the checkout. Raises ``NotDeployed`` outside git."""
    return _git(root, "rev-parse", "--verify", "HEAD").strip()


def require_clean(root: Path) -> None:
    """Raises ``NotDeployed`` with the files that differ from the commit: they would not be in the pods."""
    changed = [line[3:] for line in _git(root, "status", "--porcelain").splitlines()]
    if changed:
        more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        raise NotDeployed(
            f"{len(changed)} files differ from the commit and would not be in the pods: {', '.join(changed[:SHOWN])}"
            f"{more}. Commit them, ignore them, or `git stash --include-untracked`."
        )


def require_published(commit: str, repository: str) -> None:
    """Raises ``NotDeployed`` where the commit cannot be fetched by its 40 hex digits, as a pod does."""
    with tempfile.TemporaryDirectory(prefix="trainyard-") as folder:  # a repository that has the commit would not ask
        place = Path(folder)
        _git(place, "init", "--quiet", "--bare")
        try:
            _git(place, "fetch", "--quiet", "--depth=1", "--filter=tree:0", repository, commit)
        except NotDeployed as error:
            raise NotDeployed(
                f"{repository} does not give out commit {commit}. Push it there first. {error}"
            ) from error


def require_pool(client: SyncPrefectClient) -> None:
    """Raises ``NotDeployed`` where the platform has not made the pool."""
    try:
        client.read_work_pool(POOL)
    except ObjectNotFound as error:
        raise NotDeployed(
            f"{client.api_url} has no work pool `{POOL}`. The platform's bootstrap Job makes it: install the chart "
            "first (on a laptop: make kind-up), or point PREFECT_API_URL at the Prefect that is meant."
        ) from error


def deployed(client: SyncPrefectClient, names: list[str]) -> set[tuple[str, str]]:
    """The pairs of image and commit the deployments have; one of empty strings for a deployment that is not there."""
    pairs = set()
    for name in names:
        try:
            variables = client.read_deployment_by_name(name).job_variables or {}
        except ObjectNotFound:
            variables = {}
        pairs.add((variables.get("image", ""), variables.get("commit", "")))
    return pairs


def deploy(root: Path, image: str, repository: str, *, unless_deployed: bool = False) -> str:
    """Deploy HEAD of the checkout in the image; a sentence of what was done. Raises ``NotDeployed``."""
    commit, names = head(root), deployments(root, POOL)
    with get_client(sync_client=True) as client:
        if unless_deployed and deployed(client, names) == {(image, commit)}:
            return f"Commit {commit[:12]} is deployed"
        require_clean(root)
        require_pool(client)
    require_published(commit, repository)
    apply(root, POOL, {"FLOWS_IMAGE": image, "TRAINYARD_GIT_SHA": commit})
    return f"Deployed commit {commit[:12]} in {image}: {', '.join(names)}"


def main() -> int:
    """Deploy; an error is a sentence on standard error and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m ops.deploy", description=__doc__)
    parser.add_argument("--image", required=True, help="the image of the flow runs, as the pods pull it")
    parser.add_argument("--repository", required=True, help="the repository the pods clone, at its address from here")
    parser.add_argument("--unless-deployed", action="store_true", help="do nothing where this very pair is deployed")
    given = parser.parse_args()
    try:
        print(deploy(here().root, given.image, given.repository, unless_deployed=given.unless_deployed))
    except (TrainyardError, PrefectException, httpx.HTTPError) as error:
        sys.stderr.write(f"trainyard: {error}\n")
        return 1
    return 0


def _git(root: Path, *argv: str) -> str:
    env = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *argv], env=env, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NotDeployed(f"git {argv[0]} got no answer within {PATIENCE:g} s. Try again.") from error
    if done.returncode:
        raise NotDeployed(f"git {argv[0]} says: {_last(done.stderr, 6)}")
    return done.stdout


def _last(text: str, lines: int) -> str:
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:]) or "nothing"


if __name__ == "__main__":
    sys.exit(main())
