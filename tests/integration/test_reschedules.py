"""A run whose pod is taken away time after time: Prefect would start it for ever."""

from collections.abc import Callable

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.flow_engine import run_flow
from prefect.states import AwaitingRetry, Failed, Pending, Running

from flows.ml.snapshot import WindowError
from flows.resources import RescheduledTooOften
from flows.retrain import retrain
from tests.integration.home import MODEL, Home

TAKEN_AWAY = (Pending, Running, AwaitingRetry)


def test_the_fifth_start_of_a_run_that_was_put_back_each_time_fails_with_a_sentence(home: Home) -> None:
    state = started_after(*TAKEN_AWAY * 4)

    assert state.type.value == "FAILED"
    assert isinstance(state.result(raise_on_failure=False), RescheduledTooOften)
    assert "started 5 times: its pod was evicted, or reached its deadline, each time." in str(state.message)


def test_the_fourth_start_runs(home: Home) -> None:
    state = started_after(*TAKEN_AWAY * 3)

    assert isinstance(state.result(raise_on_failure=False), WindowError)  # as the lake is empty


def test_an_operator_may_start_it_again_whatever_came_before(home: Home) -> None:
    state = started_after(*TAKEN_AWAY * 4, Pending, Running, Failed, AwaitingRetry)

    assert isinstance(state.result(raise_on_failure=False), WindowError)


def started_after(*states: Callable[[], State]) -> State:
    """How a run of ``retrain`` ends that went through states before its pod starts it once more."""
    parameters = {"model": MODEL}
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(retrain, parameters=parameters)
        for state in states:
            client.set_flow_run_state(run.id, state(), force=True)
        run = client.read_flow_run(run.id)
    ended = run_flow(retrain, flow_run=run, parameters=parameters, return_type="state")
    assert isinstance(ended, State)
    return ended
