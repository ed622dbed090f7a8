"""``make kind-deploy``: the commit pushed to the cluster's git server, then deployed as anywhere else."""

import subprocess
import sys
from pathlib import Path

from ops import deploy as deploying
from ops.kind import access, cluster, images
from ops.kind.cluster import Cluster
from ops.kind.tools import CommandFailed, KindError, run


def deploy(place: Cluster, root: Path, *, unless_deployed: bool = False) -> str:
    """Push HEAD of the checkout and deploy it; a sentence of what was done.

    Raises ``NotDeployed`` for a checkout that differs from HEAD, ``KindError`` for whatever else is in the way.
    """
    if not unless_deployed:
        deploying.require_clean(root)
    push(place, root, deploying.head(root))
    only = ["--unless-deployed"] if unless_deployed else []
    where = ("--image", images.own(root)["flows"], "--trust-image", "--repository", access.git_url(place))
    env = access.find(place).environment(place, root)
    command = [sys.executable, "-m", "ops.deploy", "apply", *where, *only]
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise KindError(done.stderr.strip().rpartition("trainyard: ")[2])
    return done.stdout.strip()


def push(place: Cluster, root: Path, commit: str) -> None:
    """Bring a commit to the git server, for good, and let ``main`` there be it. Raises ``KindError``."""
    cluster.require(place)
    refs = (f"{commit}:refs/deployed/{commit}", f"+{commit}:refs/heads/main")
    try:
        argv = ["git", "-C", str(root), "push", "--quiet", "--no-verify", access.git_url(place), *refs]
        run(argv, timeout=deploying.PATIENCE)
    except CommandFailed as error:
        raise KindError(f"the cluster's git server takes no push: make kind-up repairs it. {error}") from error
