"""The flow ``promote``: the operator's lever, to any version and back."""

from typing import Annotated

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from pydantic import StringConstraints

from flows.ml import ledger, promotion, registration, stored
from flows.ml.ledger import Entry, HeadMoved
from flows.ml.promotion import NoPrevious, NotAPerson, Wish
from flows.ml.registration import LedgerMissing
from flows.ml.registry import Version
from flows.ml.registry_errors import VersionMissing
from flows.ml.stored import VersionUnusable
from flows.models import ModelName
from flows.resources import RETRIES, attach, open_resources, scratch

LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*$"
"""A text without control characters, line breaks, or marks that turn the direction of what follows."""

WhichVersion = Annotated[str, StringConstraints(pattern=r"^(previous|[1-9][0-9]{0,8})$", strip_whitespace=True)]
Operator = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=LINE, strip_whitespace=True)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=LINE, strip_whitespace=True)]

REFUSALS = (HeadMoved, LedgerMissing, NoPrevious, NotAPerson, VersionMissing, VersionUnusable)


def run_name() -> str:
    """What a run is called in the UI."""
    given = flow_run.parameters
    return f"promote {given['model']} {given['version']}"


@flow(
    name="promote",
    description="Put a version of a model in service, or go back to the one before, by an operator's word.",
    flow_run_name=run_name,
    timeout_seconds=600,
    persist_result=False,
)
def promote(model: ModelName, version: WhichVersion, operator: Operator, reason: Reason) -> State:
    """Put a version in service: any, or the one before.

    Ends Completed as ``Promoted``, or as ``Unchanged`` where that version is in service already; Failed as ``Refused``
    where it cannot be, or someone else promoted meanwhile. The version that is taken out of service is barred: the
    schedule does not promote it again until an operator does. Run again it goes on where it stopped.

    Args:
        model: Which model.
        version: The number of the version in MLflow, or "previous": the one in service before this one.
        operator: Who decides. It is kept in the ledger and shown to everyone.
        reason: Why, in a sentence. It is kept in the ledger and shown to everyone.
    """
    open_resources()
    try:
        wish = Wish(model, version, operator, reason, str(flow_run.id), flow_run.scheduled_start_time)
        found = look_up(wish)
        if done := promotion.granted(found, wish):
            settle(done, wish.model)
            return Completed(name="Unchanged", message=unchanged(done, found[-1]))
        promotion.require_seen(found, wish)
        chosen = choose(wish, found)
        try_out(chosen)
        entry = put_in_service(chosen, found[-1] if found else None, wish)
        settle(entry, wish.model)
    except REFUSALS as refusal:
        return Failed(name="Refused", message=str(refusal))
    instead = f" instead of version {entry.champion}" if entry.champion else ""
    text = f"version {entry.version} is in service{instead}, by {entry.operator}: {entry.reason}"
    return Completed(name="Promoted", message=text)


def unchanged(done: Entry, head: Entry) -> str:
    """What there is to say where nothing is left to do."""
    if done == head:
        return f"version {done.version} is in service already, since {promotion.said(done)}"
    return f"version {done.version} was put in service by this run; version {head.version} replaced it since"


@task(task_run_name="look {wish.model} up in the ledger", persist_result=False, **RETRIES)
def look_up(wish: Wish) -> list[Entry]:
    """All promotions; an alias that a crash left behind is put right."""
    resources = attach()
    registration.align(resources.lake, resources.registry, wish.model)
    return ledger.entries(resources.lake, wish.model)


@task(task_run_name="find version {wish.version} of {wish.model}", persist_result=False, **RETRIES)
def choose(wish: Wish, found: list[Entry]) -> Version:
    """The version that is wished. Raises ``NoPrevious``, ``VersionMissing``."""
    before = promotion.previous(found, wish.model) if wish.version == promotion.PREVIOUS else None
    registry, number = attach().registry, before.version if before else int(wish.version)
    return registration.promotable(registry, wish.model, number, before.fingerprint if before else None)


@task(task_run_name="try version {version.number} of {version.model}", persist_result=False, **RETRIES)
def try_out(version: Version) -> None:
    """Load it as MLflow serves it, and predict its own input example. Raises ``VersionUnusable``."""
    resources = attach()
    with scratch(resources.settings) as folder:
        rows = stored.try_out(resources.registry, version, folder)
    get_run_logger().info("version %d predicts the %d rows stored with it", version.number, rows)


@task(task_run_name="put version {version.number} of {version.model} in service", persist_result=False, **RETRIES)
def put_in_service(version: Version, head: Entry | None, wish: Wish) -> Entry:
    """Write the promotion into the ledger. Raises ``HeadMoved`` where another one came first."""
    return ledger.promote(
        attach().lake,
        version.model,
        head,
        version=version.number,
        fingerprint=version.fingerprint,
        decision=wish.run,
        reason=wish.reason,
        operator=wish.operator,
    )


@task(task_run_name="let MLflow follow the ledger of {model}", persist_result=False, **RETRIES)
def settle(entry: Entry, model: str) -> None:
    """Let the alias and the tags follow the ledger, and show the operator what is in service."""
    resources = attach()
    registration.align(resources.lake, resources.registry, model)
    registration.require_alias(resources.registry, model, ledger.head(resources.lake, model) or entry)
    registration.mark(resources.lake, resources.registry, model)
    version = resources.registry.version(model, entry.version)
    links = registration.links(resources.registry, version, resources.settings.mlflow_url)
    found = ledger.entries(resources.lake, model)
    create_markdown_artifact(
        promotion.card(model, found, links),
        key=f"in-service-{model}",
        description=f"What is in service of {model}, and what was before",
    )
