"""What a retrain is identified by: the same fingerprint gives the same bytes, and never two versions."""

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flows.ml.definition import Model

FLOWS = Path(__file__).resolve().parent.parent
LOCK = FLOWS / "requirements.txt"
TRAINING_SOURCES = (
    "ml/definition.py",
    "ml/features.py",
    "ml/training.py",
    "ml/boosting.py",
    "ml/serving.py",
    "ml/baseline.py",
)
"""The files, besides the model's own, that a trained model depends on; a test holds them to what training imports."""
JUDGING_SOURCES = ("ml/evaluation.py", "ml/comparison.py", "ml/baseline.py", "ml/months.py")


@dataclass(frozen=True)
class Part:
    """One month of a snapshot: where its rows are, and the sha256 of that object."""

    month: str
    address: str
    rows: int


@dataclass(frozen=True)
class Snapshot:
    """The months a retrain uses, fixed by their digests: ``train`` in order of time, and ``judge`` after them."""

    dataset: str
    train: tuple[Part, ...]
    judge: Part

    @property
    def digest(self) -> str:
        """Identifies the snapshot."""
        return digest_of(asdict(self))

    @property
    def span(self) -> str:
        """For people: the months trained on and the month judged by."""
        first, last = self.train[0].month, self.train[-1].month
        return f"{first if first == last else f'{first}..{last}'}, judged on {self.judge.month}"


def digest_of(value: object) -> str:
    """The sha256 of a value's canonical JSON, in hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def file_digests(names: Iterable[str], folder: Path = FLOWS) -> Mapping[str, str]:
    """The sha256 of files without the limits of monitoring in them, by name."""
    return {name: hashlib.sha256(without_limits((folder / name).read_bytes())).hexdigest() for name in sorted(names)}


def without_limits(source: bytes) -> bytes:
    """A file of Python without the statements that give a ``Limits`` a name: moving a limit trains nothing."""
    lines = source.splitlines(keepends=True)
    for node in reversed(_limits(source)):
        del lines[node.lineno - 1 : node.end_lineno]
    return b"".join(lines)


def runnable(source: bytes) -> bytes:
    """The same with None under each of these names: all of the code that runs is what a digest stands for."""
    targets = [target for node in _limits(source) for target in node.targets]
    names = sorted({target.id for target in targets if isinstance(target, ast.Name)})
    return "".join(f"{name} = None\n" for name in names).encode() + without_limits(source)


def _limits(source: bytes) -> list[ast.Assign]:
    if b"Limits(" not in source:
        return []  # parsing the table of zones takes a fifth of a second
    nodes = [node for node in ast.parse(source).body if isinstance(node, ast.Assign)]
    return [node for node in nodes if isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "Limits"]


def model_file(model: Model) -> str:
    """The file that defines a model, relative to ``flows``."""
    return f"models/{model.name.replace('-', '_')}.py"


def training(model: Model, snapshot: Snapshot) -> str:
    """The fingerprint of a training."""
    return digest_of(material(model, snapshot))


def material(model: Model, snapshot: Snapshot) -> dict[str, Any]:
    """What a training depends on: files it uses, parameters, seed, locked packages, snapshot, most by their digests.

    Neither the commit nor the number of threads is part of it: a change of the README trains nothing.
    """
    return {
        "files": dict(file_digests((*TRAINING_SOURCES, model_file(model), "datasets/taxi_zones.py"))),
        "parameters": dict(model.parameters),
        "rounds": model.rounds,
        "seed": model.seed,
        "packages": hashlib.sha256(LOCK.read_bytes()).hexdigest(),
        "snapshot": snapshot.digest,
    }


def decision(model: Model, training: str, champion: tuple[int, str] | None) -> str:
    """The fingerprint of a decision: the training, the champion it is compared with, and the gate.

    ``champion`` is the number of its entry in the ledger and the fingerprint of its training.
    """
    return digest_of(
        {
            "training": training,
            "champion": champion,
            "gate": asdict(model.gate),
            "files": dict(file_digests((*JUDGING_SOURCES, model_file(model)))),
        }
    )
