"""The flow ``monthly``: the scheduled whole. ``ingest``; ``score`` and ``monitor`` by the champion; ``retrain``."""

from datetime import UTC, datetime
from typing import Any

from prefect import flow, tags, task
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows import models
from flows.datasets import DatasetName
from flows.ingest import Source, ingest, unpublished
from flows.ml import landing, ledger, monitored, months, registration
from flows.ml.errors import TrainyardError
from flows.ml.monitored import NotMonitored
from flows.ml.reconciling import schedule
from flows.models import ModelName
from flows.monitor import monitor
from flows.resources import RETRIES, MonthOrEmpty, attach, open_resources
from flows.retrain import retrain
from flows.score import score

SETTLED = ("Unchanged", "Barred")
"""The ends of a retrain that found its training in the ledger."""


class NoMonth(TrainyardError):
    """There is no telling which month comes next."""


def run_name() -> str:
    """What a run is called in the UI."""
    given = flow_run.parameters
    return f"monthly {given['model']} {given['month'] or 'next month'}"


def note_good_end(flow: Any, flow_run: FlowRun, state: State) -> None:  # noqa: ARG001 - Prefect's names
    """Leave the mark by which ``reconcile`` sees that the schedule works. Where that fails Prefect logs it."""
    schedule.note(attach().lake, flow_run.parameters["model"], state.name or "", datetime.now(UTC))


@flow(
    name="monthly",
    description="Land the next month, score and monitor it by the model in service, then retrain and judge on it.",
    flow_run_name=run_name,
    timeout_seconds=10 * 3600,
    persist_result=False,
    on_completion=[note_good_end],
)
def monthly(model: ModelName, month: MonthOrEmpty = "", source: Source = "") -> State:
    """Land the next month, score and monitor it by the champion in service, then retrain.

    Ends as the retrain ended, and says how the champion did. The retrain runs whatever became of score and monitor;
    where one of these failed a good retrain ends Failed as ``Not monitored``. A champion that knows the month is not
    held against it. A month not published yet ends Completed as ``Not published``; the first month of a lake, which
    leaves nothing to train on, Completed as ``Landed``. Where a run before this one landed a month and did not come as
    far as the end of a verdict on it, that month is judged first. Where its training stands in the ledger and somebody
    deleted the version, there is nothing to judge, and the next month comes.

    Args:
        model: Which model.
        month: The month to land and to judge by, as YYYY-MM. Empty: the first one after the newest in the lake.
        source: Where the month's file is: a URL, an s3:// key or a path, with {dataset} and {month} to fill in. Empty:
            where the dataset is published. No password and no signed query (@, ?): parameters are shown to everyone.
    """
    open_resources()
    dataset = DatasetName(models.load(model).dataset)
    with tags("model", model):
        if not month and (waiting := unjudged(model, dataset)):
            ended = watch_and_retrain(model, waiting, f"retrain until {waiting}, landed before")
            if ended.name not in SETTLED:
                return ended
        month = month or next_month(dataset)
        if address := unpublished(dataset, month, source):
            return Completed(
                name=schedule.NO_NEWS, message=f"{month} of {dataset} is not at {address} yet; the next run looks again"
            )
        landed = ingest(dataset, month, source, return_state=True)
        if not landed.is_completed():
            return _as(landed, f"{month} was not landed")
        if month == first_month(dataset):
            text = f"{month} is the first month in the lake: there is none before it to train on"
            return Completed(name="Landed", message=text)
        return watch_and_retrain(model, month, f"retrain until {month}")


def watch_and_retrain(model: ModelName, month: str, what: str) -> State:
    """The end of the retrain, with a sentence on the champion that was in service until then."""
    watched = watch(model, month)
    ended = _as(retrain(model, until=month, return_state=True), what)
    if ended.is_completed() and not watched.is_completed():
        return Failed(name="Not monitored", message=f"{ended.name}: {ended.message} {watched.message}")
    return State(type=ended.type, name=ended.name, message=f"{ended.message} {watched.message}")


def watch(model: ModelName, month: str) -> State:
    """Score and monitor a month by the champion in service; a state with a sentence on how that ended."""
    try:
        if reason := unwatched(model, month):
            return Completed(message=f"Not monitored: {reason}")
    except TrainyardError as error:
        return Failed(message=f"Not monitored: {error}")
    scored = score(model, month, return_state=True)
    if not scored.is_completed():
        return Failed(message=f"Not monitored, as it was not scored: {scored.name}: {scored.message}")
    ended = monitor(model, month, and_retrain=False, return_state=True)
    return State(type=ended.type, message=f"Monitored: {ended.name}: {ended.message}")


@task(task_run_name="see whether the champion can be monitored on {month}", persist_result=False, **RETRIES)
def unwatched(model: ModelName, month: str) -> str:
    """Why the champion in service cannot be held against a month; empty where it can."""
    resources = attach()
    if ledger.head(resources.lake, model) is None:
        return "no model was in service."
    try:
        case = monitored.look_up(resources.lake, resources.registry, models.load(model), month)
    except NotMonitored as reason:
        return str(reason)
    if case.judged >= month:
        return f"version {case.version}, the champion, was judged on {case.judged} when it was promoted."
    return ""


@task(task_run_name="find a month that was landed and not judged", persist_result=False, **RETRIES)
def unjudged(model: ModelName, dataset: DatasetName) -> str:
    """The newest month, where a run that landed it did not come as far as its verdict's end; else empty.

    A verdict to promote has come to its end once the ledger says so, and the alias follows the ledger.
    """
    resources = attach()
    registration.align(resources.lake, resources.registry, model)
    have = landing.months(resources.lake, dataset)
    promoted = {entry.fingerprint for entry in ledger.entries(resources.lake, model)}
    judged = {
        version.tags.get("judged")
        for version in resources.registry.versions(model)
        if version.tags.get("verdict") != "promote" or version.fingerprint in promoted
    }
    return have[-1] if len(have) > 1 and have[-1] not in judged else ""


@task(task_run_name="find the month after the newest of {dataset}", persist_result=False, **RETRIES)
def next_month(dataset: DatasetName) -> str:
    """The month after the newest in the lake. Raises ``NoMonth`` for an empty lake."""
    have = landing.months(attach().lake, dataset)
    if not have:
        raise NoMonth(f"the lake holds no month of {dataset}: run this once with the month to begin with.")
    return months.following(have[-1])


@task(task_run_name="find the first month of {dataset}", persist_result=False, **RETRIES)
def first_month(dataset: DatasetName) -> str:
    """The oldest month in the lake."""
    return landing.months(attach().lake, dataset)[0]


def _as(state: State, what: str) -> State:
    """The end of a subflow as the end of the whole: its type, its name, its sentence."""
    return State(type=StateType(state.type), name=state.name, message=f"{what}: {state.message}")
