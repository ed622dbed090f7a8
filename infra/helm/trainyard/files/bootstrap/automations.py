"""The automations: they end the runs that Prefect itself would leave open for ever, and run crashed ones again."""

from contextlib import suppress
from datetime import timedelta

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import Automation, AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound

CANCELLING = timedelta(seconds=90)
"""How long a run that is being cancelled may take to end; its own process needs some seconds.

The chart's Prefect ends it sooner, and has the worker delete its Job: this is for a Prefect that is set otherwise.
"""

PENDING = "prefect.flow-run.Pending"
UNSTARTED = {PENDING, "prefect.flow-run.InfrastructurePending"}
ENDED = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Crashed", "Cancelled")}
SENT_BACK = {
    f"prefect.flow-run.{state}" for state in ("Scheduled", "Cancelling", "AwaitingConcurrencySlot", "AwaitingRetry")
}
RERUN = "A run that crashed is run again, once"
ONCE_IN = timedelta(days=30)
"""How long a run that was run again is not again: longer than any run takes, with its wait for a worker and a node."""

NOT_STARTED = {
    "kubernetes": "the image cannot be pulled, or no node has room for what it asks for. The run's log holds what"
    " Kubernetes said of the pod; correct the deployment's job variables and run it again.",
    "process": "the worker is away, or was lost before it started it. Start the platform and run it again.",
}
"""Why a run does not start, and what to do, by the type of the work pool."""


def wanted(silence_seconds: int, pending_seconds: int, pool_type: str) -> tuple[AutomationCore, ...]:
    """All of them, with their sentences for a type of work pool.

    They look at every run of the server: neither subflows nor the reports of a run (``heartbeat``) name a work pool.
    """
    silence, pending = timedelta(seconds=silence_seconds), timedelta(seconds=pending_seconds)
    return (
        _ending(
            "A run that fell silent is Crashed",
            "Runs report every 30 seconds. One that stops doing so has lost its process.",
            _missed({"prefect.flow-run.heartbeat", "prefect.flow-run.Running"}, {"prefect.flow-run.*"}, silence),
            StateType.CRASHED,
            f"nothing was heard of it for {silence_seconds} s: its process is gone (killed, pod deleted, node lost)."
            " Run it again; it goes on where it stopped.",
        ),
        _ending(
            "A run that does not start is Crashed",
            "Its image cannot be pulled, no node has room for it, or the worker was lost.",
            # Pending is in both: a run that was put back soon is to start in time once more.
            _missed(UNSTARTED, {PENDING, "prefect.flow-run.Running"} | ENDED | SENT_BACK, pending),
            StateType.CRASHED,
            f"it did not start within {pending_seconds} s: {NOT_STARTED[pool_type]}",
        ),
        _ending(
            "A run that is being cancelled and does not end is Cancelled",
            "Whoever should end it is gone, or hangs.",
            _missed({"prefect.flow-run.Cancelling"}, ENDED, CANCELLING),
            StateType.CANCELLED,
            f"it did not end by itself within {CANCELLING.seconds} s. What may be left of it ends at its deadline.",
        ),
    )


def rerun(pool_name: str) -> AutomationCore:
    """Schedules a run of the pool that crashed while it was at work once more, as the same run.

    A trigger that has fired for a run is deaf to it for ``within``, which Prefect keeps in its database: this makes it
    once, even where the run crashes anew before it has begun. A run that never began (count 0) is left: what kept it
    from beginning would again. Subflows and runs without a deployment have no pool.
    """
    trigger = EventTrigger(
        posture=Posture.Reactive,
        match={"prefect.resource.id": "prefect.flow-run.*", "prefect.run-count": "!0"},
        match_related={"prefect.resource.role": "work-pool", "prefect.resource.name": pool_name},
        for_each={"prefect.resource.id"},
        expect={"prefect.flow-run.Crashed"},
        threshold=1,
        within=ONCE_IN,
    )
    return _ending(
        RERUN,
        "Its process was killed or lost. It goes on where it stopped; where it crashes once more it stays Crashed.",
        trigger,
        StateType.SCHEDULED,
        "it crashed, and is run again by itself, this once.",
    )


def _missed(after: set[str], expect: set[str], within: timedelta) -> EventTrigger:
    """None of ``expect`` followed in time. It begins anew with an event that is in both."""
    return EventTrigger(
        posture=Posture.Proactive,
        match={"prefect.resource.id": "prefect.flow-run.*"},
        for_each={"prefect.resource.id"},
        after=after,
        expect=expect,
        threshold=1,
        within=within,
    )


def _ending(name: str, description: str, trigger: EventTrigger, state: StateType, message: str) -> AutomationCore:
    action = ChangeFlowRunState(state=state, name=state.value.title(), message=message)
    return AutomationCore(name=name, description=description, enabled=True, trigger=trigger, actions=[action])


def remove(client: SyncPrefectClient, name: str) -> None:
    """Delete the automations of a name; there may be none."""
    for found in client.read_automations_by_name(name):
        _delete(client, found)


def apply(client: SyncPrefectClient, automation: AutomationCore) -> None:
    """Make an automation, or bring it to what is wanted. Of two made at the same moment the first stays.

    One that an operator switched off stays off.
    """
    if not client.read_automations_by_name(automation.name):
        client.create_automation(automation)
    first, *others = sorted(client.read_automations_by_name(automation.name), key=lambda found: str(found.id))
    for other in others:
        _delete(client, other)
    kept = automation.model_copy(update={"enabled": first.enabled})
    if any(getattr(first, field) != getattr(kept, field) for field in ("description", "trigger", "actions")):
        client.update_automation(first.id, kept)


def _delete(client: SyncPrefectClient, found: Automation) -> None:
    with suppress(ObjectNotFound):  # another bootstrap was first
        client.delete_automation(found.id)
