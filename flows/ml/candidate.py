"""A trained model on its way to the registry: its files in the lake, by the digest of their bytes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from flows.ml.lake import DigestMismatch, Lake


@dataclass(frozen=True)
class Candidate:
    """What a training left: ``files`` maps the name of a file to the sha256 of its bytes. ``rows`` were trained on."""

    model: str
    fingerprint: str
    rows: int
    files: Mapping[str, str]

    def key(self, name: str) -> str:
        """Where a file of the candidate is in the lake."""
        return f"candidates/{self.model}/{self.fingerprint}/{self.files[name][:16]}-{name}"


def stage(lake: Lake, model: str, fingerprint: str, rows: int, files: Mapping[str, bytes]) -> Candidate:
    """Write a candidate's files; the same bytes again write nothing."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    candidate = Candidate(model, fingerprint, rows, digests)
    for name, data in files.items():
        lake.put_new(candidate.key(name), data)
    return candidate


def is_whole(lake: Lake, candidate: Candidate) -> bool:
    """Whether every file of the candidate is in the lake."""
    return all(lake.find(candidate.key(name)) for name in candidate.files)


def read(lake: Lake, candidate: Candidate, name: str) -> bytes:
    """The bytes of a candidate's file. Raises ``DigestMismatch`` where they are not those that were written."""
    data = lake.get(candidate.key(name))
    if hashlib.sha256(data).hexdigest() != candidate.files[name]:
        raise DigestMismatch(f"{lake.uri(candidate.key(name))} is not what training wrote. Remove it and retrain.")
    return data


def of_training(lake: Lake, model: str, fingerprint: str, name: str) -> bytes | None:
    """A file that a training left, where its digests are not at hand; None where no whole one is there."""
    for key in lake.keys(f"candidates/{model}/{fingerprint}/"):
        digest, _, found = key.rpartition("/")[2].partition("-")
        if found == name and hashlib.sha256(data := lake.get(key)).hexdigest().startswith(digest):
            return data
    return None
