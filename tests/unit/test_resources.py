"""What a task is tried again for, and what a form takes."""

import pytest
from prefect.states import Failed
from pydantic import TypeAdapter, ValidationError

from flows.ingest import Source
from flows.ml.lake_errors import CredentialsRefused, LakeError, LakeUnreachable, Truncated
from flows.ml.registry import RegistryError, RegistryUnreachable
from flows.resources import RETRIES


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


@pytest.mark.parametrize("source", ["https://user:secret@host/{month}.parquet", "s3://lake/{month}?X-Amz-Signature=1"])
def test_a_source_that_holds_a_secret_is_no_parameter(source: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Source).validate_python(source)
