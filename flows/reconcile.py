"""The flow ``reconcile``: what crashes left, found and, on request, repaired."""

from datetime import UTC, datetime

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows.reconciling import opening, report
from flows.reconciling.whole import Reconcile
from flows.resources import open_resources


def run_name() -> str:
    """What a run is called in the UI."""
    return "reconcile (dry)" if flow_run.parameters["dry_run"] else "reconcile"


@flow(
    name="reconcile",
    description="Find what crashes left behind and what retention no longer keeps; repair it unless it is a dry run.",
    flow_run_name=run_name,
    timeout_seconds=3600,
    persist_result=False,
)
def reconcile(dry_run: bool = True) -> State:
    """Find what crashes left behind, and repair it.

    Ends Completed as ``Nothing to do``, ``Dry run``, ``Repaired`` or ``Let be``; Failed as ``Incomplete`` where
    something could not be looked at or repaired, or needs a person. What a run under way may be at work on is let be.
    The Jobs on a cluster are looked at by the chart's CronJob alone.

    Args:
        dry_run: Only report what is found.
    """
    resources = open_resources()
    settings = resources.settings
    found = Reconcile(opening.systems(settings), opening.limits(settings), datetime.now(UTC), dry_run).run()
    get_run_logger().info("%s", report.text(found))
    create_table_artifact(
        report.rows(found), key="reconcile", description="; ".join([report.summary(found), *found.notes])
    )
    return _state(found)


def _state(found: Reconcile) -> State:
    text = "; ".join([report.summary(found), *found.notes])
    if found.failed:
        return Failed(name="Incomplete", message=text)
    if not found.outcomes:
        name = "Nothing to do"
    elif found.dry_run:
        name = "Dry run"
    else:
        name = "Repaired" if any(outcome.repaired for outcome in found.outcomes) else "Let be"
    return Completed(name=name, message=text)
