"""What a test of ``reconcile`` plants, and the reconcile it lets look for it."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Completed, Pending, Running

from flows.ml import ledger
from flows.ml.ledger import Entry
from flows.ml.reconciling.finding import Limits
from flows.ml.settings import load
from flows.reconciling import opening
from flows.reconciling.orchestrator import OPEN
from flows.reconciling.whole import Reconcile, Systems
from tests.integration.home import MODEL, Home
from tests.unit.verdicts import VERDICT

AT_ONCE = Limits(settle=timedelta(0), stale=timedelta(0))
"""Limits to which nothing is too young."""
IN_A_YEAR = datetime.now(UTC) + timedelta(days=365)

Done = tuple[str, str, str]
"""Kind, what it is about, and what was done, the latter up to its first colon or word."""


def look(limits: Limits = AT_ONCE, *, dry_run: bool = False, now: datetime | None = None, **other: Any) -> Reconcile:
    """A reconcile of the systems the environment leads to; ``other`` replaces some of them."""
    systems: Systems = replace(opening.systems(load()), **other)
    return Reconcile(systems, limits, now or datetime.now(UTC), dry_run).run()


def done(found: Reconcile) -> list[Done]:
    """What it found and did."""
    return [(str(one.finding.kind), one.finding.what, one.done) for one in found.outcomes]


class Plants:
    """A model in MLflow and in the ledger, without anything that was trained."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.mlflow = MlflowClient(home.registry.uri)
        if self.mlflow.get_experiment_by_name(MODEL) is None:
            self.mlflow.create_experiment(MODEL)
        with contextlib.suppress(MlflowException):  # it is there
            self.mlflow.create_registered_model(MODEL)

    def run(self, fingerprint: str, **tags: str) -> str:
        """A run of a training, left RUNNING; its id."""
        experiment = self.mlflow.get_experiment_by_name(MODEL)
        assert experiment
        return str(
            self.mlflow.create_run(experiment.experiment_id, tags={"fingerprint": fingerprint, **tags}).info.run_id
        )

    def version(self, fingerprint: str, run_id: str = "", tags: Mapping[str, str] = VERDICT) -> int:
        """A version of a training whose run has ended; its number."""
        if not run_id:
            run_id = self.run(fingerprint, **tags)
            self.mlflow.set_terminated(run_id)
        own = {"fingerprint": fingerprint, **tags} if fingerprint else dict(tags)
        return int(self.mlflow.create_model_version(MODEL, "s3://lake/nothing", run_id, tags=own).version)

    def promote(self, number: int, fingerprint: str, decision: str = "d") -> Entry:
        """An entry of the ledger, and no alias."""
        against = ledger.head(self.home.lake, MODEL)
        given = {"version": number, "fingerprint": fingerprint, "decision": decision, "reason": "r", "operator": "test"}
        return ledger.promote(self.home.lake, MODEL, against, **given)

    def tags(self, number: int) -> dict[str, str]:
        """The tags of a version."""
        return dict(self.mlflow.get_model_version(MODEL, str(number)).tags)

    def numbers(self) -> list[int]:
        """The versions there are."""
        return [version.number for version in self.home.registry.versions(MODEL)]


def start(state: State, pool: str | None = None, parent: FlowRun | None = None, **parameters: Any) -> FlowRun:
    """A flow run that Prefect takes to be in a state, and that has no process."""
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow_from_name("planted")
        if pool:
            made = client.create_deployment(
                flow_id=flow_id, name=f"planted-{pool}", work_pool_name=pool, entrypoint="x:x"
            )
            run = client.create_flow_run_from_deployment(made, parameters=parameters)
        else:
            run = _subflow(client, parent, parameters)
        for step in _way(state):
            client.set_flow_run_state(run.id, step)
        return client.read_flow_run(run.id)


def state_of(run: FlowRun) -> State:
    """The state of a run by now."""
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(run.id).state
    assert state
    return state


def close(run: FlowRun) -> None:
    """End a run that a test planted."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, Completed(), force=True)


def close_all() -> None:
    """End every run, those that other tests killed among them: Prefect takes them to be alive for a while."""
    still = FlowRunFilterState(type=FlowRunFilterStateType(any_=OPEN))
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_run_filter=FlowRunFilter(state=still)):
            close(run)


@contextlib.contextmanager
def unwatched() -> Iterator[None]:
    """No automation of Prefect acts: they end what is silent for two minutes, as runs are that stand still or have no
    process."""
    with get_client(sync_client=True) as client:
        on = [found.id for found in client.read_automations() if found.enabled]
        for automation in on:
            client.pause_automation(automation)
        try:
            yield
        finally:
            for automation in on:
                client.resume_automation(automation)


def _subflow(client: SyncPrefectClient, parent: FlowRun | None, parameters: Mapping[str, Any]) -> FlowRun:
    from prefect import flow, task

    @flow(name="planted")
    def planted(**given: Any) -> None: ...

    @task(name="planted")
    def called() -> None: ...

    above = client.create_task_run(called, parent.id, dynamic_key="0", state=Running()).id if parent else None
    return client.create_flow_run(planted, parameters=dict(parameters), parent_task_run_id=above)


def _way(state: State) -> list[State]:
    """The states on the way to a state."""
    if state.type is StateType.SCHEDULED:
        return [] if state.name == "Scheduled" else [state]
    return (
        [state] if state.type is StateType.PENDING else [Pending(), *([] if state.is_running() else [Running()]), state]
    )
