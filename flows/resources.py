"""What a flow run works with: settings, lake and registry, opened and found to answer before any work begins."""

import contextlib
import errno
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run
from pydantic import Field

from flows.ml import months
from flows.ml.errors import TrainyardError
from flows.ml.lake import Lake, connect
from flows.ml.lake_errors import LakeError, LakeUnreachable, Truncated
from flows.ml.registry import Registry
from flows.ml.registry_errors import RegistryError, RegistryUnreachable
from flows.ml.settings import Settings, load

Month = Annotated[str, Field(pattern=months.PATTERN, examples=["2023-02"])]
MonthOrEmpty = Annotated[str, Field(pattern=rf"^$|{months.PATTERN}", examples=["", "2023-02"])]

RETRIES: dict[str, Any] = {
    "retries": 3,
    "retry_delay_seconds": [2, 8, 30],
    "retry_condition_fn": lambda task, run, state: _is_passing(state),
}
"""For tasks that may meet a server that is away, or goes away, for a moment; every other error is final."""

RESULTS_BLOCK = "s3-bucket/trainyard-results"
RESULTS: dict[str, Any] = {"persist_result": True, "result_storage": RESULTS_BLOCK, "result_serializer": "json"}
"""For tasks whose result a rerun takes up, in whatever pod. As default storage in Prefect's settings the block would be
loaded before the first task of every run: half a second of imports."""

UNTOLD = 60.0
"""Seconds without a word of progress after Prefect did not take one: its client tries for a minute itself."""

RESCHEDULES = 3
"""How often a run may be started again because its pod was taken away. Prefect itself knows no end."""


class RescheduledTooOften(TrainyardError):
    """The pod of a run was taken away time after time."""


class NoRoom(TrainyardError):
    """The files of a task do not fit where they are kept while it runs."""


@dataclass(frozen=True)
class Resources:
    """The outside systems of a flow run."""

    settings: Settings
    lake: Lake
    registry: Registry

    def bucket(self, name: str) -> Lake:
        """Another bucket with the same credentials, to read a source from."""
        return connect(name, session=_session(self.settings))


def open_resources(*, registry: bool = True) -> Resources:
    """Read the settings and find out whether the lake, and the registry where it is needed, answer.

    Raises ``RescheduledTooOften``, ``SettingsError``, the errors of the lake, ``RegistryUnreachable``.
    """
    _limit_reschedules()
    settings = load()
    found = attach(settings)
    found.lake.check()
    if registry:
        found.registry.check()
    return found


def attach(settings: Settings | None = None) -> Resources:
    """The same without asking: for the tasks of a run that has opened them."""
    settings = settings or load()
    lake = connect(settings.lake_bucket, settings.lake_prefix, _session(settings))
    return Resources(settings, lake, Registry(str(settings.mlflow_tracking_uri)))


@contextlib.contextmanager
def scratch(settings: Settings) -> Iterator[Path]:
    """A folder for the files of one task, gone when it ends. Raises ``NoRoom`` where they do not fit."""
    try:
        with tempfile.TemporaryDirectory(prefix="trainyard-", dir=settings.scratch) as folder:
            yield Path(folder)
    except (LakeError, RegistryUnreachable, RegistryError):  # of a disk that is full elsewhere
        raise
    except Exception as error:
        if not _is_for_room(error):
            raise
        raise NoRoom(
            f"{settings.scratch} has no room for the files of this task ({error}). Free some, or give it more: on a "
            "cluster the job variable scratch, elsewhere TRAINYARD_SCRATCH in another place. Nothing was lost."
        ) from error


def _is_for_room(error: BaseException | None) -> bool:
    """Whether a full disk is behind an error. Polars says so in words alone."""
    if error is None:
        return False
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    told = getattr(error, "errno", None) in numbers or any(os.strerror(number) in str(error) for number in numbers)
    return told or _is_for_room(error.__cause__)


def progress(description: str) -> Callable[[float, float | None], None]:
    """A progress bar in the UI: tell it how much of how much is done. It speaks to the server once a second at most.

    Work goes on where Prefect does not take it, and is not held up by another attempt for a minute.
    """
    artifact = create_progress_artifact(progress=0.0, description=description)
    last = 0.0

    def tell(done: float, total: float | None) -> None:
        nonlocal last
        if total and (time.monotonic() - last > 1 or done >= total):
            try:
                update_progress_artifact(artifact_id=artifact, progress=min(100.0, 100 * done / total))  # type: ignore[arg-type]
                last = time.monotonic()
            except (httpx.HTTPError, PrefectException):
                last = time.monotonic() + UNTOLD

    return tell


def reschedules(states: Iterable[State]) -> int:
    """How often a run was put back since it last ended, by its states in order of time.

    Starting again what had ended is an operator's decision and not counted.
    """
    count = 0
    for before, state in pairwise(states):
        if before.is_final():
            count = 0
        elif state.name == "AwaitingRetry":
            count += 1
    return count


def _limit_reschedules() -> None:
    if flow_run.run_count <= 1 + RESCHEDULES:
        return
    with get_client(sync_client=True) as client:
        states = client.read_flow_run_states(flow_run.id)
    times = reschedules(sorted(states, key=lambda state: state.timestamp))
    if times > RESCHEDULES:
        raise RescheduledTooOften(
            f"started {times + 1} times: its pod was evicted, or reached its deadline, each time. Its Jobs' events say "
            "which: give the deployment more memory, more scratch space or a longer deadline, then run this again."
        )


def _session(settings: Settings) -> Any:
    if not settings.lake_credentials:
        return None
    from prefect_aws import AwsCredentials

    return AwsCredentials.load(settings.lake_credentials).get_boto3_session()  # type: ignore[union-attr]


def _is_passing(state: Any) -> bool:
    error = state.result(raise_on_failure=False)
    return isinstance(error, LakeUnreachable | Truncated | RegistryUnreachable)
