"""What of the suite goes on at once, where pytest has several workers (``-n 2 --dist loadfile``).

One lane uses the platform that all share, and takes parts of it away. The modules beside it have installations of their
own, only look, or add what harms nobody: each is a lane, taken by whoever is free, and asks for ``undisturbed`` where
it needs the platform whole.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

PLATFORM = (
    "test_main_job.py",
    "test_reconcile.py",
    "test_delivery.py",
    "test_kind.py",
    "test_looks.py",
)
"""The lane of the platform, in its order: the main job has a lake of its own, and what ends late is looked at late."""


class Scheduler(LoadFileScheduling):
    """Gives each worker a file at a time, in their order, but those of the platform's lane all to one."""

    def _split_scope(self, nodeid: str) -> str:
        path: str = super()._split_scope(nodeid)
        return "platform" if Path(path).name in PLATFORM else path


@dataclass(frozen=True)
class Lanes:
    """A plugin that lays the tests of a folder in lanes."""

    folder: Path

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Bring the tests into their order, after those of other folders."""
        items.sort(key=lambda item: _place(item.path) if self.folder in item.path.parents else (-1, ""))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Scheduler | None:
        """The workers' own, where they go by files."""
        return Scheduler(config, log) if config.getvalue("dist") == "loadfile" else None


def _place(path: Path) -> tuple[int, str]:
    return (PLATFORM.index(path.name) if path.name in PLATFORM else len(PLATFORM)), path.name
