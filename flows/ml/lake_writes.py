"""Writes to S3 that hold only under a condition, for objects and for files of any size."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from flows.ml.lake_errors import code, status

SINGLE = 1 << 30
"""Bytes of the largest file sent as one request; S3 takes up to 5 GiB."""
PART = 16 << 20
"""Bytes of a part of a file sent in parts."""
MAX_PARTS = 10_000
"""S3's limit of parts in one upload (docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html)."""
ATTEMPTS = 5

Progress = Callable[[int], None]
"""Told how many more bytes have been read or sent; a negative number where they must be read again."""


@dataclass(frozen=True)
class Target:
    """An object to write, by its full key."""

    client: Any
    bucket: str
    key: str

    @property
    def names(self) -> dict[str, str]:
        """What every request on the object has."""
        return {"Bucket": self.bucket, "Key": self.key}


def put(target: Target, data: bytes, etag: str | None) -> str | None:
    """Write over the object of that etag, for None only where there is none; its new etag, or None."""
    condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
    request = {**target.names, **condition, "Body": data}
    return _write(target, lambda token: str(target.client.put_object(**request, Metadata={"writer": token})["ETag"]))


def put_file(target: Target, path: Path, progress: Progress | None) -> str | None:
    """Write a file as one request where there is no object yet; its etag, or None."""
    request = {**target.names, "IfNoneMatch": "*"}

    def write(token: str) -> str:
        with _Watched(path, progress) as file:
            return str(target.client.put_object(**request, Body=file, Metadata={"writer": token})["ETag"])

    return _write(target, write)


def upload(target: Target, path: Path, part: int, progress: Progress | None) -> str | None:
    """Write a file in parts of ``part`` bytes where there is no object yet; its etag, or None."""
    return _write(target, lambda token: _multipart(target, path, part, token, progress))


def tell(progress: Progress | None, count: int) -> None:
    """Report bytes to whoever wants to know."""
    if progress:
        progress(count)


class _Watched(FileIO):
    """A file that tells how far it is read; boto3 reads it once to sign it (over plain HTTP), and once to send it."""

    def __init__(self, path: Path, progress: Progress | None) -> None:
        super().__init__(path)
        self._progress = progress
        self._told = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size) or b""
        tell(self._progress, len(data))
        self._told += len(data)
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        after = super().seek(offset, whence)
        if after < self._told:
            tell(self._progress, after - self._told)
            self._told = after
        return after


def _write(target: Target, write: Callable[[str], str]) -> str | None:
    """The etag that a conditional write left, None where its condition does not hold.

    A write whose answer was lost is sent again and then fails by its own success: the writer's token, kept with the
    object, tells that from a lost race. ConditionalRequestConflict is AWS's word for a race that nobody may have won.
    """
    token = uuid.uuid4().hex
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return write(token)
        except ClientError as error:
            if status(error) == 412 or code(error) in ("NoSuchKey", "NoSuchUpload"):
                return _written_by(target, token)
            if code(error) != "ConditionalRequestConflict" or attempt == ATTEMPTS:
                raise
            time.sleep(0.1 * 2**attempt)
    return None


def _written_by(target: Target, token: str) -> str | None:
    """The etag of the object if it is the writer's own."""
    try:
        head = target.client.head_object(**target.names)
    except ClientError as error:
        if status(error) == 404:
            return None
        raise
    return head["ETag"] if head["Metadata"].get("writer") == token else None


def _multipart(target: Target, path: Path, part: int, token: str, progress: Progress | None) -> str:
    """Send a file part by part; whatever fails, S3 is told to drop the parts it has."""
    upload_id = target.client.create_multipart_upload(**target.names, Metadata={"writer": token})["UploadId"]
    names = target.names | {"UploadId": upload_id}
    try:
        parts = {"Parts": list(_parts(target.client, names, path, part, progress))}
        done = target.client.complete_multipart_upload(**names, MultipartUpload=parts, IfNoneMatch="*")
    except BaseException:
        with suppress(ClientError, BotoCoreError):  # the failure itself is what the caller must hear of
            target.client.abort_multipart_upload(**names)
        raise
    return str(done["ETag"])


def _parts(
    client: Any, names: dict[str, str], path: Path, part: int, progress: Progress | None
) -> Iterator[dict[str, object]]:
    with path.open("rb") as file:
        for number, data in enumerate(iter(lambda: file.read(part), b""), start=1):
            answer = client.upload_part(**names, PartNumber=number, Body=data)
            tell(progress, len(data))
            yield {"PartNumber": number, "ETag": answer["ETag"]}
