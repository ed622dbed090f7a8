"""Says to a webhook, which needs no Prefect, that ``monthly`` is late."""

from collections.abc import Sequence

import httpx

from flows.ml.errors import TrainyardError
from flows.ml.reconciling.finding import Finding
from flows.ml.settings import Settings


class AlertUnsent(TrainyardError):
    """The webhook did not take the alert."""


def send(settings: Settings, late: Sequence[Finding]) -> None:
    """Post the sentences as JSON, ``{"text": ...}``, where there is an address. Raises ``AlertUnsent``."""
    address = settings.alert_webhook.get_secret_value()
    if not address:
        return
    text = "Trainyard: " + "; ".join(f"{one.kind}: {one.what}: {one.why}" for one in late)
    try:
        answer = httpx.post(address, json={"text": text}, timeout=20)
    except (httpx.HTTPError, httpx.InvalidURL) as error:  # whose text may quote the address, which is a secret
        raise AlertUnsent(f"the alert's webhook does not answer ({type(error).__name__}): {text}") from None
    if not answer.is_success:
        raise AlertUnsent(f"the alert's webhook answers {answer.status_code}: correct its address. {text}")
