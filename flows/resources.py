"""What a flow run works with: settings, lake and registry, opened and found to answer before any work begins."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from pydantic import Field

from flows.ml import months
from flows.ml.lake import Lake, connect
from flows.ml.lake_errors import LakeUnreachable, Truncated
from flows.ml.registry import Registry, RegistryUnreachable
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

    Raises ``SettingsError``, the errors of the lake, ``RegistryUnreachable``.
    """
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
    """A folder for the files of one task, gone when it ends."""
    with tempfile.TemporaryDirectory(prefix="trainyard-", dir=settings.scratch) as folder:
        yield Path(folder)


def progress(description: str) -> Callable[[float, float | None], None]:
    """A progress bar in the UI: tell it how much of how much is done. It speaks to the server once a second at most."""
    artifact = create_progress_artifact(progress=0.0, description=description)
    last = 0.0

    def tell(done: float, total: float | None) -> None:
        nonlocal last
        if total and (time.monotonic() - last > 1 or done >= total):
            last = time.monotonic()
            update_progress_artifact(artifact_id=artifact, progress=min(100.0, 100 * done / total))  # type: ignore[arg-type]

    return tell


def _session(settings: Settings) -> Any:
    if not settings.lake_credentials:
        return None
    from prefect_aws import AwsCredentials

    return AwsCredentials.load(settings.lake_credentials).get_boto3_session()  # type: ignore[union-attr]


def _is_passing(state: Any) -> bool:
    error = state.result(raise_on_failure=False)
    return isinstance(error, LakeUnreachable | Truncated | RegistryUnreachable)
