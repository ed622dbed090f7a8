"""The record of a landed month: where it came from, what was kept of it, where it lies."""

import functools
import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from flows.ml import contract
from flows.ml.errors import TrainyardError


class ManifestError(TrainyardError):
    """A text that is no manifest, or a dataset without a contract."""


@dataclass(frozen=True)
class File:
    """A file by its name (a source's address or an object's key), its size in bytes and its sha256 (hex)."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What is known of a landed month.

    ``source`` is the file as published, ``data`` the typed Parquet (its sha256 is the month's content address),
    ``quarantine`` the broken rows, None where there are none. ``broken`` counts rows by reason, each row once;
    ``columns`` maps names to types; ``new_columns`` are those the contract does not know. ``contract`` is the digest of
    the rules, ``revision`` that of the code; ``created_at`` is in UTC, ISO 8601.
    """

    dataset: str
    month: str
    source: File
    data: File
    quarantine: File | None
    rows_in: int
    rows_kept: int
    broken: Mapping[str, int]
    columns: Mapping[str, str]
    new_columns: tuple[str, ...]
    contract: str
    revision: str
    created_at: str

    @property
    def address(self) -> str:
        """The content address: the sha256 of the typed Parquet."""
        return self.data.sha256

    def same_origin(self, source: str, contract: str) -> bool:
        """Whether it came from a source of that sha256 under that contract: then landing it again changes nothing."""
        return (self.source.sha256, self.contract) == (source, contract)

    def to_json(self) -> bytes:
        """The manifest as a lake keeps it."""
        return _adapter().dump_json(self, indent=2)

    @classmethod
    def from_json(cls, text: bytes, name: str) -> "Manifest":
        """The manifest in ``text``, which was read from ``name``. Raises ``ManifestError``."""
        try:
            return _adapter().validate_json(text)
        except ValidationError as error:
            raise ManifestError(
                f"{name}: not a manifest ({error.error_count()} faults). Remove it and land again."
            ) from error


def contract_digest(dataset: str) -> str:
    """The sha256 (hex) of the files that decide what is valid: the dataset's and the contract's own."""
    found = importlib.util.find_spec(f"flows.datasets.{dataset.replace('-', '_')}")
    if found is None or found.origin is None:
        raise ManifestError(f"There is no flows/datasets/{dataset}.py. Correct the dataset's name.")
    files = (Path(found.origin), Path(contract.__file__))
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()


@functools.cache
def _adapter() -> TypeAdapter[Manifest]:
    return TypeAdapter(Manifest)
