"""What a test of automations works with: a Prefect server on which runs crash at will, and a webhook that is told."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Crashed, Pending, Running

PARAMETERS = {"model": "trip-duration", "month": "2023-02"}
WITHIN = 60.0
"""Seconds within which an automation has fired, on a busy machine."""


@dataclass(frozen=True)
class Lab:
    """A Prefect server with a deployment in a pool."""

    client: SyncPrefectClient
    deployment: UUID

    def run(self, *states: State, deployment: UUID | None = None) -> FlowRun:
        """A run of a deployment that goes through states."""
        run = self.client.create_flow_run_from_deployment(
            deployment or self.deployment, parameters=PARAMETERS, tags=["tried"], job_variables={"memory": "3Gi"}
        )
        return self.go(run, *states)

    def go(self, run: FlowRun, *states: State) -> FlowRun:
        """The run, having gone through states."""
        for state in states:
            self.client.set_flow_run_state(run.id, state)
        return self.client.read_flow_run(run.id)

    def wait(self, run: FlowRun, state: StateType) -> FlowRun:
        """The run once it is in a state of this type; by name one that waits is Scheduled, and Late after a while."""
        deadline = time.monotonic() + WITHIN
        while (found := self.client.read_flow_run(run.id)).state_type != state:
            assert time.monotonic() < deadline, (found.state_name, state)
            time.sleep(0.2)
        return found

    def settle(self) -> None:
        """Return once the server has acted on all that was before: it does so in order."""
        self.wait(self.run(Pending(), Running(), Crashed()), StateType.SCHEDULED)

    def names(self, run: FlowRun) -> list[str | None]:
        """The states a run went through."""
        return [state.name for state in sorted(self.client.read_flow_run_states(run.id), key=lambda s: s.timestamp)]


def deployment(client: SyncPrefectClient, pool: str) -> UUID:
    """A deployment in a pool."""
    made = client.create_flow_from_name("monthly")
    return client.create_deployment(made, name=f"in-{pool}", work_pool_name=pool, entrypoint="flows/monthly.py:monthly")


@dataclass(frozen=True)
class Hook:
    """A webhook: its address, which holds a secret, and what it was told."""

    address: str
    told: list[Any]

    def wait(self, count: int) -> list[str]:
        """What it was told, once that is so much."""
        deadline = time.monotonic() + WITHIN
        while len(self.told) < count:
            assert time.monotonic() < deadline, self.told
            time.sleep(0.2)
        return [each["text"] for each in self.told]


@contextlib.contextmanager
def webhook() -> Iterator[Hook]:
    """A webhook that takes JSON."""
    told: list[Any] = []

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/json"
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Take) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Hook(f"http://127.0.0.1:{server.server_address[1]}/hooks/not-a-secret-of-anyone", told)
        server.shutdown()
