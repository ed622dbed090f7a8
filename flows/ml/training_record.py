"""All that a training is done again from, in one file that is kept with its version.

The texts in it are held to the digests in its material, and the material to the fingerprint of the version: a record
that was altered is no record of that training.
"""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flows.ml import fingerprint, judging
from flows.ml.candidate import Candidate
from flows.ml.definition import Model
from flows.ml.errors import TrainyardError
from flows.ml.fingerprint import FLOWS, LOCK, Part, Snapshot

NAME = "record.json"
FORMAT = 1
ERRORS = "ml/errors.py"
"""The root of the errors: the sources import it, and nothing that is computed depends on it. Records hold none but the
first of them, and no digest of it: what a training done again imports is that of this code."""


class RecordUnusable(TrainyardError):
    """The record of a training is of another format, or is not what the version's fingerprint stands for."""


@dataclass(frozen=True)
class TrainingRecord:
    """What a training was made from and what it gave.

    ``material`` is what its fingerprint is the digest of, ``sources`` the files of ``flows`` by their names, ``lock``
    the text of the locked packages, ``columns`` the columns of the lake's rows that are read. ``files`` maps what the
    training left to the sha256 of its bytes; ``rows`` were trained on. ``python`` and ``machine`` did it.
    """

    model: str
    snapshot: Snapshot
    material: Mapping[str, Any]
    sources: Mapping[str, str]
    lock: str
    columns: tuple[str, ...]
    files: Mapping[str, str]
    rows: int
    python: str
    machine: str


def here() -> tuple[str, str]:
    """The Python and the kind of machine that this process runs on."""
    return platform.python_version(), f"{platform.system()} {platform.machine()}"


def take(model: Model, snapshot: Snapshot, candidate: Candidate) -> TrainingRecord:
    """The record of a training, by the code and the lock of this process, which are those of its fingerprint."""
    material = fingerprint.material(model, snapshot)
    python, machine = here()
    return TrainingRecord(
        model=model.name,
        snapshot=snapshot,
        material=material,
        sources={name: (FLOWS / name).read_text("utf-8") for name in material["files"]},
        lock=LOCK.read_text("utf-8"),
        columns=tuple(judging.columns(model)),
        files=dict(candidate.files),
        rows=candidate.rows,
        python=python,
        machine=machine,
    )


def to_json(record: TrainingRecord) -> bytes:
    """The record as it is kept."""
    return json.dumps({"format": FORMAT, **asdict(record)}, indent=1, sort_keys=True).encode()


def from_json(data: bytes, wanted: str) -> TrainingRecord:
    """The record of the training whose fingerprint is ``wanted``. Raises ``RecordUnusable``."""
    try:
        found = json.loads(data)
        kept = found.pop("format")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise RecordUnusable("The record is no JSON with a format: its file in MLflow is damaged.") from error
    if kept != FORMAT:
        raise RecordUnusable(
            f"The record is of format {kept} and this code reads format {FORMAT}: use the code of the commit in the "
            "version's tag git_sha."
        )
    try:
        parts = found.pop("snapshot")
        train = tuple(Part(**part) for part in parts["train"])
        snapshot = Snapshot(parts["dataset"], train, Part(**parts["judge"]))
        record = TrainingRecord(snapshot=snapshot, **{**found, "columns": tuple(found["columns"])})
        wrong = _altered(record, wanted)
    except (KeyError, TypeError, AttributeError, ValueError, SyntaxError) as error:
        raise RecordUnusable(
            f"The record lacks or misnames a part ({error}): its file in MLflow is damaged."
        ) from error
    if wrong:
        raise RecordUnusable(
            f"The record is not that of this version's training: {', '.join(wrong)} is not what its fingerprint stands "
            "for. Its file in MLflow was altered."
        )
    return record


def _altered(record: TrainingRecord, wanted: str) -> list[str]:
    """The parts of a record that do not fit the fingerprint."""
    material = record.material
    if fingerprint.digest_of(dict(material)) != wanted:
        return ["the material"]
    texts = {name: text.encode() for name, text in record.sources.items() if name != ERRORS}
    wrong = {
        name for name, text in texts.items() if digest(fingerprint.without_limits(text)) != material["files"].get(name)
    }
    wrong |= material["files"].keys() - texts.keys()
    if digest(record.lock.encode()) != material["packages"]:
        wrong.add("the lock")
    if record.snapshot.digest != material["snapshot"]:
        wrong.add("the snapshot")
    return sorted(wrong)


def unpack(record: TrainingRecord, folder: Path) -> None:
    """Lay the sources out in ``folder`` as the package ``flows``, with nothing that their digests do not stand for.

    No limits of monitoring are in it: a model's are None.
    """
    sources = {name: fingerprint.runnable(text.encode()) for name, text in record.sources.items()}
    for name, text in {**sources, ERRORS: (FLOWS / ERRORS).read_bytes()}.items():
        path = folder / "flows" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    for package in {folder / "flows", *((folder / "flows" / name).parent for name in sources)}:
        (package / "__init__.py").touch()


def digest(data: bytes) -> str:
    """The sha256 of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()
