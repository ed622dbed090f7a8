"""Notices: a webhook is told of runs that failed or crashed, and of a monitor's alarm.

Its address is a secret: it comes from the environment, and Prefect keeps it, encrypted, in a block that the automations
name by its id.
"""

import os
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

import automations
import checks
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.events.actions import CallWebhook
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound

ADDRESS = "NOTICE_WEBHOOK_URL"
"""The variable of the environment with the webhook's address; without one nobody is told."""
BLOCK = "trainyard-notices"
FAILED, ALARM = "A run that failed is told to the webhook", "An alarm of the monitor is told to the webhook"
LONGEST = 1500
"""Characters of a run's sentence in a notice: chat servers cut or refuse longer ones."""
DEAF = timedelta(hours=1)
"""How long a trigger that has fired for a state of a run, or for an alarm, is deaf to it.

Where the database refuses one automation, Prefect shows all of them the event again, for some minutes.
"""


def apply(client: SyncPrefectClient, pool_name: str, ui_url: str) -> str:
    """Make the block and the automations, or take them away where there is no address; a line on what was done.

    Raises ``BootstrapError`` where the address is none.
    """
    address = os.environ.get(ADDRESS, "").strip()
    if not address:
        for name in (FAILED, ALARM):
            automations.remove(client, name)
        _forget(client)
        return f"notices: none, {ADDRESS} is not set"
    if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
        raise checks.BootstrapError(f"{ADDRESS} is no http or https address: correct it in the Secret it comes from.")
    block = Webhook(url=address, headers={"Content-Type": "application/json"})
    block_id = block.save(BLOCK, overwrite=True)
    assert isinstance(block_id, UUID)  # outside an event loop it is no coroutine
    for automation in (failed(block_id, pool_name, ui_url), alarm(block_id)):
        automations.apply(client, automation)
    return f"notices: to the webhook of the block webhook/{BLOCK}"


def failed(block_id: UUID, pool_name: str, ui_url: str) -> AutomationCore:
    """Tells of every run of the pool that ends Failed, by whatever name, or Crashed; subflows have no pool."""
    trigger = EventTrigger(
        posture=Posture.Reactive,
        match={"prefect.resource.id": "prefect.flow-run.*", "prefect.state-type": ["FAILED", "CRASHED"]},
        match_related={"prefect.resource.role": "work-pool", "prefect.resource.name": pool_name},
        for_each={"prefect.resource.id", "prefect.state-timestamp"},
        expect={"prefect.flow-run.*"},
        threshold=1,
        within=DEAF,
    )
    sentence = f"(flow_run.state.message or '')[:{LONGEST}]"
    link = f"'{ui_url}/runs/flow-run/' ~ flow_run.id"
    text = f"flow_run.name ~ ' is ' ~ flow_run.state.name ~ ': ' ~ {sentence} ~ ' ' ~ {link}"
    return _telling(FAILED, trigger, block_id, text)


def alarm(block_id: UUID) -> AutomationCore:
    """Tells of every alarm of the monitor; its runs have one each."""
    trigger = EventTrigger(
        posture=Posture.Reactive,
        for_each={"related:flow-run:prefect.resource.id"},
        expect={"trainyard.monitor.alarm"},
        threshold=1,
        within=DEAF,
    )
    text = "'Alarm: ' ~ (event.resource.name or event.resource.id) ~ ' on ' ~ event.payload.month ~ ': '"
    text += f" ~ (event.payload.alarms|join('; '))[:{LONGEST}]"
    return _telling(ALARM, trigger, block_id, text)


def _telling(name: str, trigger: EventTrigger, block_id: UUID, expression: str) -> AutomationCore:
    action = CallWebhook(block_document_id=block_id, payload=f'{{"text": {{{{ ({expression}) | tojson }}}}}}')
    about = f"The address is in the block webhook/{BLOCK}."
    return AutomationCore(name=name, description=about, enabled=True, trigger=trigger, actions=[action])


def _forget(client: SyncPrefectClient) -> None:
    try:
        client.delete_block_document(client.read_block_document_by_name(BLOCK, "webhook").id)
    except ObjectNotFound:
        return
