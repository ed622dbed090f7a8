"""The concurrency limit that all backfills share, changed for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate

from flows.backfill import LIMIT


@contextmanager
def limited(limit: int) -> Iterator[None]:
    """Another limit for as long as the block lasts."""
    with get_client(sync_client=True) as client:
        before = client.read_global_concurrency_limit_by_name(LIMIT).limit
        client.update_global_concurrency_limit(LIMIT, GlobalConcurrencyLimitUpdate(limit=limit))
        try:
            yield
        finally:
            client.update_global_concurrency_limit(LIMIT, GlobalConcurrencyLimitUpdate(limit=before))
