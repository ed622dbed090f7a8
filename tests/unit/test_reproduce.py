"""The environment that a record's packages are installed into, and what is said of files that differ."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.ml.training_record import digest
from ops import command, reproduce
from ops.environment import here

UNKNOWN = "no-such-package-of-trainyard==1.0 --hash=sha256:" + "0" * 64


def test_a_lock_that_does_not_install_is_told_in_pips_words_and_leaves_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    with pytest.raises(reproduce.NotReproduced, match=r"do not install \(ERROR: No matching distribution found"):
        reproduce.environment(UNKNOWN, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_an_environment_is_made_once_and_anew_where_its_making_was_cut_short(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    python = reproduce.environment("# nothing\n", tmp_path)
    home = python.parent.parent
    (home / "rest").touch()

    assert reproduce.environment("# nothing\n", tmp_path) == python
    assert (home / "rest").exists()
    (home / "whole").unlink()
    assert reproduce.environment("# nothing\n", tmp_path) == python
    assert not (home / "rest").exists()
    assert python.resolve() == Path(sys.executable).resolve()


def test_another_python_has_an_environment_of_its_own(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(reproduce, "_install", lambda lock, home, python: home.mkdir())
    python = reproduce.environment("# nothing\n", tmp_path)
    monkeypatch.setattr(reproduce.platform, "python_version", lambda: "3.99.0")

    assert reproduce.environment("# nothing\n", tmp_path) != python


def test_an_environment_whose_python_was_removed_is_made_anew(tmp_path, monkeypatch) -> None:
    made = []

    def _install(lock: str, home: Path, python: Path) -> None:
        made.append(home)
        python.parent.mkdir(parents=True, exist_ok=True)
        python.unlink(missing_ok=True)
        python.symlink_to(removed if len(made) == 1 else sys.executable)

    (removed := tmp_path / "python").touch()
    monkeypatch.setattr(reproduce, "_install", _install)
    reproduce.environment("# nothing\n", tmp_path)
    removed.unlink()

    assert reproduce.environment("# nothing\n", tmp_path).exists()
    assert len(made) == 2


def test_a_python_is_shown_from_the_checkout_on() -> None:
    place = here()

    assert reproduce.shown(place.folder("reproduce") / "of-a-lock" / "bin" / "python") == (
        ".trainyard/reproduce/of-a-lock/bin/python"
    )
    assert reproduce.shown(Path("/opt/python")) == "/opt/python"


def test_two_do_not_install_at_once(tmp_path) -> None:
    with (
        command.alone(tmp_path / "lock", RuntimeError()),
        pytest.raises(reproduce.NotReproduced, match="wait for their end"),
    ):
        reproduce.environment("# nothing\n", tmp_path)


FILES = {"booster.ubj": b"trees", "encoder.json": b"{}", "features.py": b"code", "baseline.json": b"{}"}
MADE = {**FILES, "serving.py": b"serve"}
RECORD: Any = SimpleNamespace(
    files={name: digest(data) for name, data in FILES.items()}, sources={"ml/serving.py": "serve"}
)
STORED = {name: data for name, data in MADE.items() if name != "baseline.json"}


def test_nothing_is_said_of_files_that_are_the_same() -> None:
    assert reproduce.compare(RECORD, STORED, MADE) == {}


@pytest.mark.parametrize("name", STORED)
def test_a_stored_file_that_is_gone_or_changed_is_named_even_where_the_training_left_the_same(name) -> None:
    gone = {other: data for other, data in STORED.items() if other != name}

    assert reproduce.compare(RECORD, gone, MADE) == {name: "DIFFERS: MLflow does not have it any more"}
    assert reproduce.compare(RECORD, {**STORED, name: b"?"}, MADE) == {
        name: "DIFFERS: what MLflow stores is not what the training left"
    }


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_was_not_made_or_made_otherwise_is_named(name) -> None:
    missed = {other: data for other, data in MADE.items() if other != name}

    assert reproduce.compare(RECORD, STORED, missed) == {name: "DIFFERS: it was not made"}
    assert list(reproduce.compare(RECORD, STORED, {**MADE, name: b"?"})) == [name]


def test_a_file_more_than_the_record_has_is_named() -> None:
    assert list(reproduce.compare(RECORD, STORED, {**MADE, "more.json": b""})) == ["more.json"]
