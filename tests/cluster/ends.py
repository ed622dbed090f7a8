"""How the containers of a release ended: seen from outside, as their pods are deleted."""

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.cluster.release import Release


@dataclass(frozen=True)
class End:
    """The exit status of a container, the seconds from the order to the end, and those it had."""

    status: int
    seconds: float
    grace: int


@dataclass(frozen=True)
class Ends:
    """The ends of the servers' containers, by component; filled once the watch is over."""

    found: dict[str, End] = field(default_factory=dict)


@contextmanager
def watched(release: Release) -> Iterator[Ends]:
    """Watch the pods of a release while they are deleted."""
    ends = Ends()
    place = release.platform.place
    where = ("--kubeconfig", str(place.kubeconfig), "--namespace", release.namespace)
    with tempfile.TemporaryFile("w+") as seen:
        watch = subprocess.Popen(
            ["kubectl", "get", "pods", "--watch", "--output=json", release.ours(), *where], env=place.env(), stdout=seen
        )
        try:
            time.sleep(2)
            yield ends
            time.sleep(1)
        finally:
            watch.terminate()
            watch.wait()
        seen.seek(0)
        ends.found.update(_ends(seen.read()))


def _ends(text: str) -> dict[str, End]:
    """The last that was seen of each container that was told to end while it ran."""
    found, told = {}, {}
    for pod in _objects(text):
        about = pod["metadata"]
        if "deletionTimestamp" in about:  # as first seen: once the containers have ended, the grace period becomes none
            told.setdefault(about["name"], (about["deletionTimestamp"], about["deletionGracePeriodSeconds"]))
        for container in pod["status"].get("containerStatuses", []):
            if about["name"] in told and (ended := container["state"].get("terminated")):
                until, grace = told[about["name"]]
                # The timestamp is that of the end of the grace period.
                seconds = (_time(ended["finishedAt"]) - _time(until)).total_seconds() + grace
                found[about["labels"]["app.kubernetes.io/component"]] = End(ended["exitCode"], seconds, grace)
    return {name: end for name, end in found.items() if name not in {"bootstrap", "test", "job"}}


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The objects that were printed one after the other, the last of them perhaps in part."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text.rstrip()):
        try:
            found, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            return
        at += len(text[at:]) - len(text[at:].lstrip())
        yield found


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
