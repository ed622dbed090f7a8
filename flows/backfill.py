"""The flows ``backfill`` and ``backfill-scores``: the months that are missing, a few at a time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from prefect import Flow, flow, task
from prefect.artifacts import create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.concurrency.sync import concurrency
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound
from prefect.futures import PrefectFuture, as_completed
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import Task

from flows import models
from flows.datasets import DatasetName
from flows.ingest import Source, ingest, unpublished
from flows.ml import gaps, landing, ledger
from flows.ml.errors import TrainyardError
from flows.ml.gaps import Month, RangeError
from flows.ml.ledger import NoChampion
from flows.models import ModelName
from flows.resources import RETRIES, MonthOrEmpty, attach, open_resources, progress
from flows.score import find_predictions, score

LIMIT = "backfill"
"""The concurrency limit of Prefect that all backfills share; the bootstrap applies it."""
AT_ONCE = 3
"""Months that one backfill works on at once, where the limit lets it."""
LEASE = 60.0
"""Seconds after which the slot of a backfill that was killed comes free."""


class NoLimit(TrainyardError):
    """Nothing keeps backfills from taking all there is at once."""


REFUSALS = (NoLimit, RangeError, NoChampion)
"""What an operator has to put right before a month can be filled."""


def run_name() -> str:
    """What a run is called in the UI."""
    given = flow_run.parameters
    span = f"{given['first'] or 'the oldest'} to {given['last'] or 'the newest'}"
    dry = " (dry)" if given["dry_run"] else ""
    return f"{flow_run.flow_name} {given.get('dataset') or given['model']} {span}{dry}"


@flow(
    name="backfill",
    description="Land the months of a dataset that the lake lacks, a few at a time; one bad month stops no other.",
    flow_run_name=run_name,
    timeout_seconds=8 * 3600,
    persist_result=False,
    task_runner=ThreadPoolTaskRunner(max_workers=AT_ONCE),  # type: ignore[arg-type] # Prefect's own types disagree
)
def backfill(
    dataset: DatasetName,
    first: MonthOrEmpty = "",
    last: MonthOrEmpty = "",
    source: Source = "",
    dry_run: bool = False,
) -> State:
    """Land the months of a dataset that the lake lacks.

    Ends Completed as ``Filled``, ``Nothing missing`` or ``Dry run``; Failed as ``Incomplete`` where a month failed,
    which it names, or as ``Refused`` where no such range can be meant or nothing limits backfills. A month not
    published yet is reported and no failure. Run again it goes on where it stopped.

    Args:
        dataset: Which dataset.
        first: The first month, as YYYY-MM. Empty: the oldest in the lake.
        last: The last month, as YYYY-MM. Empty: the newest in the lake.
        source: Where a month's file is: a URL, an s3:// key or a path, with {dataset} and {month} to fill in. Empty:
            where the dataset is published. No password and no signed query (@, ?): parameters are shown to everyone.
        dry_run: Only report what is missing.
    """
    open_resources(registry=False)
    return fill(
        dataset, lambda: look(dataset, first, last), lambda month: land.submit(dataset, month, source), dry_run=dry_run
    )


@flow(
    name="backfill-scores",
    description="Write the predictions that months lack by the champion in service, a few months at a time.",
    flow_run_name=run_name,
    timeout_seconds=8 * 3600,
    persist_result=False,
    task_runner=ThreadPoolTaskRunner(max_workers=AT_ONCE),  # type: ignore[arg-type] # Prefect's own types disagree
)
def backfill_scores(
    model: ModelName, first: MonthOrEmpty = "", last: MonthOrEmpty = "", dry_run: bool = False
) -> State:
    """Write the predictions that months lack by the champion in service.

    Ends as ``backfill`` does, and as ``Refused`` without a champion. A month that the lake lacks is reported and no
    failure: ``backfill`` lands it.

    Args:
        model: Which model.
        first: The first month, as YYYY-MM. Empty: the oldest in the lake.
        last: The last month, as YYYY-MM. Empty: the newest in the lake.
        dry_run: Only report what is missing.
    """
    open_resources()
    return fill(
        model, lambda: look_for_scores(model, first, last), lambda month: predict.submit(model, month), dry_run=dry_run
    )


def fill(
    of: str, find: Callable[[], list[Month]], submit: Callable[[Month], PrefectFuture[Month]], *, dry_run: bool
) -> State:
    """Fill what is missing of a dataset or model, unless it is a dry run, and report on all of it."""
    try:
        require_limit()
        found = find()
    except REFUSALS as fault:
        return Failed(name="Refused", message=str(fault))
    if not dry_run:
        found = fill_all(found, submit)
    publish_report(found, of)
    end = gaps.plan(found) if dry_run else gaps.ending(found)
    return (Completed if end.well else Failed)(name=end.name, message=end.sentence)


@task(task_run_name="look which months of {dataset} there are", persist_result=False, **RETRIES)
def look(dataset: DatasetName, first: str, last: str) -> list[Month]:
    """The months of the range, with the rows of those that the lake has."""
    lake = attach().lake
    there = landing.months(lake, dataset)

    def looked_at(month: str) -> Month:
        if month not in there:
            return Month(month, "missing")
        return Month(month, "there", landing.manifest(lake, dataset, month).rows_kept)

    return [looked_at(month) for month in gaps.asked(first, last, there, dataset)]


@task(task_run_name="look which predictions of {model} there are", persist_result=False, **RETRIES)
def look_for_scores(model: ModelName, first: str, last: str) -> list[Month]:
    """The months of the range, with the rows of those that the champion in service has scored as they are now.

    Raises ``NoChampion``.
    """
    lake, dataset = attach().lake, models.load(model).dataset
    champion, there = ledger.champion(lake, model), landing.months(lake, dataset)

    def looked_at(month: str) -> Month:
        if month not in there:
            return Month(month, "not landed")
        scored = find_predictions.fn(model, landing.manifest(lake, dataset, month), champion)
        return Month(month, "there", scored.rows) if scored else Month(month, "missing")

    return [looked_at(month) for month in gaps.asked(first, last, there, dataset)]


@task(task_run_name="fill {month.month} of {dataset}", persist_result=False)
def land(dataset: DatasetName, month: Month, source: str) -> Month:
    """Land one month in a subflow, once there is a slot for it."""
    with concurrency(LIMIT, lease_duration=LEASE), told_apart(ingest, month.month):
        if address := unpublished(dataset, month.month, source):
            return month.now("not published", sentence=f"it is not at {address} yet")
        ended = ingest(dataset, month.month, source, return_state=True)
    if not ended.is_completed():
        return month.now("failed", sentence=str(ended.message))
    rows = landing.manifest(attach().lake, dataset, month.month).rows_kept
    return month.now("filled", rows, str(ended.message))


@task(task_run_name="score {month.month} by {model}", persist_result=False)
def predict(model: ModelName, month: Month) -> Month:
    """Score one month in a subflow, once there is a slot for it."""
    with concurrency(LIMIT, lease_duration=LEASE), told_apart(score, month.month):
        ended = score(model, month.month, return_state=True)
    if not ended.is_completed():
        return month.now("failed", sentence=str(ended.message))
    rows = landing.manifest(attach().lake, models.load(model).dataset, month.month).rows_kept
    return month.now("filled", rows, str(ended.message))


def fill_all(found: Sequence[Month], submit: Callable[[Month], PrefectFuture[Month]]) -> list[Month]:
    """Fill what is missing; every month, those that were there among them, with what became of it."""
    filled = {each.month: each for each in found}
    under_way = {submit(each): each for each in gaps.missing(found)}
    tell = progress(f"fill {len(under_way)} of {len(found)} months")
    for done, future in enumerate(as_completed(list(under_way)), start=1):
        month = under_way[future]
        ended = future.result(raise_on_failure=False)
        filled[month.month] = ended if isinstance(ended, Month) else month.now("failed", sentence=str(ended))
        tell(done, len(under_way))
    return list(filled.values())


@contextmanager
def told_apart(subflow: Flow[..., State], month: str) -> Iterator[None]:
    """Let a subflow of this run be known by its month.

    Prefect knows the subflows of a run by the order of their calls, which is another in each run of several threads:
    two that begin in the same moment would be taken for one, and a rerun would take up one month's as another's.
    """
    context = FlowRunContext.get()
    assert context
    before = {Task(fn=subflow.fn).task_key: int(month.replace("-", "")) - 1}
    with context.model_copy(update={"task_run_dynamic_keys": before}):
        yield


@task(task_run_name="see that backfills are limited", persist_result=False)
def require_limit() -> None:
    """Raise ``NoLimit`` where the limit that all backfills share is missing or switched off."""
    with get_client(sync_client=True) as client:
        try:
            found = client.read_global_concurrency_limit_by_name(LIMIT)
        except ObjectNotFound:
            found = None
    if not (found and found.active and found.limit):
        raise NoLimit(
            f"Prefect has no concurrency limit `{LIMIT}` in force: switch it on under Concurrency in the UI, or let an"
            " upgrade of the chart (on a laptop `make start`) apply it."
        )


@task(task_run_name="report the months", persist_result=False)
def publish_report(found: list[Month], of: str) -> None:
    """Show the operator every month of the range."""
    gap = sum(each.fate not in ("there", "filled") for each in found)
    text = f"{of} from {found[0].month} to {found[-1].month}: {gap} of {len(found)} months still missing"
    create_table_artifact(gaps.table(found), key=f"{flow_run.flow_name}-{of}", description=text)
