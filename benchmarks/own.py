"""A local platform of a benchmark's own: begun anew, the main job done on it, ended afterwards."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from benchmarks.measuring import require_memory
from ops import platform
from ops.__main__ import DEMO
from ops.environment import Place, environment, here

BASE_MB = 2500
"""What its servers and two runs at once take at most. Measured by ``python -m benchmarks.soak``."""


@contextmanager
def served(name: str) -> Iterator[tuple[Place, dict[str, str]]]:
    """The platform ``PLACE=name`` with a champion in service, and the environment that leads commands to it."""
    require_memory(BASE_MB, "a platform and its runs")
    place = replace(here(), name=name)
    with platform.exclusive(place):
        platform.clear(place)
        try:
            env = environment(place, platform.start(place, lambda line: print(line, file=sys.stderr)))
            demo = [sys.executable, "-m", *DEMO, "--logs", "worker.log"]
            subprocess.run(demo, env=env, cwd=place.root, check=True, stdout=sys.stderr)
            yield place, env
        finally:
            platform.stop(place)
