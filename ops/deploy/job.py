"""A deploy inside the cluster: a Job from the image of the flow runs that clones the commit and deploys it there.

So no API but Kubernetes' own need be reached from outside. The chart has the Job's manifest, with its Secrets by
reference, in the ConfigMap ``<release>-deploy``; what depends on the commit is filled in here.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ops.deploy.errors import NotDeployed
from ops.deploy.programs import ProgramFailed, run, stream

PATHS = ("flows", "ops", "prefect.yaml", "docker", ".gitignore", "infra/helm/trainyard/files/bootstrap")
"""What of the repository a deploy needs."""
SCRIPT = 'mkdir -p /tmp/code && cd /tmp/code && python3 -c "$PULL" && exec python3 -m ops.deploy "$@"'
START = 300.0
"""Seconds the pod may take to start, most of them to pull the image."""
END = 60.0
"""Seconds the Job may take to be told finished, once its log has ended."""
POLL = 1.0
HOPELESS = {"ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError"}

Say = Callable[[str], None]


@dataclass(frozen=True)
class Namespace:
    """Where the platform is installed, on the cluster that the kubeconfig leads to."""

    name: str = "trainyard"
    release: str = "trainyard"

    def kubectl(self, *argv: str, stdin: str | None = None) -> str:
        """What kubectl prints. Raises ``ProgramFailed``."""
        return run(["kubectl", *argv[:1], f"--namespace={self.name}", *argv[1:]], stdin=stdin)


def submit(place: Namespace, root: Path, image: str, commit: str, arguments: Sequence[str], say: Say) -> int:
    """Run `python -m ops.deploy` with ``arguments`` as a Job, its log here; its exit status. Raises ``NotDeployed``."""
    pull = (root / "ops" / "pull.py").read_text("utf-8")
    job = manifest(_template(place), pull, image, commit, arguments)
    made = place.kubectl("create", "--filename=-", "--output=name", stdin=json.dumps(job)).strip()
    name = made.rpartition("/")[2]
    say(f"Job {name} in namespace {place.name}: ops.deploy {' '.join(arguments)}")
    pod = _await_start(place, name)
    stream(["kubectl", "logs", f"--namespace={place.name}", "--follow", f"pod/{pod}"], say)
    return _await_end(place, name, pod)


def manifest(template: str, pull: str, image: str, commit: str, arguments: Sequence[str]) -> dict[str, Any]:
    """The Job: the chart's manifest with the image, the commit, the pull step's text and the arguments in it."""
    job: dict[str, Any] = yaml.safe_load(template)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    given = {"TRAINYARD_GIT_SHA": commit, "GIT_PATHS": " ".join(PATHS), "PULL": pull}
    container["image"] = image
    container["args"] = ["sh", "-euc", SCRIPT, "deploy", *arguments]
    container["env"] = [*({"name": name, "value": value} for name, value in given.items()), *container["env"]]
    return job


def _template(place: Namespace) -> str:
    try:
        found = json.loads(place.kubectl("get", f"configmap/{place.release}-deploy", "--output=json"))
    except ProgramFailed as error:
        raise NotDeployed(
            f"the cluster gives no Job to deploy with: {error}. See that the kubeconfig leads to the cluster that is"
            " meant, or upgrade the chart there: make chart-upgrade."
        ) from error
    return str(found["data"]["job.yaml"])


def _await_start(place: Namespace, job: str) -> str:
    """The pod of a Job once it runs, or has run. Takes the Job away and raises ``NotDeployed`` where it does not."""
    deadline, why = time.monotonic() + START, "it has no pod"
    while time.monotonic() < deadline:
        for pod in json.loads(place.kubectl("get", "pods", f"--selector=job-name={job}", "--output=json"))["items"]:
            if pod["status"].get("phase") in ("Running", "Succeeded", "Failed"):
                return str(pod["metadata"]["name"])
            reason, why = waiting(pod)
            if reason in HOPELESS:
                deadline = 0.0
        time.sleep(POLL)
    place.kubectl("delete", f"job/{job}", "--wait=false")
    raise NotDeployed(f"the pod of the deploy did not start: {why}. Nothing was changed; mend that and run this again.")


def waiting(pod: dict[str, Any]) -> tuple[str, str]:
    """Why a pod does not run yet: the reason, and a sentence."""
    for status in pod["status"].get("containerStatuses", ()):
        if found := status.get("state", {}).get("waiting"):
            return found.get("reason", ""), f"{found.get('reason')} {found.get('message', '')}".strip()
    for condition in pod["status"].get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return condition.get("reason", ""), f"{condition.get('reason')} {condition.get('message', '')}".strip()
    return "", "no word why"


def _await_end(place: Namespace, job: str, pod: str) -> int:
    """The exit status of the deploy. Raises ``NotDeployed`` where it does not come to an end."""
    deadline = time.monotonic() + END
    while time.monotonic() < deadline:
        found = json.loads(place.kubectl("get", f"job/{job}", "--output=json"))
        for condition in found.get("status", {}).get("conditions", ()):
            if condition["status"] == "True" and condition["type"] in ("Complete", "Failed"):
                return 0 if condition["type"] == "Complete" else 1
        time.sleep(POLL)
    raise NotDeployed(
        f"the log of pod {pod} has ended and Job {job} has not. The rest is in `kubectl --namespace {place.name} logs"
        f" {pod}`. Run this again: it completes what is begun."
    )
