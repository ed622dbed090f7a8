"""How a version in service is loaded."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.ml import champion, stored
from flows.ml.settings import STORED_THREADS


def test_versions_that_are_loaded_at_once_are_each_told_their_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    version = SimpleNamespace(fingerprint="first", tags={"snapshot": json.dumps({"train": [{"month": "2023-01"}]})})
    registry: Any = SimpleNamespace(version=lambda model, number: version)
    entry: Any = SimpleNamespace(version=1, fingerprint="first")
    model: Any = SimpleNamespace(name="small")

    def load(registry: object, version: object, folder: Path) -> str | None:
        time.sleep(float(folder.name) / 20)
        return os.environ.get(STORED_THREADS)

    monkeypatch.delenv(STORED_THREADS, raising=False)
    monkeypatch.setattr(stored, "load", load)
    with ThreadPoolExecutor(3) as pool:
        begun = [pool.submit(champion.load, registry, model, entry, 2, Path(str(number))) for number in range(3)]

    assert [found.result().stored for found in begun] == ["2", "2", "2"]
    assert STORED_THREADS not in os.environ
