"""Where an image comes from, as a predicate of SLSA provenance (https://slsa.dev/spec/v1.0/provenance)."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ops import images
from ops.environment import Place, revision

WORKSTATION = "https://localhost/workstation"
"""The builder where no workflow is one."""


def predicate(root: Path, name: str, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """What was built, from what, by whom: the image, the commit, its input files by digest, the workflow run."""
    source = images.source(root)
    return {
        "buildDefinition": {
            "buildType": f"{source}/blob/main/{images.DOCKERFILE}",
            "externalParameters": {"image": name},
            "internalParameters": {},
            "resolvedDependencies": [
                {"uri": f"git+{source}", "digest": {"gitCommit": revision(Place(root))}},
                *({"name": file, "digest": {"sha256": digest}} for file, digest in inputs(root, name).items()),
            ],
        },
        "runDetails": {
            "builder": {"id": _builder(environment)},
            "metadata": {"invocationId": _run(environment)},
        },
    }


def inputs(root: Path, name: str) -> dict[str, str]:
    """The sha256 (hex) of each file that goes into an image, by its path in the repository."""
    paths = (images.DOCKERFILE, images.LOCKS[name], images.BASE)
    return {path: hashlib.sha256((root / path).read_bytes()).hexdigest() for path in paths}


def stated_inputs(found: Mapping[str, Any]) -> dict[str, str]:
    """The digests of files that a predicate states."""
    parts = found["buildDefinition"]["resolvedDependencies"]
    return {part["name"]: part["digest"]["sha256"] for part in parts if "name" in part}


def stated_commit(found: Mapping[str, Any]) -> str:
    """The commit that a predicate states; empty where it states none."""
    parts = found["buildDefinition"]["resolvedDependencies"]
    return next((part["digest"]["gitCommit"] for part in parts if "gitCommit" in part["digest"]), "")


def _builder(environment: Mapping[str, str]) -> str:
    if "GITHUB_WORKFLOW_REF" not in environment:
        return WORKSTATION
    return f"{environment['GITHUB_SERVER_URL']}/{environment['GITHUB_WORKFLOW_REF']}"


def _run(environment: Mapping[str, str]) -> str:
    if "GITHUB_RUN_ID" not in environment:
        return WORKSTATION
    run = f"{environment['GITHUB_SERVER_URL']}/{environment['GITHUB_REPOSITORY']}/actions/runs"
    return f"{run}/{environment['GITHUB_RUN_ID']}/attempts/{environment.get('GITHUB_RUN_ATTEMPT', '1')}"
