"""What Prefect knows of runs, and ending one there."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.states import Cancelled, Crashed

from flows.ml.errors import TrainyardError
from flows.reconciling.runs import Run

PAGE = 200
OPEN = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED, StateType.CANCELLING]
NOT_BEGUN = ["Scheduled", "Late", "AwaitingConcurrencySlot"]
"""Of the open states those of a run that nothing is at work on, and never was."""


class PrefectUnreachable(TrainyardError):
    """Prefect does not answer, or not to these credentials."""


class RunMoved(TrainyardError):
    """A run is in another state than it was found in."""


@dataclass(frozen=True)
class Orchestrator:
    """Prefect, whose runs work on ``datasets`` of models. Raises ``PrefectUnreachable``."""

    datasets: Mapping[str, str]

    def under_way(self) -> dict[str, Run]:
        """The runs that were begun and have not ended, with those above them, by id."""
        with _prefect() as client:
            found = list(_open(client))
            above = _parents(client, found)
            known = {run.id: run for run in found}
            while missing := set(above.values()) - set(known):
                read = [client.read_flow_run(run_id) for run_id in missing]
                known |= {run.id: run for run in read}
                above |= _parents(client, read)
        return {str(run.id): self._run(run, above) for run in known.values()}

    def find(self, run_ids: Iterable[str]) -> dict[str, Run | None]:
        """Runs by id; None where Prefect does not know one."""
        found: dict[str, Run | None] = {}
        with _prefect() as client:
            for run_id in run_ids:
                try:
                    found[run_id] = self._run(client.read_flow_run(UUID(run_id)), {})
                except (ObjectNotFound, ValueError):
                    found[run_id] = None
        return found

    def busy(self, since: datetime) -> frozenset[str]:
        """The models and datasets that runs work on that are under way, or ended after ``since``."""
        ended = FlowRunFilter(end_time=FlowRunFilterEndTime(after_=since))
        with _prefect() as client:
            return frozenset(
                subject for run in (*_open(client), *_all(client, ended)) for subject in self._subjects(run)
            )

    def end(self, run_id: str, state_id: str, why: str) -> None:
        """Set a run Crashed, or Cancelled where it was being cancelled, that is in the state it was found in.

        Raises ``RunMoved``.
        """
        with _prefect() as client:
            run = client.read_flow_run(UUID(run_id))
            if run.state is None or str(run.state.id) != state_id:
                raise RunMoved(f"run {run.name} went on meanwhile: it is {run.state and run.state.name} now")
            client.set_flow_run_state(run.id, (Cancelled if run.state.is_cancelling() else Crashed)(message=why))
            if (state := client.read_flow_run(run.id).state) is None or not state.is_final():
                raise RunMoved(f"Prefect leaves run {run.name} {run.state.name}: set its state in the UI")

    def _run(self, run: FlowRun, above: Mapping[UUID, UUID]) -> Run:
        assert run.state is not None
        return Run(
            run_id=str(run.id),
            name=run.name,
            state=run.state.type.value,
            state_id=str(run.state.id),
            since=run.state.timestamp,
            parent=str(above.get(run.id, "")),
            pool=run.work_pool_name or "",
            subjects=self._subjects(run),
        )

    def _subjects(self, run: FlowRun) -> frozenset[str]:
        given = {str(run.parameters[name]) for name in ("model", "dataset") if name in run.parameters}
        return frozenset(given | {self.datasets[name] for name in given if name in self.datasets})


def _open(client: SyncPrefectClient) -> Iterator[FlowRun]:
    state = FlowRunFilterState(
        type=FlowRunFilterStateType(any_=OPEN), name=FlowRunFilterStateName(not_any_=list(NOT_BEGUN))
    )
    return _all(client, FlowRunFilter(state=state))


def _all(client: SyncPrefectClient, wanted: FlowRunFilter) -> Iterator[FlowRun]:
    offset = 0
    while page := client.read_flow_runs(flow_run_filter=wanted, limit=PAGE, offset=offset):
        yield from (run for run in page if run.state is not None)
        offset += PAGE


def _parents(client: SyncPrefectClient, runs: Iterable[FlowRun]) -> dict[UUID, UUID]:
    """The runs whose process runs share: subflows that were called, not those that were deployed and started."""
    found = {}
    for run in runs:
        if run.parent_task_run_id and not run.deployment_id:
            parent = client.read_task_run(run.parent_task_run_id).flow_run_id
            if parent:
                found[run.id] = parent
    return found


@contextmanager
def _prefect() -> Iterator[SyncPrefectClient]:
    try:
        with get_client(sync_client=True) as client:
            yield client
    except (httpx.HTTPError, PrefectException) as error:
        raise PrefectUnreachable(f"Prefect does not answer ({type(error).__name__}: {error}).") from error
