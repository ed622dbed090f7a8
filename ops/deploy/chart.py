"""`make chart-upgrade`: the platform's chart to the checkout's, only where that changes anything."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ops.chart import CHART, forget_pending
from ops.deploy.errors import NotDeployed
from ops.deploy.job import Namespace, require_environment
from ops.deploy.programs import ProgramFailed, run

PATIENCE = 900.0
"""Seconds an upgrade may take, until all of it is ready."""
LONGEST = PATIENCE + 60.0
"""Seconds after which Helm itself is ended."""


def upgrade(
    place: Namespace, root: Path, files: Sequence[Path], images: Mapping[str, str], environment: str = ""
) -> str:
    """Upgrade the release to the checkout's chart with these values; a sentence of what was done.

    ``images`` are references by name, over those in the files. Without a file the release keeps the values it has.
    Raises ``NotDeployed``, also where the release says that it is another ``environment``.
    """
    if missing := [str(path) for path in files if not path.is_file()]:
        raise NotDeployed(f"there is no values file {missing[0]}. Correct VALUES.")
    given = [f"--values={path}" for path in files] or ["--reset-then-reuse-values"]
    given += [f"--set-string=images.{name}={reference}" for name, reference in images.items()]
    installed = _installed(place)
    require_environment(((installed.get("config") or {}).get("deploy") or {}).get("environment"), environment)
    if killed := _forget_killed(place, installed):
        installed = _installed(place)
    command = ["helm", "upgrade", place.release, str(root / CHART), *given]
    proposed = json.loads(_helm(place, *command, "--dry-run=server", "--output=json"))
    what = " and ".join(filter(None, (killed or unfinished(installed), difference(place.release, installed, proposed))))
    if not what:
        return f"Nothing to change: release {place.release} has this chart and these values"
    _helm(place, *command, "--wait", "--wait-for-jobs", f"--timeout={PATIENCE:.0f}s")
    return f"Upgraded release {place.release} to revision {proposed['version']}: {what}"


def _forget_killed(place: Namespace, installed: Mapping[str, Any]) -> str:
    """Forget an upgrade that was killed on its way; what is to be said of it, empty where there is none.

    Raises ``NotDeployed`` where it may still be under way.
    """
    if not installed["info"]["status"].startswith("pending-"):
        return ""
    ends = datetime.fromisoformat(installed["info"]["last_deployed"]) + timedelta(seconds=LONGEST)
    if datetime.now(UTC) < ends:
        raise NotDeployed(
            f"{unfinished(installed)}: somebody upgrades the release, or was killed at it. Run this again; from"
            f" {ends.astimezone(UTC).isoformat(timespec='seconds')} on it is taken for killed, and done anew."
        )
    forget_pending(place.kubectl, place.release)
    return f"revision {installed['version']} was killed on its way"


def unfinished(installed: Mapping[str, Any]) -> str:
    """What is to be said of a release whose last upgrade did not end well; empty where it did."""
    status = installed["info"]["status"]
    return "" if status == "deployed" else f"revision {installed['version']} is {status}"


def difference(release: str, installed: Mapping[str, Any], proposed: Mapping[str, Any]) -> str:
    """What is another in a release that is proposed, empty where nothing is. Releases as Helm gives them as JSON."""
    found = [
        part for part in ("values", "objects") if _part(part, release, installed) != _part(part, release, proposed)
    ]
    return " and ".join(found)


def _part(part: str, release: str, of: Mapping[str, Any]) -> Any:
    if part == "values":
        return of.get("config") or {}
    text = "\n---\n".join([of["manifest"], *sorted(hook["manifest"] for hook in of.get("hooks") or ())])
    return re.sub(rf"\b{re.escape(release)}-bootstrap-\d+\b", f"{release}-bootstrap-N", text)  # a Job a revision


def _installed(place: Namespace) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(_helm(place, "helm", "status", place.release, "--output=json"))
    except ProgramFailed as error:
        raise NotDeployed(
            f"there is no release {place.release} in namespace {place.name} to upgrade: {error}. Install it first, or"
            " correct the kubeconfig."
        ) from error
    return found


def _helm(place: Namespace, *command: str) -> str:
    return run([*command, f"--namespace={place.name}"], timeout=LONGEST)
