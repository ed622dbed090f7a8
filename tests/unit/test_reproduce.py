"""The environment that a record's packages are installed into."""

import sys
from pathlib import Path

import pytest

from ops import reproduce

UNKNOWN = "no-such-package-of-trainyard==1.0 --hash=sha256:" + "0" * 64


def test_a_lock_that_does_not_install_is_told_in_pips_words_and_leaves_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    with pytest.raises(reproduce.NotReproduced, match=r"do not install \(ERROR: No matching distribution found"):
        reproduce.environment(UNKNOWN, tmp_path)
    assert list(tmp_path.iterdir()) == []


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
