"""A deploy inside the cluster: a Job from the image of the flow runs that clones the commit and deploys it there.

So no API but Kubernetes' own need be reached from outside. The chart has the Job's manifest, with its Secrets by
reference, in the ConfigMap ``<release>-deploy``; what depends on the commit is filled in here.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
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
RUN = 900.0
"""Seconds the deploy may run: then Kubernetes ends the Job, by the deadline in the chart's manifest."""
END = RUN + 60.0
"""Seconds the Job may take to be told finished, once its log has ended or broken off: its deadline, and a little."""
POLL = 1.0
HOPELESS = {
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
}
SIGNALLED = 128
"""From here on an exit status is the number of a signal that ended a program, and not what it says of itself."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Namespace:
    """Where the platform is installed, on the cluster that the kubeconfig leads to."""

    name: str = "trainyard"
    release: str = "trainyard"

    def kubectl(self, *argv: str, stdin: str | None = None) -> str:
        """What kubectl prints. Raises ``ProgramFailed`` and ``NotOnPath``."""
        return run(["kubectl", *argv[:1], f"--namespace={self.name}", *argv[1:]], stdin=stdin)


def submit(
    place: Namespace, root: Path, image: str, commit: str, arguments: Sequence[str], say: Say, environment: str = ""
) -> int:
    """Run `python -m ops.deploy` with ``arguments`` as a Job, its log here; its exit status.

    Raises ``NotDeployed``, also where the installation says that it is another ``environment``.
    """
    pull = (root / "ops" / "pull.py").read_text("utf-8")
    job = manifest(_template(place, environment), pull, image, commit, arguments)
    made = place.kubectl("create", "--filename=-", "--output=name", stdin=json.dumps(job)).strip()
    name = made.rpartition("/")[2]
    say(f"Job {name} in namespace {place.name}: ops.deploy {' '.join(arguments)}")
    pod = _await_start(place, name)
    stream(["kubectl", "logs", f"--namespace={place.name}", "--follow", f"pod/{pod}"], say, RUN)
    return _await_end(place, name, pod)


def manifest(template: str, pull: str, image: str, commit: str, arguments: Sequence[str]) -> dict[str, Any]:
    """The Job: the chart's manifest with the image, the commit, the pull step's text and the arguments in it.

    Without an image it has that of the chart. Raises ``NotDeployed`` where the chart names none.
    """
    job: dict[str, Any] = yaml.safe_load(template)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    given = {"TRAINYARD_GIT_SHA": commit, "GIT_PATHS": " ".join(PATHS), "PULL": pull}
    container["image"] = image or container["image"]
    if not container["image"]:
        raise NotDeployed("the installed chart names no image for this. Upgrade it: make chart-upgrade, or give IMAGE.")
    container["args"] = [literal(each) for each in ("sh", "-euc", SCRIPT, "deploy", *arguments)]
    own = [{"name": name, "value": literal(value)} for name, value in given.items()]
    container["env"] = [*own, *container["env"]]
    return job


def literal(text: str) -> str:
    """A text that Kubernetes hands on as it is: it puts a variable for ``$(NAME)``, a secret too, and ``$`` for ``$$``.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#entrypoint
    """
    return text.replace("$", "$$")


def _template(place: Namespace, environment: str) -> str:
    try:
        found = json.loads(place.kubectl("get", f"configmap/{place.release}-deploy", "--output=json"))
    except ProgramFailed as error:
        raise NotDeployed(
            f"the cluster gives no Job to deploy with: {error}. See that the kubeconfig leads to the cluster that is"
            " meant, or upgrade the chart there: make chart-upgrade."
        ) from error
    require_environment(found["data"].get("environment"), environment)
    return str(found["data"]["job.yaml"])


def require_environment(there: str | None, meant: str) -> None:
    """Raises ``NotDeployed`` where the installation says that it is another environment than the one that is meant."""
    if there and meant and there != meant:
        raise NotDeployed(
            f"the kubeconfig leads to {there}, and this is meant for {meant}. Correct ENVIRONMENT, or point kubectl at"
            " the other cluster: make kubeconfig."
        )


def _await_start(place: Namespace, job: str) -> str:
    """The pod of a Job once it runs, or has run. Takes the Job away and raises ``NotDeployed`` where it does not."""
    deadline, why = time.monotonic() + START, "it has no pod"
    while time.monotonic() < deadline:
        try:
            pods = _pods(place, job)
        except ProgramFailed as error:  # the API is away for a moment; the Job goes on
            pods, why = [], str(error)
        for pod in pods:
            if pod["status"].get("phase") in ("Running", "Succeeded", "Failed"):
                return str(pod["metadata"]["name"])
            reason, why = waiting(pod)
            if reason in HOPELESS:
                deadline = 0.0
        time.sleep(POLL)
    raise NotDeployed(
        f"the pod of the deploy did not start: {why}. {_take_away(place, job)} Mend that and run this again: where the"
        " pod started in that very moment, it completes what is begun."
    )


def _take_away(place: Namespace, job: str) -> str:
    """Delete a Job; a sentence of what became of it."""
    try:
        place.kubectl("delete", f"job/{job}", "--wait=false")
    except ProgramFailed as error:
        return f"Its Job {job} is still there, and may start yet: {error}."
    return f"Its Job {job} was taken away."


def _pods(place: Namespace, job: str) -> list[dict[str, Any]]:
    found = json.loads(place.kubectl("get", "pods", f"--selector=job-name={job}", "--output=json"))
    return list(found["items"])


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
    """The exit status of the deploy. Raises ``NotDeployed`` where it was killed, or does not come to an end."""
    deadline = time.monotonic() + END
    while time.monotonic() < deadline:
        with suppress(ProgramFailed):  # the API is away for a moment; the Job goes on
            found = json.loads(place.kubectl("get", f"job/{job}", "--output=json"))
            ends = {
                each["type"]: each for each in found.get("status", {}).get("conditions", ()) if each["status"] == "True"
            }
            if "Complete" in ends:
                return 0
            if failed := ends.get("Failed") or ends.get("FailureTarget"):  # the latter while its pod still goes
                _require_own_end(_pods(place, job), failed)
                return 1
        time.sleep(POLL)
    raise NotDeployed(
        f"the log of pod {pod} has ended, and that Job {job} has is not told. See `kubectl --namespace {place.name} get"
        f" job {job}` and `logs {pod}`, then run this again: it completes what is begun."
    )


def _require_own_end(pods: Sequence[dict[str, Any]], failed: Mapping[str, Any]) -> None:
    """Raises ``NotDeployed`` unless the deploy ended by itself, and its log says why."""
    ended = [each for pod in pods if (each := _terminated(pod))]
    if any(each["exitCode"] < SIGNALLED for each in ended):
        return
    said = [f"{each.get('reason', 'Error')}, exit status {each['exitCode']}" for each in ended]
    said += [
        f"{pod['status']['reason']} {pod['status'].get('message', '')}" for pod in pods if pod["status"].get("reason")
    ]
    why = said or [f"{failed.get('reason', '')} {failed.get('message', '')}".strip() or "its pod is gone"]
    raise NotDeployed(f"the deploy was killed: {'; '.join(why)}. Run this again: it completes what is begun.")


def _terminated(pod: Mapping[str, Any]) -> dict[str, Any]:
    """How the container of a pod ended; empty while it has not."""
    states = [each.get("state", {}).get("terminated") for each in pod["status"].get("containerStatuses", ())]
    return next((dict(each) for each in states if each), {})
