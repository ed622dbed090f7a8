"""Objects in S3: the lake is a bucket and a prefix in it. The only module that speaks S3.

It relies on conditional writes: ``If-None-Match: *`` and ``If-Match`` on PutObject, which AWS, MinIO and SeaweedFS
honour atomically (tests/integration/test_s3_contract.py). On CompleteMultipartUpload SeaweedFS 4.48 honours a condition
only against what was there before, not between uploads that end at once: several are told they won. So a file is one
PutObject as far as it may be, and sent in parts beyond, where a key must be the address of its content. SeaweedFS keeps
keys as a file tree: no key may also be another one's folder.
"""

import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import boto3
import botocore.session
from botocore.config import Config

from flows.ml.lake_errors import (
    BucketMissing,
    Conflict,
    CredentialsRefused,
    DigestMismatch,
    LakeError,
    LakeUnreachable,
    ObjectMissing,
    Place,
    Truncated,
    named,
)
from flows.ml.lake_writes import MAX_PARTS, PART, SINGLE, Progress, Target, put, put_file, tell, upload

__all__ = [
    "BucketMissing",
    "Conflict",
    "CredentialsRefused",
    "DigestMismatch",
    "Lake",
    "LakeError",
    "LakeUnreachable",
    "Listed",
    "ObjectMissing",
    "Progress",
    "Stat",
    "Truncated",
    "Upload",
    "connect",
]

MIB = 1 << 20


@dataclass(frozen=True)
class Stat:
    """What S3 says of an object: its size in bytes, and its etag, which changes whenever the object does."""

    size: int
    etag: str


@dataclass(frozen=True)
class Listed:
    """An object as a list has it: its size in bytes, and when it was written."""

    key: str
    size: int
    written: datetime


@dataclass(frozen=True)
class Upload:
    """A file sent in parts of which S3 still waits for more; its parts are stored, and no list shows them."""

    key: str
    upload_id: str
    begun: datetime


@dataclass(frozen=True)
class Lake:
    """The objects under ``prefix`` of ``bucket``; keys given and returned are relative to the prefix.

    ``probe`` is a client that gives up sooner than ``client``, for ``check``. Files beyond ``single`` bytes
    are sent in parts of ``part`` bytes (5 MiB at least). Every method raises the errors of ``lake_errors``:
    LakeUnreachable, CredentialsRefused, BucketMissing, or LakeError for what has no name of its own.
    """

    client: Any
    bucket: str
    prefix: str = ""
    probe: Any = None
    single: int = SINGLE
    part: int = PART

    def check(self) -> None:
        """Find out within seconds whether the lake can be listed."""
        with named(self._place("")):
            _whole((self.probe or self.client).list_objects_v2(Bucket=self.bucket, Prefix=self._full(""), MaxKeys=1))

    def uri(self, key: str) -> str:
        """The address of an object for other programs: ``s3://bucket/prefix/key``."""
        return f"s3://{self.bucket}/{self._full(key)}"

    def get(self, key: str) -> bytes:
        """The bytes of an object that fits in memory. Raises ObjectMissing, Truncated."""
        return self.read(key)[0]

    def get_json(self, key: str) -> Any:
        """The value of a JSON object. Raises ObjectMissing; LakeError where it is no JSON."""
        try:
            return json.loads(self.get(key))
        except ValueError as error:
            raise LakeError(f"{self._place(key)}: not JSON ({error}). Remove it and write it again.") from error

    def read(self, key: str) -> tuple[bytes, str]:
        """The bytes of an object and the etag they have, to ``replace`` it by. Raises ObjectMissing, Truncated."""
        with named(self._place(key)):
            answer = self.client.get_object(Bucket=self.bucket, Key=self._full(key))
            return answer["Body"].read(), answer["ETag"]

    def find(self, key: str) -> Stat | None:
        """Size and etag of an object, None where there is none."""
        try:
            with named(self._place(key)):
                answer = self.client.head_object(Bucket=self.bucket, Key=self._full(key))
                return Stat(answer["ContentLength"], answer["ETag"])
        except ObjectMissing:
            self.check()  # an answer to HEAD has no body: a missing bucket looks like a missing object
            return None

    def put_new(self, key: str, data: bytes) -> bool:
        """Write an object unless there is one: of any number of writers one is told True."""
        with named(self._place(key)):
            return put(self._target(key), data, etag=None) is not None

    def replace(self, key: str, data: bytes, etag: str | None) -> str:
        """Write over the object that was read with ``etag``, or a new one for None; returns the new etag.

        Raises Conflict where the object is another by now, or gone.
        """
        with named(self._place(key)):
            written = put(self._target(key), data, etag)
        if written is None:
            self.check()  # to SeaweedFS a condition on an object of a missing bucket is just one that does not hold
            raise Conflict(f"{self._place(key)}: changed by another writer meanwhile. Read it again and decide anew.")
        return written

    def upload_new(self, key: str, path: Path, progress: Progress | None = None) -> bool:
        """Write a file of any size as an object unless there is one; False where there is.

        Memory is bounded by a part. Nothing is visible before the whole is, nor left behind on a failure. Beyond
        ``single`` bytes several may be told True on SeaweedFS: give such a file the address of its content.
        """
        size = path.stat().st_size
        target = self._target(key)
        if self.find(key):
            return False
        with named(self._place(key)):
            if size <= self.single:
                return put_file(target, path, progress) is not None
            return upload(target, path, max(self.part, -(-size // MAX_PARTS)), progress) is not None

    def download(
        self,
        key: str,
        path: Path,
        sha256: str | None = None,
        size: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Stream an object to a file, which appears whole and checked or not at all.

        Raises ObjectMissing, Truncated; DigestMismatch where sha256 (hex) or size (bytes) is not the given one.
        """
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                found, count = self._stream(key, file, progress)
            if sha256 not in (None, found) or size not in (None, count):
                raise DigestMismatch(
                    f"{self._place(key)}: {count} bytes of sha256 {found}, expected were "
                    f"{'any' if size is None else size} bytes of sha256 {sha256 or 'any'}. "
                    "The object is damaged or another one: write it again from its source."
                )
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """The keys that begin with ``prefix``, in S3's order, as they are listed."""
        return (listed.key for listed in self.listed(prefix))

    def listed(self, prefix: str = "") -> Iterator[Listed]:
        """The objects whose keys begin with ``prefix``, in S3's order, as they are listed."""
        for page in self._pages(Prefix=self._full(prefix)):
            for item in page.get("Contents", ()):
                yield Listed(item["Key"].removeprefix(self._full("")), item["Size"], item["LastModified"])

    def folders(self, prefix: str = "") -> list[str]:
        """The folders right under a folder: keys up to and with their next slash, as in ``raw/green/2023-01/``."""
        folder = f"{prefix.rstrip('/')}/" if prefix else ""
        pages = self._pages(Prefix=self._full(folder), Delimiter="/")
        found = (item["Prefix"] for page in pages for item in page.get("CommonPrefixes", ()))
        return [name.removeprefix(self._full("")) for name in found]

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        with named(self._place(key)):
            self.client.delete_object(Bucket=self.bucket, Key=self._full(key))

    def uploads(self) -> list[Upload]:
        """The uploads in parts that are open.

        Asked of the whole bucket: MinIO takes a prefix for a whole key, and lists all that it has for none.
        """
        with named(self._place("")):
            pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket)
            found = [item for page in pages for item in _whole(page).get("Uploads", ())]
        root = self._full("")
        own = (item for item in found if item["Key"].startswith(root))
        return [Upload(item["Key"].removeprefix(root), item["UploadId"], item["Initiated"]) for item in own]

    def abort(self, upload: Upload) -> None:
        """Let S3 drop the parts of an upload; one that is gone is no error."""
        with suppress(ObjectMissing), named(self._place(upload.key)):
            names = {"Bucket": self.bucket, "Key": self._full(upload.key), "UploadId": upload.upload_id}
            self.client.abort_multipart_upload(**names)

    def _full(self, key: str) -> str:
        root = self.prefix.strip("/")
        return f"{root}/{key}" if root else key

    def _place(self, key: str) -> Place:
        return Place(self.client.meta.endpoint_url, self.bucket, self._full(key))

    def _target(self, key: str) -> Target:
        return Target(self.client, self.bucket, self._full(key))

    def _pages(self, **request: str) -> Iterator[dict[str, Any]]:
        with named(self._place(request["Prefix"])):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, **request)
            yield from (_whole(page) for page in pages)

    def _stream(self, key: str, file: IO[bytes], progress: Progress | None) -> tuple[str, int]:
        """Copy an object into a file; its sha256 and its size."""
        digest, count = hashlib.sha256(), 0
        with named(self._place(key)):
            body = self.client.get_object(Bucket=self.bucket, Key=self._full(key))["Body"]
            for chunk in body.iter_chunks(MIB):
                file.write(chunk)
                digest.update(chunk)
                count += len(chunk)
                tell(progress, len(chunk))
        return digest.hexdigest(), count


def connect(bucket: str, prefix: str = "", session: boto3.Session | None = None, endpoint: str | None = None) -> Lake:
    """The lake by the standard AWS chain (AWS_ENDPOINT_URL, AWS_SHARED_CREDENTIALS_FILE, ...) where nothing is given.

    Sends nothing yet. Gives up on a silent server after about a minute, and in ``check`` after about ten seconds.
    """
    try:
        with named(Place("", bucket, prefix)):
            chain = session or boto3.Session(botocore_session=_chain())
            client = chain.client("s3", endpoint_url=endpoint, config=_config(read_timeout=20, attempts=3))
            probe = chain.client("s3", endpoint_url=endpoint, config=_config(read_timeout=4, attempts=2))
            return Lake(client, bucket, prefix, probe)
    except ValueError as error:
        raise LakeError("The S3 endpoint is no address. Set AWS_ENDPOINT_URL to one as http://host:port.") from error


def _whole(page: dict[str, Any]) -> dict[str, Any]:
    """A page of a list. Raises KeyError for an answer that was cut in its headers: botocore takes it for no items."""
    if "IsTruncated" not in page:
        raise KeyError("IsTruncated")
    return page


def _chain() -> botocore.session.Session:
    """The standard chain. Reading what S3 can do takes 0.1 s, which every client of a process would pay anew."""
    chain = botocore.session.get_session()
    chain.register_component("data_loader", _loader())
    return chain


@functools.cache
def _loader() -> Any:
    return botocore.session.get_session().get_component("data_loader")


def _config(read_timeout: int, attempts: int) -> Config:
    """Timeouts in seconds. Checksums only where S3 requires them: some stores mishandle those boto3 adds."""
    return Config(
        connect_timeout=3,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
