"""What of the suite goes on at once, where pytest has several workers (``-n 2 --dist loadgroup``).

One lane uses the platform that all share, and makes faults in it. The modules beside it have installations of their
own, or only look: each is a lane, taken by whoever is free, and asks for ``undisturbed`` where it needs the platform
whole.
"""

from pathlib import Path

import pytest

PLATFORM = (
    "test_main_job.py",
    "test_fault_outages.py",
    "test_pull.py",
    "test_fault_pods.py",
    "test_delivery.py",
    "test_kind.py",
)
"""The lane of the platform, in its order: the main job has a lake of its own, and what ends late is looked at late."""
SOON = "test_built_images.py"
"""What needs no cluster, so it goes on while there is none yet."""


def arrange(items: list[pytest.Item]) -> None:
    """Bring the tests of the suite into their order, and tell the workers which belong together."""
    items.sort(key=lambda item: _place(item.path))
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(_lane(item.path)))


def _lane(path: Path) -> str:
    return "platform" if path.name in PLATFORM else path.stem


def _place(path: Path) -> tuple[int, str]:
    order = (*PLATFORM, SOON)
    return (order.index(path.name) if path.name in order else len(order)), path.name
