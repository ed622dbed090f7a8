"""What a task is tried again for, how often a run is, and what a form takes."""

import errno
import os
from pathlib import Path

import httpx
import polars as pl
import pytest
from prefect.client.schemas.objects import State
from prefect.exceptions import PrefectException
from prefect.states import AwaitingRetry, Cancelled, Completed, Crashed, Failed, Late, Pending, Running, Scheduled
from pydantic import TypeAdapter, ValidationError

from flows import resources
from flows.ingest import Source
from flows.ml.lake_errors import CredentialsRefused, LakeError, LakeUnreachable, Truncated
from flows.ml.registry_errors import RegistryError, RegistryUnreachable
from flows.ml.settings import Settings
from flows.resources import RETRIES, NoRoom, reschedules, scratch


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (LakeUnreachable("x"), True),
        (Truncated("x"), True),
        (RegistryUnreachable("x"), True),
        (CredentialsRefused("x"), False),
        (LakeError("x"), False),
        (RegistryError("x"), False),
        (ValueError("x"), False),
    ],
)
def test_only_what_a_server_may_get_over_is_tried_again(error: Exception, again: bool):
    assert RETRIES["retry_condition_fn"](None, None, Failed(data=error)) is again


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), NoRoom),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), NoRoom),
        (OSError(errno.EFBIG, os.strerror(errno.EFBIG)), NoRoom),
        (pl.exceptions.ComputeError("No space left on device (os error 28): rows.parquet"), NoRoom),
        (RegistryUnreachable("MLflow at http://mlflow: its database: No space left on device"), RegistryUnreachable),
        (LakeError("s3://lake: No space left on device"), LakeError),
    ],
)
def test_a_disk_that_is_full_is_named_and_one_elsewhere_is_not_said_to_be_the_tasks_own(
    tmp_path: Path, error: Exception, named: type[Exception]
) -> None:
    settings = Settings.model_construct(scratch=tmp_path)

    with pytest.raises(named), scratch(settings):
        raise error


@pytest.mark.parametrize("source", ["https://user:secret@host/{month}.parquet", "s3://lake/{month}?X-Amz-Signature=1"])
def test_a_source_that_holds_a_secret_is_no_parameter(source: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Source).validate_python(source)


def put_back(times: int) -> list[State]:
    """What a pod that is taken away leaves: the run waits and is started again."""
    return [AwaitingRetry(), Late(), Pending(), Running()] * times


@pytest.mark.parametrize(
    ("states", "times"),
    [
        ([Scheduled(), Pending(), Running()], 0),
        ([Scheduled(), Pending(), Running(), *put_back(3)], 3),
        ([Scheduled(), Pending(), *put_back(1)], 1),
        ([Scheduled(), Pending(), Running(), *put_back(4), Failed(), *put_back(1)], 0),
        ([Scheduled(), Pending(), Running(), *put_back(4), Failed(), *put_back(1), *put_back(2)], 2),
        ([Scheduled(), Running(), Crashed(), *put_back(1), Cancelled(), *put_back(1), Completed(), *put_back(2)], 1),
    ],
)
def test_only_what_was_put_back_since_the_last_end_counts_and_never_what_an_operator_asked_for(
    states: list[State], times: int
) -> None:
    assert reschedules(states) == times


@pytest.mark.parametrize("error", [httpx.ConnectError("away"), PrefectException("refused")])
def test_work_goes_on_where_its_progress_is_not_taken_and_is_held_up_once(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    asked = []

    def refuse(**given: object) -> None:
        asked.append(given)
        raise error

    monkeypatch.setattr(resources, "create_progress_artifact", lambda **_: "an id")
    monkeypatch.setattr(resources, "update_progress_artifact", refuse)
    tell = resources.progress("a training")

    for done in range(1, 10):
        tell(done, 10)

    assert len(asked) == 1
