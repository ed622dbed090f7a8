"""The automations: what closes the runs that Prefect by itself would leave open for ever."""

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound

UNSTARTED = {"prefect.flow-run.Pending", "prefect.flow-run.InfrastructurePending"}
STARTED = {f"prefect.flow-run.{state}" for state in ("Running", "Completed", "Failed", "Crashed", "Cancelled")}
SENT_BACK = {
    f"prefect.flow-run.{state}" for state in ("Scheduled", "Cancelling", "AwaitingConcurrencySlot", "AwaitingRetry")
}


def wanted(silence_seconds: int, pending_seconds: int) -> tuple[AutomationCore, ...]:
    """What closes the runs that Prefect by itself would leave open for ever."""
    return (
        _closing(
            "A run that fell silent is Crashed",
            "Runs report every 30 seconds. One that stops doing so has lost its process: its pod, its Job or its node.",
            after={"prefect.flow-run.heartbeat", "prefect.flow-run.Running"},
            expect={"prefect.flow-run.*"},
            within=silence_seconds,
            message=f"nothing was heard of it for {silence_seconds} s: its process is gone (pod deleted, node lost)."
            " Run it again; it goes on where it stopped.",
        ),
        _closing(
            "A run whose pod does not start is Crashed",
            "Its image cannot be pulled, no node has room for it, or the worker was lost before it made the Job.",
            after=UNSTARTED,
            expect=STARTED | SENT_BACK,
            within=pending_seconds,
            message=f"its pod did not start within {pending_seconds} s: the image cannot be pulled, or no node has room"
            " for what it asks for. The run's log holds what Kubernetes said of the pod; correct the deployment's job"
            " variables and run it again.",
        ),
    )


def _closing(
    name: str, description: str, *, after: set[str], expect: set[str], within: int, message: str
) -> AutomationCore:
    trigger = EventTrigger(
        posture=Posture.Proactive,
        match={"prefect.resource.id": "prefect.flow-run.*"},
        for_each={"prefect.resource.id"},
        after=after,
        expect=expect,
        threshold=1,
        within=within,
    )
    action = ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=message)
    return AutomationCore(name=name, description=description, enabled=True, trigger=trigger, actions=[action])


def apply(client: SyncPrefectClient, automation: AutomationCore) -> None:
    """Make an automation, or bring it to what is wanted. Of two made at the same moment the first stays.

    One that an operator switched off stays off.
    """
    if not client.read_automations_by_name(automation.name):
        client.create_automation(automation)
    first, *others = sorted(client.read_automations_by_name(automation.name), key=lambda found: str(found.id))
    for other in others:
        try:
            client.delete_automation(other.id)
        except ObjectNotFound:
            continue
    kept = automation.model_copy(update={"enabled": first.enabled})
    if any(getattr(first, field) != getattr(kept, field) for field in ("description", "trigger", "actions")):
        client.update_automation(first.id, kept)
