"""Programs that stand in for those that are not here, or must not be called."""

import os
from pathlib import Path

import pytest


def put(folder: Path, name: str, script: str) -> Path:
    """A program of this name in a folder, made of the lines of a shell script."""
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def first_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the programs in a folder found before all others."""
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
