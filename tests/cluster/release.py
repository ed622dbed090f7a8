"""Installations of the chart beside the platform, each in a namespace: for what would harm the platform."""

import base64
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client

from ops.chart import CHART
from ops.kind import images
from ops.kind.install import POD_SECURITY
from ops.s3_servers import free_ports
from tests.cluster.platform import Platform
from tests.integration.servers import at

SMALL: Mapping[str, Any] = {
    **{f"{part}.resources.requests.cpu": "10m" for part in ("prefect", "worker", "mlflow", "minio")},
    **{f"{part}.storage.size": "1Gi" for part in ("prefect", "mlflow", "minio")},
    "jobs.cpuRequest": "10m",
}
"""Two installations fit on a node of two cores."""
SERVERS = {"prefect": 4200, "mlflow": 5000, "minio": 9000}
AGAIN = ("bash", "-c", 'until "$@"; do sleep 0.2; done', "again")
"""kubectl forwards a port until the pod once refuses a connection, and ends."""
READY = 400.0
"""Seconds an installation may take to be ready, on two busy cores."""

Object = dict[str, Any]


class HelmRefused(Exception):
    """Helm failed; all that it said."""


@dataclass(frozen=True)
class Release:
    """An installation of the chart; ``ports`` are of this machine, and its servers are to be reached there."""

    platform: Platform
    namespace: str
    name: str
    ports: Mapping[str, int]

    def kubectl(self, *argv: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace: what it printed. Raises ``CommandFailed``."""
        return self.platform.place.kubectl(*argv, stdin=stdin, namespace=self.namespace)

    def ours(self, component: str | None = None) -> str:
        """The option that selects the objects of the release, or those of one of its components."""
        part = f",app.kubernetes.io/component={component}" if component else ""
        return f"--selector=app.kubernetes.io/instance={self.name}{part}"

    def get(self, kind: str, component: str | None = None) -> list[Object]:
        """Objects of the release, or those of one of its components."""
        items: list[Object] = json.loads(self.kubectl("get", kind, "--output=json", self.ours(component)))["items"]
        return items

    def helm(self, verb: str, *argv: str) -> str:
        """Run a verb of Helm on the release: what it printed. Raises ``HelmRefused``."""
        place = self.platform.place
        where = ("--kubeconfig", str(place.kubeconfig), "--namespace", self.namespace)
        done = subprocess.run(
            ["helm", *verb.split(), self.name, *where, *argv],
            env=place.env(),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if done.returncode:
            raise HelmRefused(done.stdout + done.stderr)
        return done.stdout

    def apply(
        self, verb: str, *options: str, values: Mapping[str, Any] | None = None, root: Path | None = None
    ) -> float:
        """Install or upgrade, with the profile of a laptop; the seconds Helm took. Raises ``HelmRefused``.

        ``values`` are by their dotted keys. Chart and images are those of ``root``, or else of the platform's commit.
        """
        root = root or self.platform.root
        chart = root / CHART
        given = {**SMALL, **self._addresses(images.own(root)), **(values or {})}
        began = time.monotonic()
        files = (str(chart), f"--values={chart / 'values-laptop.yaml'}")
        self.helm(verb, *files, *(f"--set-json={key}={json.dumps(value)}" for key, value in given.items()), *options)
        return time.monotonic() - began

    def images(self) -> dict[str, str]:
        """The images of the platform's commit by their names: flows, server, mlflow."""
        return images.own(self.platform.root)

    def _addresses(self, own: Mapping[str, str]) -> dict[str, Any]:
        given = {f"images.{name}": reference for name, reference in own.items()}
        urls = {f"{name}.url": f"http://127.0.0.1:{self.ports[name]}" for name in ("prefect", "mlflow")}
        return {**given, **urls, "git.repository": "git://git.trainyard.svc/trainyard.git"}

    def await_ready(self) -> None:
        """Return once each server is ready and the bootstrap Job is done. Raises ``CommandFailed``."""
        patience = f"--timeout={READY:.0f}s"
        self.kubectl("rollout", "status", "deployments", self.ours(), patience)
        self.kubectl("wait", "jobs", self.ours("bootstrap"), "--for=condition=complete", patience)

    def secret(self, name: str) -> dict[str, str]:
        """What is in a Secret of the namespace."""
        data = json.loads(self.kubectl("get", "secret", name, "--output=json"))["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def keep_secret(self, name: str, data: Mapping[str, str], kind: str = "Opaque") -> None:
        """Make a Secret in the namespace."""
        wanted = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "stringData": data}
        self.kubectl("create", "--filename=-", stdin=json.dumps(wanted))

    @contextmanager
    def reached(self, prefect: str | None = None, mlflow: str | None = None, lake: str | None = None) -> Iterator[None]:
        """The environment of this process leads to the release, with the logins in these Secrets."""
        login = self.secret(prefect or f"{self.name}-prefect-auth"), self.secret(mlflow or f"{self.name}-mlflow-auth")
        own = {
            "PREFECT_API_URL": f"http://127.0.0.1:{self.ports['prefect']}/api",
            "PREFECT_API_AUTH_STRING": login[0]["auth-string"],
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{self.ports['mlflow']}",
            "MLFLOW_TRACKING_USERNAME": login[1]["username"],
            "MLFLOW_TRACKING_PASSWORD": login[1]["password"],
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.ports['minio']}",
            **self.secret(lake or f"{self.name}-lake"),
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "5",
        }
        platform = self.platform
        with self.forwarded(), at({**platform.access.environment(platform.place, platform.root), **own}):
            yield

    @contextmanager
    def forwarded(self) -> Iterator[None]:
        """The servers that the release has are at ``ports``."""
        there = {service["metadata"]["name"] for service in self.get("services")}
        place = self.platform.place
        where = ("--kubeconfig", str(place.kubeconfig), "--namespace", self.namespace)
        forward = ("kubectl", "port-forward", *where)
        ways = [
            subprocess.Popen(
                [*AGAIN, *forward, f"service/{self.name}-{name}", f"{self.ports[name]}:{port}"],
                env=place.env(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
            for name, port in SERVERS.items()
            if f"{self.name}-{name}" in there
        ]
        try:
            for name in (name for name in SERVERS if f"{self.name}-{name}" in there):
                self._await_answer(name)
            yield
        finally:
            for way in ways:
                os.killpg(way.pid, signal.SIGTERM)
                way.wait()

    def _await_answer(self, name: str) -> None:
        deadline = time.monotonic() + 60
        while True:
            with suppress(httpx.HTTPError):
                httpx.get(f"http://127.0.0.1:{self.ports[name]}", timeout=10)
                return
            assert time.monotonic() < deadline, f"{name} of {self.name} does not answer"
            time.sleep(0.2)

    def client(self) -> SyncPrefectClient:
        """A client of the release's Prefect, where it is ``reached``; use it in a ``with``."""
        return get_client(sync_client=True)


@contextmanager
def namespace(platform: Platform, name: str) -> Iterator[str]:
    """A namespace that is held to the restricted Pod Security standard; gone afterwards, with all in it."""
    wanted = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": POD_SECURITY}}
    platform.kubectl("delete", "namespace", name, "--ignore-not-found")
    platform.kubectl("create", "--filename=-", stdin=json.dumps(wanted))
    try:
        yield name
    finally:
        platform.kubectl("delete", "namespace", name, "--wait=false")


def release(platform: Platform, namespace: str, name: str | None = None) -> Release:
    """A release, not installed yet; it bears the name of its namespace unless told otherwise."""
    ports = dict(zip(SERVERS, free_ports(len(SERVERS)), strict=True))
    return Release(platform, namespace, name or namespace, ports)
