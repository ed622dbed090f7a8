"""Where a month's file comes from: a URL, a local path or an S3 object, brought to a local file and checked.

An address may carry secrets (a password, a signed query): what is shown or kept of it is ``shown(address)``.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx
import polars as pl

from flows.ml.web import MonthNotPublished, Patience, SourceError, SourceUnreachable, ask, scheme, shown

__all__ = [
    "Bucket",
    "Buckets",
    "Fetched",
    "MonthNotPublished",
    "Patience",
    "Progress",
    "SourceError",
    "SourceUnreachable",
    "fetch",
    "published",
    "resolve",
    "shown",
]

CHUNK = 1 << 20
"""Bytes read at a time."""
MAGIC = b"PAR1"
"""How a Parquet file begins and ends (parquet.apache.org/docs/file-format)."""

Progress = Callable[[int, int | None], None]
"""Told how many bytes are here, and how many it will be where the source said so."""


class Found(Protocol):
    """What a bucket says of an object it has."""

    @property
    def size(self) -> int:
        """Bytes."""


class Bucket(Protocol):
    """What is needed of a bucket to read from it; a ``Lake`` without a prefix is one."""

    def find(self, key: str) -> Found | None:
        """The object, None where there is none."""

    def download(self, key: str, path: Path, *, size: int | None, progress: Callable[[int], None] | None) -> None:
        """Stream an object to a file; ``progress`` is told how many more bytes are here."""


Buckets = Callable[[str], Bucket]
"""From a bucket's name to the bucket."""


@dataclass(frozen=True)
class Fetched:
    """A month's file, here. ``name`` is the address it came from, without secrets; ``size`` is in bytes."""

    path: Path
    name: str
    size: int
    sha256: str


def resolve(template: str, dataset: str, month: str) -> str:
    """The address of a month's file: ``{dataset}`` and ``{month}`` filled in.

    Raises ``SourceError`` for another placeholder, or an address that is neither http(s), s3 nor a path.
    """
    address = template.replace("{dataset}", dataset).replace("{month}", month)
    if unknown := re.search(r"{[^{}]*}", address):
        raise SourceError(f"{shown(template)}: unknown placeholder {unknown[0]}. There are {{dataset}} and {{month}}.")
    if scheme(address) not in ("http", "https", "s3", ""):
        raise SourceError(f"{shown(address)}: {scheme(address)} is not read. Give an http(s) or s3 address, or a path.")
    return address


def published(address: str, month: str, *, buckets: Buckets | None = None, patience: Patience | None = None) -> bool:
    """Whether the source has the month's file. Raises ``SourceError`` where that cannot be told."""
    if scheme(address) == "s3":
        bucket, key = _bucket(address, buckets)
        return bucket.find(key) is not None
    if not scheme(address):
        return Path(address).exists()
    try:
        ask(address, month, patience or Patience(), lambda answer: None)
    except MonthNotPublished:
        return False
    return True


def fetch(
    address: str,
    month: str,
    folder: Path,
    *,
    sha256: str | None = None,
    buckets: Buckets | None = None,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> Fetched:
    """Bring a month's file to ``folder``, in bounded memory; what is there afterwards is whole.

    The size is checked against the one the source promises, the digest against ``sha256`` (hex) where given. Raises
    ``MonthNotPublished``, ``SourceError``, and the errors of ``buckets``. A failure leaves no file.
    """
    handle, name = tempfile.mkstemp(prefix=f"{month}-", suffix=".parquet", dir=folder)
    os.close(handle)
    path, tell = Path(name), progress or (lambda done, total: None)
    try:
        if scheme(address) == "s3":
            digest = _from_bucket(address, month, path, buckets, tell)
        elif scheme(address):
            digest = ask(address, month, patience or Patience(), lambda answer: _save(answer, path, tell))
        else:
            digest = _from_file(Path(address), month, path, tell)
        _check(path, shown(address), digest, sha256)
        return Fetched(path, shown(address), path.stat().st_size, digest)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise SourceError(f"{shown(address)}: {error.strerror}. Check the path, its rights and the disk.") from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _from_file(source: Path, month: str, path: Path, tell: Progress) -> str:
    if not source.exists():
        raise MonthNotPublished(f"{month}: there is no file {source}. Check the path, or wait for the month.")
    with source.open("rb") as file:
        return _write(iter(lambda: file.read(CHUNK), b""), path, source.stat().st_size, tell)


def _from_bucket(address: str, month: str, path: Path, buckets: Buckets | None, tell: Progress) -> str:
    bucket, key = _bucket(address, buckets)
    found, done = bucket.find(key), 0
    if found is None:
        raise MonthNotPublished(f"{month}: there is no object {shown(address)}. Check the key, or wait for the month.")

    def more(count: int) -> None:
        nonlocal done
        done += count
        tell(done, found.size)

    bucket.download(key, path, size=found.size, progress=more)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bucket(address: str, buckets: Buckets | None) -> tuple[Bucket, str]:
    name, _, key = address.partition("://")[2].partition("/")
    if not (buckets and name and key):
        raise SourceError(
            f"{shown(address)}: {'write it as s3://bucket/key' if buckets else 'no S3 client was given'}."
        )
    return buckets(name), key


def _save(answer: httpx.Response, path: Path, tell: Progress) -> str:
    promised = answer.headers.get("Content-Length")
    return _write(answer.iter_raw(CHUNK), path, int(promised) if promised else None, tell)


def _write(chunks: Iterable[bytes], path: Path, total: int | None, tell: Progress) -> str:
    """Write and hash as it comes; the sha256."""
    digest, done = hashlib.sha256(), 0
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            tell(done, total)
    return digest.hexdigest()


def _check(path: Path, name: str, digest: str, promised: str | None) -> None:
    if promised and digest != promised.lower():
        raise SourceError(
            f"{name}: sha256 is {digest}, promised was {promised}. Fetch it again, or correct the promise."
        )
    with path.open("rb") as file:
        begins = file.read(4)
        file.seek(-min(4, path.stat().st_size), 2)
        ends = file.read()
    if not begins:
        raise SourceError(f"{name}: the file is empty (0 bytes). Check the source, then run again.")
    if begins != MAGIC:
        raise SourceError(f"{name}: not a Parquet file (it begins with {begins!r}). Check the address.")
    if ends != MAGIC:
        raise SourceError(f"{name}: the Parquet file is cut off. Fetch it again.")
    try:
        pl.read_parquet_schema(path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise SourceError(f"{name}: the Parquet file is damaged ({error}). Fetch it again.") from error
