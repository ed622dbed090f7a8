"""Processes of the local platform: started apart from the terminal, found again by a mark in their environment.

Every process carries ``OPS_PLATFORM=<state folder>`` and hands it to its children (flow runs among them), so that
all of them are found after a crash too, when no list of process ids could be trusted.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "OPS_PLATFORM"
SERVICE = "OPS_SERVICE"


@dataclass(frozen=True)
class Running:
    """A process of the platform; ``service`` is the one it belongs to, itself or as a child."""

    service: str
    process: psutil.Process


def start(service: str, argv: Sequence[str], env: Mapping[str, str], state: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a service of the platform in a session of its own, its output appended to ``log``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            argv,
            env={**env, MARK: str(state), SERVICE: service},
            cwd=state.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def running(state: Path) -> list[Running]:
    """The live processes of the platform whose state is in ``state``."""
    return list(_marked(str(state)))


def _marked(mark: str) -> Iterator[Running]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            env = process.environ()
            if env.get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield Running(env.get(SERVICE, "?"), process)


def stop(state: Path, patience: float = 15.0) -> int:
    """End every process of the platform: politely, then after ``patience`` seconds by force. Gives how many there were.

    A process may start another while it ends, so this looks again until none is left.
    """
    seen: set[int] = set()
    deadline = time.monotonic() + patience
    while found := [r.process for r in running(state) if r.process.pid != os.getpid()]:
        force = time.monotonic() > deadline
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                if force:
                    process.kill()
                elif process.pid not in seen:
                    process.terminate()
        seen.update(process.pid for process in found)
        psutil.wait_procs(found, timeout=0.5)
    return len(seen)
