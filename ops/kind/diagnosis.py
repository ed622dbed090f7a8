"""Why an installation does not come up: what the cluster says of it, shortened to what matters."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from ops.kind.cluster import RELEASE, Cluster
from ops.kind.tools import CommandFailed, last_words, shorten

_OURS = f"app.kubernetes.io/instance={RELEASE}"
EVENTS = 12
"""How many of the last warnings are shown."""


def of(cluster: Cluster) -> str:
    """The pods that are not ready with their reasons and last words, the last warnings, the bootstrap's last words."""
    parts: dict[str, Callable[[], list[str]]] = {
        "Pods that are not ready:": lambda: unready(_items(cluster, "pods")),
        "What those of them say that run:": lambda: _said(cluster),
        "Last warnings:": lambda: warnings(_items(cluster, "events", "--field-selector=type=Warning")),
        "The bootstrap Job's last words:": lambda: _bootstrap(cluster),
    }
    found = []
    for title, part in parts.items():
        with suppress(CommandFailed):
            found += [title, *(f"  {shorten(line)}" for line in part())]
    return "\n".join(found)


def unready(pods: list[dict[str, Any]]) -> list[str]:
    """A line for each container of a pod that neither is ready nor has ended well."""
    return [line for pod in pods for line in _pod(pod)]


def running(pods: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The pod and the container of each that runs and is not ready: it waits for something, or hangs."""
    return [
        (pod["metadata"]["name"], container["name"])
        for pod in pods
        for container in _containers(pod)
        if not container.get("ready") and "running" in container.get("state", {})
    ]


def warnings(events: list[dict[str, Any]]) -> list[str]:
    """The newest warnings, each once: what they are about, the reason, the message, how often."""
    events = sorted(events, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    lines: dict[str, int] = {}
    for event in events:
        about = event["involvedObject"]
        text = f"{about['kind']} {about['name']}: {event['reason']}: {event.get('message', '').strip()}"
        lines[text] = lines.pop(text, 0) + (event.get("count") or 1)
    return [f"{text} ({count} times)" if count > 1 else text for text, count in lines.items()][-EVENTS:]


def _said(cluster: Cluster) -> list[str]:
    """The last line of each container that runs and is not ready."""
    return [
        f"{pod}, container {container}: {last_words(cluster.kubectl('logs', pod, f'--container={container}'), 1)}"
        for pod, container in running(_items(cluster, "pods"))
    ]


def _bootstrap(cluster: Cluster) -> list[str]:
    """The end of the log of its newest pod."""
    pods = _items(cluster, "pods", f"--selector=app.kubernetes.io/component=bootstrap,{_OURS}")
    logs = [cluster.kubectl("logs", pod["metadata"]["name"], "--tail=20") for pod in pods[-1:]]
    return [line for log in logs for line in last_words(log, 20).splitlines()]


def _pod(pod: dict[str, Any]) -> Iterator[str]:
    name, status = pod["metadata"]["name"], pod["status"]
    if status.get("phase") == "Succeeded":
        return
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield f"{name}: {condition.get('reason')}: {condition.get('message')}"
    for container in _containers(pod):
        if not container.get("ready"):
            yield f"{name}, container {container['name']}: {_reason(container)}"


def _containers(pod: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for kind in ("initContainerStatuses", "containerStatuses"):
        yield from pod["status"].get(kind, [])


def _reason(container: dict[str, Any]) -> str:
    """The state a container is in, and how it ended before."""
    words = []
    for when, states in (("", container.get("state", {})), ("before: ", container.get("lastState", {}))):
        for state, facts in states.items():
            said = [facts.get("reason", state), facts.get("message", "").strip()]
            if state == "running":
                said.append(f"since {facts.get('startedAt')}")
            if "exitCode" in facts:
                said.append(f"exit status {facts['exitCode']}")
            words.append(when + ", ".join(word for word in said if word))
    if container.get("restartCount"):
        words.append(f"restarted {container['restartCount']} times")
    return "; ".join(words) or "not started"


def _items(cluster: Cluster, kind: str, *selection: str) -> list[dict[str, Any]]:
    found = cluster.kubectl("get", kind, "--output=json", "--sort-by=.metadata.creationTimestamp", *selection)
    items: list[dict[str, Any]] = json.loads(found)["items"]
    return items
