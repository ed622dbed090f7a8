"""What a training and a decision are identified by."""

import ast
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flows import models
from flows.ml import fingerprint
from flows.ml.fingerprint import JUDGING_SOURCES, TRAINING_SOURCES, Part, Snapshot, digest_of, model_file
from flows.models.trip_duration import MODEL

ROOT = Path(__file__).resolve().parents[2]
FLOWS = ROOT / "flows"
SNAPSHOT = Snapshot("green-trips", (Part("2023-01", "a1", 10),), Part("2023-02", "a2", 20))


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the repository's code that fingerprints are taken of, to be changed."""
    flows = tmp_path / "flows"
    shutil.copytree(FLOWS, flows, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "README.md").write_text("before")
    monkeypatch.setattr(fingerprint, "LOCK", flows / "requirements.txt")
    monkeypatch.setattr(fingerprint.file_digests, "__defaults__", (flows,))
    return tmp_path


def append(path: Path) -> None:
    path.write_text(path.read_text() + "\n# changed\n")


def imported(path: Path) -> Iterator[str]:
    """The files of ``flows`` that a file imports, relative to it, wherever in the file it does."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{one.name}" for one in node.names}
    for name in names:
        file = ROOT / f"{name.replace('.', '/')}.py"
        if name.startswith("flows.") and file.exists():
            yield file.relative_to(FLOWS).as_posix()


def closure(*starts: str) -> set[str]:
    """What files import, with all that this imports in its turn, themselves included."""
    found: set[str] = set()
    todo = list(starts)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += imported(FLOWS / name)
    return found


ONLY_A_NAME = {"ml/errors.py"}
"""The root of the errors: nothing that is computed depends on it."""


def test_the_training_sources_are_what_training_imports_and_the_code_stored_beside_the_model() -> None:
    assert set(TRAINING_SOURCES) == closure("ml/training.py") - ONLY_A_NAME | {"ml/serving.py"}


def test_the_judging_sources_are_what_the_gate_imports_beyond_training() -> None:
    assert set(JUDGING_SOURCES) | set(TRAINING_SOURCES) >= closure("ml/evaluation.py") - ONLY_A_NAME
    assert closure("ml/evaluation.py") >= set(JUDGING_SOURCES)


@pytest.mark.parametrize("name", [str(name) for name in models.ModelName])
def test_what_a_models_file_imports_is_part_of_its_fingerprint(copy: Path, name: str) -> None:
    model = models.load(name)
    before = fingerprint.training(model, SNAPSHOT)

    unnoticed = set()
    for file in closure(model_file(model)) - ONLY_A_NAME:
        text = (copy / "flows" / file).read_text()
        append(copy / "flows" / file)
        if fingerprint.training(model, SNAPSHOT) == before:
            unnoticed.add(file)
        (copy / "flows" / file).write_text(text)

    assert unnoticed == set()


def test_the_same_training_has_the_same_fingerprint() -> None:
    assert fingerprint.training(MODEL, SNAPSHOT) == fingerprint.training(replace(MODEL), replace(SNAPSHOT))


@pytest.mark.parametrize("file", [*TRAINING_SOURCES, "requirements.txt"])
def test_a_change_of_a_file_it_depends_on_changes_the_fingerprint(copy: Path, file: str) -> None:
    before = fingerprint.training(MODEL, SNAPSHOT)

    append(copy / "flows" / file)

    assert fingerprint.training(MODEL, SNAPSHOT) != before


@pytest.mark.parametrize(
    "file", ["README.md", "flows/retrain.py", "flows/ml/lake.py", "flows/ml/report.py", "flows/ml/evaluation.py"]
)
def test_a_change_of_any_other_file_does_not(copy: Path, file: str) -> None:
    before = fingerprint.training(MODEL, SNAPSHOT)

    append(copy / file)

    assert fingerprint.training(MODEL, SNAPSHOT) == before


@pytest.mark.parametrize(
    "change",
    [{"parameters": {**MODEL.parameters, "eta": 0.5}}, {"rounds": MODEL.rounds + 1}, {"seed": MODEL.seed + 1}],
    ids=["parameters", "rounds", "seed"],
)
def test_a_change_of_the_models_numbers_changes_the_fingerprint(change: dict) -> None:
    assert fingerprint.training(replace(MODEL, **change), SNAPSHOT) != fingerprint.training(MODEL, SNAPSHOT)


@pytest.mark.parametrize(
    "other",
    [
        replace(SNAPSHOT, judge=replace(SNAPSHOT.judge, address="b2")),
        replace(SNAPSHOT, train=(replace(SNAPSHOT.train[0], address="b1"),)),
        replace(SNAPSHOT, train=(Part("2022-12", "a0", 5), *SNAPSHOT.train)),
        replace(SNAPSHOT, dataset="yellow-trips"),
    ],
    ids=["judged month corrected", "training month corrected", "longer window", "dataset"],
)
def test_another_snapshot_changes_the_fingerprint(other: Snapshot) -> None:
    assert other.digest != SNAPSHOT.digest
    assert fingerprint.training(MODEL, other) != fingerprint.training(MODEL, SNAPSHOT)


def test_a_limit_of_monitoring_trains_and_judges_nothing_anew_and_anything_else_in_the_models_file_does(
    copy: Path,
) -> None:
    path = copy / "flows" / model_file(MODEL)
    before = fingerprint.training(MODEL, SNAPSHOT), fingerprint.decision(MODEL, "training", None)
    text = path.read_text()

    path.write_text(text.replace("growth=1.1", "growth=1.5").replace("second_window=3", "second_window=2"))
    limits = fingerprint.training(MODEL, SNAPSHOT), fingerprint.decision(MODEL, "training", None)
    path.write_text(text.replace("window=12", "window=11"))
    window = fingerprint.training(MODEL, SNAPSHOT), fingerprint.decision(MODEL, "training", None)

    assert "growth=1.1" in text
    assert "second_window=3" in text
    assert limits == before
    assert window[0] != before[0]
    assert window[1] != before[1]


def test_only_limits_that_have_a_name_of_their_own_are_left_out() -> None:
    source = b"a = 1\nLIMITS = Limits(\n    growth=1.1,\n)\nMODEL = Model(limits=Limits(growth=2))\n"

    assert fingerprint.without_limits(source) == b"a = 1\nMODEL = Model(limits=Limits(growth=2))\n"


def test_neither_the_commit_nor_the_threads_are_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint.training(MODEL, SNAPSHOT)

    monkeypatch.setenv("TRAINYARD_GIT_SHA", "another")
    monkeypatch.setenv("TRAINYARD_THREADS", "7")

    assert fingerprint.training(MODEL, SNAPSHOT) == before


def test_a_decision_is_identified_by_training_champion_and_gate() -> None:
    base = fingerprint.decision(MODEL, "training", (1, "champion"))

    others = {
        fingerprint.decision(MODEL, "another", (1, "champion")),
        fingerprint.decision(MODEL, "training", None),
        fingerprint.decision(MODEL, "training", (2, "champion")),
        fingerprint.decision(MODEL, "training", (1, "another")),
        fingerprint.decision(replace(MODEL, gate=replace(MODEL.gate, margin=1.0)), "training", (1, "champion")),
    }
    assert fingerprint.decision(MODEL, "training", (1, "champion")) == base
    assert len(others - {base}) == 5


@pytest.mark.parametrize("file", JUDGING_SOURCES)
def test_a_change_of_the_gates_code_changes_the_decision(copy: Path, file: str) -> None:
    before = fingerprint.decision(MODEL, "training", None)

    append(copy / "flows" / file)

    assert fingerprint.decision(MODEL, "training", None) != before


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})
    assert digest_of({"a": 1, "b": [2]}) != digest_of({"a": 1, "b": [3]})
