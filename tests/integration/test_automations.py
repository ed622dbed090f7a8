"""The automations that the bootstrap applies, each made to fire on a real Prefect server, or seen not to."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.events import Event, RelatedResource, Resource, emit_event
from prefect.states import AwaitingRetry, Cancelled, Cancelling, Completed, Crashed, Failed, Pending, Running

from ops import chart
from tests.integration.lab import PARAMETERS, Hook, Lab, deployment, webhook
from tests.integration.servers import ROOT, at, prefect_of_a_cluster

FILES = ROOT / chart.CHART / "files" / "bootstrap"
POOL = "kubernetes"
SHORT = 10
"""The shortest silence that Prefect looks for, in seconds."""


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a client of a Prefect server."""
    with prefect_of_a_cluster(tmp_path_factory.mktemp("prefect")) as own:
        yield own


@pytest.fixture
def lab(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A place to let runs crash in, with no automation yet."""
    monkeypatch.syspath_prepend(str(FILES))
    with at(env), get_client(sync_client=True) as client:
        for found in client.read_automations():
            client.delete_automation(found.id)
        for pool in client.read_work_pools():
            client.delete_work_pool(pool.name)
        yield Lab(client, in_a_pool_of_its_own(client, POOL))


@contextmanager
def writing(env: dict[str, str]) -> Iterator[None]:
    """Another process writes to Prefect's database, by half seconds, as its own many connections do under load."""
    database = Path(env["PREFECT_HOME"]).parent / "server" / "prefect.db"
    code = (
        "import os, sqlite3, sys, time\n"
        "database = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)\n"
        "database.execute('CREATE TABLE IF NOT EXISTS written (one)')\n"
        "while os.getppid() == int(sys.argv[2]):\n"
        "    database.execute('INSERT INTO written VALUES (1)')\n"
        "    time.sleep(0.002 if time.time() % 1 < 0.5 else 0.1)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(database), str(os.getpid())])
    try:
        yield
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def in_a_pool_of_its_own(client: SyncPrefectClient, pool: str) -> UUID:
    """A deployment."""
    client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
    return deployment(client, pool)


@pytest.fixture
def rerun(lab: Lab) -> None:
    """Crashed runs of the pool are run again."""
    import automations

    automations.apply(lab.client, automations.rerun(POOL))


@pytest.mark.usefixtures("rerun")
def test_a_run_that_crashed_is_run_again_as_the_same_run_with_all_it_was_given(lab: Lab) -> None:
    run = lab.run(Pending(), Running(), Crashed(message="killed"))

    again = lab.wait(run, StateType.SCHEDULED)

    assert (again.id, again.deployment_id) == (run.id, lab.deployment)
    assert (again.parameters, again.tags, again.job_variables) == (PARAMETERS, ["tried"], {"memory": "3Gi"})
    assert again.state
    assert again.state.message == "it crashed, and is run again by itself, this once."
    assert again.next_scheduled_start_time


@pytest.mark.usefixtures("rerun")
@pytest.mark.parametrize("goes_on", [[Pending(), Running(), Crashed()], [Pending(), Crashed()], [Crashed()]])
def test_a_run_that_crashes_again_stays_crashed_however_far_it_came(lab: Lab, goes_on: list[State]) -> None:
    run = lab.wait(lab.run(Pending(), Running(), Crashed()), StateType.SCHEDULED)

    lab.go(run, *goes_on)
    lab.settle()

    assert lab.names(run).count("Scheduled") == 2  # as it was made, and once more
    assert lab.client.read_flow_run(run.id).state_name == "Crashed"


@pytest.mark.usefixtures("rerun")
def test_every_run_that_crashed_is_run_again_while_the_database_is_busy(lab: Lab, env: dict[str, str]) -> None:
    """By Prefect's own broker three of four were not."""
    import automations

    for found in automations.wanted(120, 120, POOL):  # which read what they write, too
        automations.apply(lab.client, found)
    runs = [lab.run(Pending(), Running()) for _ in range(12)]
    with writing(env):
        for run in runs:
            lab.go(run, Crashed(message="killed"))

        for run in runs:
            lab.wait(run, StateType.SCHEDULED)
            assert lab.names(run).count("Scheduled") == 2  # as it was made, and once more


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

    other = lab.run(Pending(), Running(), Crashed(), deployment=in_a_pool_of_its_own(lab.client, "another"))
    alone = lab.go(lab.client.create_flow_run(child), Pending(), Running(), Crashed())
    lab.settle()

    assert lab.client.read_flow_run(other.id).state_name == "Crashed"
    assert lab.client.read_flow_run(alone.id).state_name == "Crashed"


def test_a_run_that_fell_silent_is_crashed_and_run_again(lab: Lab) -> None:
    import automations

    for wanted in (*automations.wanted(SHORT, 600, "kubernetes"), automations.rerun(POOL)):
        automations.apply(lab.client, wanted)

    run = lab.wait(lab.run(Pending(), Running()), StateType.SCHEDULED)

    assert lab.names(run) == ["Scheduled", "Pending", "Running", "Crashed", "Scheduled"]
    crashed = next(state for state in lab.client.read_flow_run_states(run.id) if state.name == "Crashed")
    assert str(crashed.message).startswith(f"nothing was heard of it for {SHORT} s: its process is gone")


def test_a_run_that_is_being_cancelled_and_does_not_end_is_cancelled(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    import automations

    monkeypatch.setattr(automations, "CANCELLING", timedelta(seconds=SHORT))
    for wanted in (*automations.wanted(600, 600, "kubernetes"), automations.rerun(POOL)):
        automations.apply(lab.client, wanted)

    run = lab.wait(lab.run(Pending(), Running(), Cancelling()), StateType.CANCELLED)

    assert run.state
    assert str(run.state.message).startswith(f"it did not end by itself within {SHORT} s.")
    assert lab.names(run) == ["Scheduled", "Pending", "Running", "Cancelling", "Cancelled"]


def test_a_run_that_does_not_start_is_crashed_and_left(lab: Lab) -> None:
    import automations

    for wanted in (*automations.wanted(600, SHORT, "kubernetes"), automations.rerun(POOL)):
        automations.apply(lab.client, wanted)

    run = lab.wait(lab.run(Pending()), StateType.CRASHED)
    lab.settle()

    assert lab.client.read_flow_run(run.id).state_id == run.state_id
    assert run.state
    assert str(run.state.message).startswith(f"it did not start within {SHORT} s: the image cannot be pulled")


def test_a_run_that_was_put_back_at_once_and_does_not_start_again_is_crashed(lab: Lab) -> None:
    import automations

    for wanted in automations.wanted(600, SHORT, "kubernetes"):
        automations.apply(lab.client, wanted)

    run = lab.wait(lab.run(Pending(), Running(), AwaitingRetry(), Pending()), StateType.CRASHED)

    assert run.state
    assert str(run.state.message).startswith(f"it did not start within {SHORT} s: the image cannot be pulled")


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A webhook that takes JSON."""
    with webhook() as found:
        yield found


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


@pytest.fixture
def refused(lab: Lab) -> None:
    """Automations that SQLite refuses while another process writes: the server then shows the event to all of them
    again, in no order. They are more than one, so that some come after those that a test looks at."""
    import automations

    silent, *_ = automations.wanted(120, 120, POOL)
    for number in range(4):
        automations.apply(lab.client, silent.model_copy(update={"name": f"{silent.name}, {number}"}))
    automations.apply(lab.client, automations.rerun(POOL))


@pytest.mark.usefixtures("refused")
def test_every_failure_is_told_once_while_the_database_is_busy(
    lab: Lab, env: dict[str, str], hook: Hook, notices: Callable[[str], str]
) -> None:
    notices(hook.address)
    runs = [lab.run(Pending(), Running()) for _ in range(12)]
    with writing(env):
        for run in runs:
            lab.go(run, Failed(message="no rows"))
        hook.wait(len(runs) // 2)
    hook.wait(len(runs))
    lab.settle()

    told = [text.split(" is Failed: ")[0] for text in hook.wait(len(runs)) if " is Failed: " in text]
    assert sorted(told) == sorted(run.name for run in runs)


@pytest.mark.usefixtures("refused")
def test_a_failure_that_the_server_hears_of_too_early_is_told_while_the_database_is_busy(
    lab: Lab, env: dict[str, str], hook: Hook, notices: Callable[[str], str]
) -> None:
    """It is put aside until what it follows was there, and would not be tried again."""
    notices(hook.address)
    runs = [lab.run(Pending(), Running()) for _ in range(6)]
    with writing(env):
        for run in runs:
            first, then = told_of(run, "Running"), told_of(run, "Failed")
            for each in (then.model_copy(update={"follows": first.id}), first):
                lab.client.request("POST", "/events", json=[each.model_dump(mode="json")])
        hook.wait(len(runs) // 2)

    assert len(set(hook.wait(len(runs)))) == len(runs)


def told_of(run: FlowRun, state: str) -> Event:
    """What a server says of a state of a run of the pool."""
    pool = {"prefect.resource.id": "its", "prefect.resource.name": POOL, "prefect.resource.role": "work-pool"}
    of = {"prefect.resource.id": f"prefect.flow-run.{run.id}", "prefect.state-type": state.upper()}
    return Event(event=f"prefect.flow-run.{state}", resource=Resource(of), related=[RelatedResource(pool)])


def test_every_alarm_of_the_monitor_is_told(lab: Lab, hook: Hook, notices: Callable[[str], str]) -> None:
    notices(hook.address)

    for month in ("2023-03", "2023-04"):  # of two runs, at the same moment
        run = {"prefect.resource.id": f"prefect.flow-run.{uuid4()}", "prefect.resource.role": "flow-run"}
        emit_event(
            event="trainyard.monitor.alarm",
            resource={"prefect.resource.id": "trainyard.model.trip-duration", "prefect.resource.name": "trip-duration"},
            related=[run],
            payload={"month": month, "alarms": ["the error is 1.2 times that at promotion", "distance drifts"]},
        )

    assert sorted(hook.wait(2)) == [
        f"Alarm: trip-duration on {month}: the error is 1.2 times that at promotion; distance drifts"
        for month in ("2023-03", "2023-04")
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
