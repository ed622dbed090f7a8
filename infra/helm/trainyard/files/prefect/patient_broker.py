"""Prefect's message broker in memory, whose consumers give SQLite time: ``PREFECT_SERVER_EVENTS_MESSAGING_BROKER``.

A trigger of an automation reads its count and then writes it, in one transaction. Where another connection wrote in
between, SQLite refuses at once, without the patience that is set for it. Prefect tries such an event three times more
within a tenth of a second and puts it aside: under load a crash is then not seen, or a silence. Here it is tried for
``PATIENCE`` seconds, ever more slowly, and not in time with whoever writes at intervals. An event that is tried again
is seen again by a trigger that had its turn before, as with Prefect's own tries: those of ours are deaf to it then.

Events that came before the one they follow are tried with that one: ``PREFECT_SERVER_EVENTS_CAUSAL_ORDERING``.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prefect.server.events.ordering import event_handler
from prefect.server.events.ordering import memory as ordering
from prefect.server.events.schemas.events import ReceivedEvent
from prefect.server.utilities.messaging import Message, MessageHandler, memory
from prefect.server.utilities.messaging.memory import Cache, Publisher, break_topic, ephemeral_subscription
from sqlalchemy.exc import OperationalError

__all__ = ["Cache", "CausalOrdering", "Consumer", "Publisher", "break_topic", "ephemeral_subscription"]
PATIENCE = 60.0
FIRST, LONGEST = 0.02, 0.5
"""Seconds between two tries: at first, and at most."""


class Consumer(memory.Consumer):
    """A consumer of events."""

    async def run(self, handler: MessageHandler) -> None:
        """Handle events until the server stops."""
        await super().run(patient(handler))


def patient(handler: MessageHandler) -> MessageHandler:
    """A handler that tries an event again while the database refuses it; raises its ``OperationalError`` in the end."""

    async def handle(message: Message) -> None:
        until, pause = time.monotonic() + PATIENCE, FIRST
        while True:
            try:
                return await handler(message)
            except OperationalError:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret hangs on it
            pause = min(2 * pause, LONGEST)

    return handle


class CausalOrdering(ordering.CausalOrdering):
    """An event is done once those that waited for it are: what Prefect takes for done it does not try again."""

    @asynccontextmanager
    async def preceding_event_confirmed(
        self, handler: event_handler, event: ReceivedEvent, depth: int = 0
    ) -> AsyncGenerator[None]:
        """Around the evaluation of an event, and before that of those that waited for it."""
        try:
            async with super().preceding_event_confirmed(handler, event, depth):
                yield
        except OperationalError:
            self._seen_events.pop(event.id, None)
            raise
