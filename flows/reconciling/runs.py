"""What of runs and Jobs does not belong together, by what Prefect and Kubernetes say. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from flows.ml.reconciling.finding import Finding, Kind, Limits


@dataclass(frozen=True)
class Run:
    """A flow run: ``state`` is its state's type, ``since`` when it came to it.

    ``parent`` is the run whose process it shares, empty where it has its own; ``pool`` the work pool that started it.
    ``subjects`` are the models and datasets it works on.
    """

    run_id: str
    name: str
    state: str
    state_id: str
    since: datetime
    parent: str = ""
    pool: str = ""
    subjects: frozenset[str] = frozenset()

    @property
    def ended(self) -> bool:
        """Whether it is in a terminal state."""
        return self.state in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}

    @property
    def at_work(self) -> bool:
        """Whether something is to be at work on it: it waits for no turn, retry or person, and has not ended."""
        return self.state in {"PENDING", "RUNNING", "CANCELLING"}


@dataclass(frozen=True)
class Job:
    """A Job of a flow run; ``ended_at`` is None while it is not finished."""

    name: str
    uid: str
    run_id: str
    made_at: datetime
    ended_at: datetime | None = None


def without_job(runs: Sequence[Run], jobs: Sequence[Job], pool: str, limits: Limits, now: datetime) -> list[Finding]:
    """The runs of the pool that Prefect takes for begun, and that no Job is at work on."""
    working = {job.run_id for job in jobs if job.ended_at is None or now - job.ended_at < limits.settle}
    return [
        Finding(Kind.NO_JOB, f"run {run.name}", f"{run.state} {_since(run.since)}", target=(run.run_id, run.state_id))
        for run in runs
        if run.pool == pool and run.at_work and run.run_id not in working and now - run.since >= limits.settle
    ]


def without_run(runs: Mapping[str, Run | None], jobs: Sequence[Job], limits: Limits, now: datetime) -> list[Finding]:
    """The Jobs at work for a run that has ended, or that Prefect does not know (None in ``runs``)."""
    return list(_without_run(runs, jobs, limits, now))


def _without_run(
    runs: Mapping[str, Run | None], jobs: Sequence[Job], limits: Limits, now: datetime
) -> Iterator[Finding]:
    for job in jobs:
        run = runs[job.run_id]
        since = max(job.made_at, run.since) if run else job.made_at
        if job.ended_at is None and (run is None or run.ended) and now - since >= limits.settle:
            said = f"its run {run.name} is {run.state} {_since(run.since)}" if run else "Prefect does not know its run"
            yield Finding(Kind.NO_RUN, f"Job {job.name}", said, target=(job.name, job.uid))


def orphans(runs: Mapping[str, Run], dead: frozenset[str], limits: Limits, now: datetime) -> list[Finding]:
    """The runs that share the process of a parent that has ended, or is ended now (``dead``), however far up it is."""
    found = []
    for run in runs.values():
        if not run.ended and run.parent and (parent := _dead(run, runs, dead)) and _settled(parent, dead, limits, now):
            why = f"{run.state} {_since(run.since)}, and {parent.name} is {_as_it_is(parent, dead)}"
            found.append(Finding(Kind.ORPHAN, f"run {run.name}", why, target=(run.run_id, run.state_id)))
    return found


def _dead(run: Run, runs: Mapping[str, Run], dead: frozenset[str]) -> Run | None:
    """The nearest run above that has ended or is ended now; None where all are alive."""
    seen = {run.run_id}
    while (above := runs.get(run.parent)) and above.run_id not in seen:
        if above.ended or above.run_id in dead:
            return above
        seen.add(above.run_id)
        run = above
    return None


def _settled(parent: Run, dead: frozenset[str], limits: Limits, now: datetime) -> bool:
    return parent.run_id in dead or now - parent.since >= limits.settle


def _as_it_is(parent: Run, dead: frozenset[str]) -> str:
    return "without its Job" if parent.run_id in dead else f"{parent.state} {_since(parent.since)}"


def _since(moment: datetime) -> str:
    return f"since {moment:%Y-%m-%d %H:%M} UTC"
