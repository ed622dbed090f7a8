"""A Prefect and an MLflow server beside a given S3 server, as the local platform starts them."""

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from prefect.context import SettingsContext, get_settings_context
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import Settings

from ops import platform, processes, provision
from ops.environment import Place, Ports, environment
from ops.s3_servers import Server, free_ports, running
from ops.services import BROKER, services

ROOT = Path(__file__).resolve().parents[2]
AUTH_STRING = "admin:not-a-secret-of-anyone"


@contextmanager
def prefect_and_mlflow(folder: Path, s3: Server, access_key: str, secret_key: str) -> Iterator[dict[str, str]]:
    """Both servers with their state in ``folder``, the lake's bucket and the block of results; gives the environment
    that leads to them and to S3."""
    place = _place(folder, access_key, secret_key)
    ports = Ports(*free_ports(2), s3=s3.ports[0])
    env = environment(place, ports) | {"PYTHONPATH": str(ROOT), "TRAINYARD_THREADS": "1"}
    servers = [service for service in services(place, ports) if service.name != "s3"]
    try:
        platform.launch(place, env, servers)
        platform.wait_for(place, servers, lambda line: None)
        with at(env):
            provision.bootstrap(place)
        yield env
    finally:
        processes.stop(place.state)


@contextmanager
def prefect_of_a_cluster(folder: Path) -> Iterator[dict[str, str]]:
    """A Prefect server as the chart sets it: behind a password, with CSRF on; the environment of a client of it."""
    (port,) = free_ports(1)
    own = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "DO_NOT_TRACK": "1",
        "PREFECT_HOME": str(folder / "client"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_API_AUTH_STRING": AUTH_STRING,
    }
    with running(_prefect(folder, port), folder / "log"):
        yield own


def _prefect(folder: Path, port: int) -> Server:
    return Server(
        name="prefect",
        argv=(str(Path(sys.executable).with_name("prefect")), "server", "start", "--port", str(port)),
        env={
            "PREFECT_HOME": str(folder / "server"),
            "PREFECT_SERVER_API_AUTH_STRING": AUTH_STRING,
            "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_EVENTS_MESSAGING_BROKER": BROKER.stem,
            "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": BROKER.stem,
            "PYTHONPATH": str(BROKER.parent),
        },
        url=f"http://127.0.0.1:{port}",
        ready=f"http://127.0.0.1:{port}/api/health",
        ports=(port,),
        stop_signal=signal.SIGTERM,
    )


@contextmanager
def at(env: Mapping[str, str]) -> Iterator[None]:
    """This process with another environment, which Prefect reads as well."""
    with (
        mock.patch.dict(os.environ, env, clear=True),
        SettingsContext(profile=get_settings_context().profile, settings=Settings()),
    ):
        yield
        # Prefect sends them in the background, and for a minute to a server that is gone
        for service in (APILogWorker, EventsWorker):
            service.drain_all(timeout=10)


def _place(folder: Path, access_key: str, secret_key: str) -> Place:
    """A platform's folder whose programs are this Python's, and whose keys are those the S3 server has."""
    place = Place(folder)
    place.programs.parent.parent.mkdir(parents=True)
    place.programs.parent.symlink_to(sys.prefix)
    (place.folder("aws") / "keys.json").write_text(json.dumps([access_key, secret_key]))
    return place
