"""The Prefect event of a deploy: operators find it beside those of its deployments, automations may wait for it."""

import uuid

from prefect.client.orchestration import SyncPrefectClient
from prefect.events.schemas.events import Event, RelatedResource, Resource

from ops.deploy import server
from ops.deploy.records import Record

DEPLOYED, ROLLED_BACK = "trainyard.deploy.deployed", "trainyard.deploy.rolled-back"
_NAMESPACE = uuid.UUID("0f4a6f0e-7d1b-5a6e-9d0c-3f6f1f2b7a10")


def announce(client: SyncPrefectClient, record: Record, project: str) -> None:
    """Tell Prefect of a deploy. Telling it again after an interruption makes no second event."""
    names = {each.full_name for each in record.wanted}
    own = [each for each in server.read(client, project) if each.deployment.full_name in names]
    event = Event(
        id=uuid.uuid5(_NAMESPACE, f"{project} {record.number} {record.at}"),
        event=ROLLED_BACK if record.returned_to else DEPLOYED,
        resource=Resource({"prefect.resource.id": f"trainyard.project.{project}", "prefect.resource.name": project}),
        related=[
            RelatedResource(
                {"prefect.resource.id": f"prefect.deployment.{each.id}", "prefect.resource.role": "deployment"}
            )
            for each in own
        ],
        payload={
            **{name: getattr(record, name) for name in ("number", "commit", "image", "by", "environment", "at")},
            "returned_to": record.returned_to,
            "changes": list(record.changes),
        },
    )
    client.request("POST", "/events", json=[event.model_dump(mode="json")])
