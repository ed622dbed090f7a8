"""What can go wrong with the lake, by name, and the one place where an S3 error gets its name."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from flows.ml.errors import TrainyardError


class LakeError(TrainyardError):
    """The lake could not do what was asked of it; the parent of every error here."""


class LakeUnreachable(LakeError):
    """No answer from the S3 endpoint, or only that it cannot serve now."""


class CredentialsRefused(LakeError):
    """No credentials were found, or S3 refuses those that were."""


class BucketMissing(LakeError):
    """The endpoint answers, and has no such bucket."""


class ObjectMissing(LakeError):
    """The lake has no object of that key."""


class Conflict(LakeError):
    """The object is not the one that was read: another writer was first."""


class Truncated(LakeError):
    """The connection ended before the object did."""


class DigestMismatch(LakeError):
    """An object whose size or sha256 is not the promised one."""


@dataclass(frozen=True)
class Place:
    """What an error says of where it happened; an address never carries a secret."""

    endpoint: str
    bucket: str
    key: str = ""

    def __str__(self) -> str:
        scheme, _, rest = self.endpoint.partition("://")
        address = f" at {scheme}://{rest.rpartition('@')[2]}" if rest else ""
        return f"s3://{self.bucket}/{self.key}{address}"


_NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.NoAuthTokenError,
    boto.TokenRetrievalError,
    boto.ProfileNotFound,
)


@contextmanager
def named(place: Place) -> Iterator[None]:
    """Give what botocore raises inside its name, fact and remedy."""
    try:
        yield
    except boto.ClientError as error:
        raise _answered(error, place) from error
    except boto.BotoCoreError as error:
        raise _unanswered(error, place) from error
    except (KeyError, ResponseParserError) as error:
        raise LakeUnreachable(
            f"{place}: only a part of an answer ({error}). Run again; if it persists, check S3."
        ) from error


def code(error: boto.ClientError) -> str:
    """The S3 code of an answer; the HTTP status where the answer has no body (HEAD)."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status(error: boto.ClientError) -> int:
    """The HTTP status of an answer, 0 where there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _answered(error: boto.ClientError, place: Place) -> LakeError:
    """The name of an answer that is an error."""
    if code(error) == "NoSuchBucket":
        return BucketMissing(f"{place}: there is no bucket {place.bucket!r}. Create it, or correct the lake's bucket.")
    if code(error) in ("NoSuchKey", "NoSuchUpload", "404", "NotFound"):
        return ObjectMissing(f"{place}: no such object. Check the key, or run what writes it first.")
    if status(error) in (401, 403) or code(error) in ("ExpiredToken", "InvalidToken", "AuthorizationHeaderMalformed"):
        return CredentialsRefused(
            f"{place}: S3 refuses the credentials ({code(error)}). Check the access key, its secret, the clock and "
            "that its policy allows to list, read and write there."
        )
    if status(error) >= 500:
        return LakeUnreachable(f"{place}: S3 cannot serve ({code(error)}). Check the S3 service, then run again.")
    return LakeError(f"{place}: {error}. Check the endpoint and what it supports.")


def _unanswered(error: boto.BotoCoreError, place: Place) -> LakeError:
    """The name of an error on this side, or of an answer that never came or ended early."""
    if isinstance(error, _NO_CREDENTIALS):
        return CredentialsRefused(
            f"{place}: no usable credentials ({error}). Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "AWS_SHARED_CREDENTIALS_FILE, or run under a role."
        )
    if isinstance(error, boto.IncompleteReadError | boto.ResponseStreamingError):
        return Truncated(f"{place}: the connection ended before the object did. Run again; if it persists, check S3.")
    if isinstance(error, boto.ConnectionError | boto.HTTPClientError):
        return LakeUnreachable(
            f"{place}: no answer ({type(error).__name__}). Check that S3 runs, and AWS_ENDPOINT_URL."
        )
    return LakeError(f"{place}: {error}. Check the lake's settings.")
