"""The automations that the bootstrap applies, each made to fire on a real Prefect server, or seen not to."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.events import emit_event
from prefect.states import AwaitingRetry, Cancelled, Cancelling, Completed, Crashed, Failed, Pending, Running

from ops import chart
from tests.integration.servers import ROOT, at, prefect_of_a_cluster

FILES = ROOT / chart.CHART / "files" / "bootstrap"
POOL = "kubernetes"
PARAMETERS = {"model": "trip-duration", "month": "2023-02"}
WITHIN = 60.0
"""Seconds within which an automation has fired, on a busy machine."""
SHORT = 10
"""The shortest silence that Prefect looks for, in seconds."""


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a client of a Prefect server."""
    with prefect_of_a_cluster(tmp_path_factory.mktemp("prefect")) as own:
        yield own


@dataclass(frozen=True)
class Lab:
    """A Prefect server with a pool, a deployment in it, and no automation yet."""

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

    def wait(self, run: FlowRun, name: str) -> FlowRun:
        """The run once it is in a state."""
        deadline = time.monotonic() + WITHIN
        while (found := self.client.read_flow_run(run.id)).state_name != name:
            assert time.monotonic() < deadline, (found.state_name, name)
            time.sleep(0.2)
        return found

    def settle(self) -> None:
        """Return once the server has acted on all that was before: it does so in order."""
        self.wait(self.run(Pending(), Running(), Crashed()), "Scheduled")

    def names(self, run: FlowRun) -> list[str | None]:
        """The states a run went through."""
        return [state.name for state in sorted(self.client.read_flow_run_states(run.id), key=lambda s: s.timestamp)]


@pytest.fixture
def lab(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A place to let runs crash in."""
    monkeypatch.syspath_prepend(str(FILES))
    with at(env), get_client(sync_client=True) as client:
        for found in client.read_automations():
            client.delete_automation(found.id)
        for pool in client.read_work_pools():
            client.delete_work_pool(pool.name)
        yield Lab(client, deployment(client, POOL))


def deployment(client: SyncPrefectClient, pool: str) -> UUID:
    """A deployment in a pool of its own."""
    client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
    made = client.create_flow_from_name("monthly")
    return client.create_deployment(made, name=f"in-{pool}", work_pool_name=pool, entrypoint="flows/monthly.py:monthly")


@pytest.fixture
def rerun(lab: Lab) -> None:
    """Crashed runs of the pool are run again."""
    import automations

    automations.apply(lab.client, automations.rerun(POOL))


@pytest.mark.usefixtures("rerun")
def test_a_run_that_crashed_is_run_again_as_the_same_run_with_all_it_was_given(lab: Lab) -> None:
    run = lab.run(Pending(), Running(), Crashed(message="killed"))

    again = lab.wait(run, "Scheduled")

    assert (again.id, again.deployment_id) == (run.id, lab.deployment)
    assert (again.parameters, again.tags, again.job_variables) == (PARAMETERS, ["tried"], {"memory": "3Gi"})
    assert again.state
    assert again.state.message == "it crashed, and is run again by itself, this once."
    assert again.next_scheduled_start_time


@pytest.mark.usefixtures("rerun")
@pytest.mark.parametrize("goes_on", [[Pending(), Running(), Crashed()], [Pending(), Crashed()], [Crashed()]])
def test_a_run_that_crashes_again_stays_crashed_however_far_it_came(lab: Lab, goes_on: list[State]) -> None:
    run = lab.wait(lab.run(Pending(), Running(), Crashed()), "Scheduled")

    lab.go(run, *goes_on)
    lab.settle()

    assert lab.names(run).count("Scheduled") == 2  # as it was made, and once more
    assert lab.client.read_flow_run(run.id).state_name == "Crashed"


@pytest.mark.usefixtures("rerun")
def test_a_pod_that_asks_for_another_while_its_run_is_run_again_makes_it_no_two(lab: Lab) -> None:
    """At a Job's deadline the worker may give the run up just before its dying pod has it put back."""
    run = lab.run(Pending(), Running(), Crashed(message="No active or succeeded pods found for any job"))
    lab.go(run, AwaitingRetry())
    lab.settle()

    assert lab.client.read_flow_run(run.id).state_type == StateType.SCHEDULED
    assert lab.names(run).count("AwaitingRetry") == 1
    ended = lab.go(run, Pending(), Running(), Completed())
    lab.settle()
    assert lab.client.read_flow_run(run.id).state_id == ended.state_id


@pytest.mark.usefixtures("rerun")
@pytest.mark.parametrize(
    "states",
    [
        [Pending(), Running(), Cancelling(), Cancelled()],
        [Pending(), Running(), Failed(message="no such month")],
        [Pending(), Running(), Failed(name="Refused")],
        [Pending(), Running(), Completed()],
        [Pending(), Crashed(message="it did not start within 900 s")],
    ],
    ids=["cancelled", "failed", "refused", "completed", "never begun"],
)
def test_a_run_that_ended_otherwise_or_never_began_is_not_run_again(lab: Lab, states: list[State]) -> None:
    ended = lab.run(*states)
    lab.settle()

    assert lab.client.read_flow_run(ended.id).state_id == ended.state_id


@pytest.mark.usefixtures("rerun")
def test_a_run_that_is_being_cancelled_cannot_crash_and_so_is_not_run_again(lab: Lab) -> None:
    run = lab.run(Pending(), Running(), Cancelling(), Crashed())
    lab.settle()

    assert run.state_name == "Cancelling"
    assert lab.client.read_flow_run(run.id).state_id == run.state_id


@pytest.mark.usefixtures("rerun")
def test_runs_of_other_pools_and_those_without_a_deployment_as_subflows_are_are_not_run_again(lab: Lab) -> None:
    @flow
    def child() -> None:
        raise RuntimeError

    other = lab.run(Pending(), Running(), Crashed(), deployment=deployment(lab.client, "another"))
    alone = lab.go(lab.client.create_flow_run(child), Pending(), Running(), Crashed())
    lab.settle()

    assert lab.client.read_flow_run(other.id).state_name == "Crashed"
    assert lab.client.read_flow_run(alone.id).state_name == "Crashed"


def test_a_run_that_fell_silent_is_crashed_and_run_again(lab: Lab) -> None:
    import automations

    for wanted in (*automations.wanted(SHORT, 600, "kubernetes"), automations.rerun(POOL)):
        automations.apply(lab.client, wanted)

    run = lab.wait(lab.run(Pending(), Running()), "Scheduled")

    assert lab.names(run) == ["Scheduled", "Pending", "Running", "Crashed", "Scheduled"]
    crashed = next(state for state in lab.client.read_flow_run_states(run.id) if state.name == "Crashed")
    assert str(crashed.message).startswith(f"nothing was heard of it for {SHORT} s: its process is gone")


def test_a_run_that_does_not_start_is_crashed_and_left(lab: Lab) -> None:
    import automations

    for wanted in (*automations.wanted(600, SHORT, "kubernetes"), automations.rerun(POOL)):
        automations.apply(lab.client, wanted)

    run = lab.wait(lab.run(Pending()), "Crashed")
    lab.settle()

    assert lab.client.read_flow_run(run.id).state_id == run.state_id
    assert run.state
    assert str(run.state.message).startswith(f"it did not start within {SHORT} s: the image cannot be pulled")


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


@pytest.fixture
def hook() -> Iterator[Hook]:
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


@pytest.fixture
def notices(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Applies the notices to an address."""
    import notices

    def apply(address: str) -> str:
        monkeypatch.setenv(notices.ADDRESS, address)
        return notices.apply(lab.client, POOL, "https://prefect.example.org")

    return apply


def test_a_run_that_fails_by_whatever_name_or_crashes_is_told_with_its_sentence_and_a_link(
    lab: Lab, hook: Hook, notices: Callable[[str], str]
) -> None:
    notices(hook.address)

    refused = lab.run(Pending(), Running(), Failed(name="Refused", message='3 rows of "2023-02" <are>\nfew'))
    hook.wait(1)
    lab.run(Pending(), Running(), Completed(message="all is well"))
    crashed = lab.run(Pending(), Running(), Crashed(message="killed"))

    link = "https://prefect.example.org/runs/flow-run"
    assert hook.wait(2) == [
        f'{refused.name} is Refused: 3 rows of "2023-02" <are>\nfew {link}/{refused.id}',
        f"{crashed.name} is Crashed: killed {link}/{crashed.id}",
    ]


def test_an_alarm_of_the_monitor_is_told(lab: Lab, hook: Hook, notices: Callable[[str], str]) -> None:
    notices(hook.address)

    emit_event(
        event="trainyard.monitor.alarm",
        resource={"prefect.resource.id": "trainyard.model.trip-duration", "prefect.resource.name": "trip-duration"},
        payload={"month": "2023-03", "alarms": ["the error is 1.2 times that at promotion", "distance drifts"]},
    )

    assert hook.wait(1) == [
        "Alarm: trip-duration on 2023-03: the error is 1.2 times that at promotion; distance drifts"
    ]


def test_the_address_is_in_no_automation_and_comes_out_of_no_block_in_the_open(
    lab: Lab, hook: Hook, notices: Callable[[str], str]
) -> None:
    said = notices(hook.address)

    assert "secret" not in said + str([each.model_dump() for each in lab.client.read_automations()])
    block = lab.client.read_block_document_by_name("trainyard-notices", "webhook", include_secrets=False)
    assert "secret" not in str(block.data)


def test_applied_twice_there_is_one_of_each_and_without_an_address_none(
    lab: Lab, hook: Hook, notices: Callable[[str], str]
) -> None:
    notices(hook.address)
    before = [each.model_dump(exclude={"updated"}) for each in lab.client.read_automations()]
    notices(hook.address)
    after = [each.model_dump(exclude={"updated"}) for each in lab.client.read_automations()]
    said = notices("")

    assert (len(before), after) == (2, before)
    assert said == "notices: none, NOTICE_WEBHOOK_URL is not set"
    assert lab.client.read_automations() == []
    assert [each.name for each in lab.client.read_block_documents()] == []


@pytest.mark.parametrize("address", ["hooks.example.org/not-a-secret", "file:///not-a-secret", "https://"])
def test_what_is_no_address_is_a_sentence_that_does_not_hold_it(notices: Callable[[str], str], address: str) -> None:
    import checks

    with pytest.raises(checks.BootstrapError) as error:
        notices(address)

    assert str(error.value).startswith("NOTICE_WEBHOOK_URL is no http or https address: correct it")
    assert "secret" not in str(error.value).replace("Secret", "")
