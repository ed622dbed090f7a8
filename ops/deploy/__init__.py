"""The deploy: image and commit to the deployments of the pool ``kubernetes``, as a pair. ``python -m ops.deploy``.

The Prefect server and the lake are those the environment points at. What runs in a pod is the commit, cloned from the
repository, in the image; so both must be there before anything is changed.
"""

from ops.deploy.checkout import head, require_clean, require_published
from ops.deploy.deploying import apply, deploy, rollback
from ops.deploy.errors import NotDeployed
from ops.deploy.programs import PATIENCE
from ops.deploy.server import POOL
from ops.deploy.wanted import deployments

__all__ = [
    "PATIENCE",
    "POOL",
    "NotDeployed",
    "apply",
    "deploy",
    "deployments",
    "head",
    "require_clean",
    "require_published",
    "rollback",
]
