"""Processes of the local platform: started apart from the terminal, found again by a mark in their environment.

Every process carries ``OPS_PLATFORM=<state folder>`` and hands it to its children (flow runs among them), so that
all of them are found after a crash too, when no list of process ids could be trusted.
"""

import contextlib
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "OPS_PLATFORM"
SERVICE = "OPS_SERVICE"
GIVE_UP = 15.0
"""Seconds after which a process that even SIGKILL does not end is left alone."""


@dataclass(frozen=True)
class Running:
    """A process of the platform; ``service`` is the one it belongs to, itself or as a child."""

    service: str
    process: psutil.Process


def start(service: str, argv: Sequence[str], env: Mapping[str, str], state: Path, log: Path) -> None:
    """Start a service of the platform in a session of its own, its output appended to ``log``.

    What a former one of that name left running (flow runs of a worker that was killed) is ended first.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    stop(state, patience=0, only=[service])
    with log.open("ab") as output:
        process = subprocess.Popen(
            argv,
            env={**env, MARK: str(state), SERVICE: service},
            cwd=state.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _pid_file(state, service).write_text(str(process.pid))


def is_up(state: Path, service: str) -> bool:
    """Whether the process that was started as the service runs. The mark tells it from another that got its number."""
    try:
        pid = int(_pid_file(state, service).read_text())
    except (OSError, ValueError):
        return False
    return any(one.process.pid == pid and one.service == service for one in running(state))


def listens(state: Path, service: str, port: int) -> bool:
    """Whether a process of the service listens on the port: an answer from there may be that of another program."""
    for one in running(state):
        with contextlib.suppress(psutil.Error):
            found = one.process.net_connections("tcp") if one.service == service else []
            if any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in found):
                return True
    return False


def _pid_file(state: Path, service: str) -> Path:
    folder = state / "run"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / service


def running(state: Path) -> list[Running]:
    """The live processes of the platform whose state is in ``state``."""
    return list(_marked(str(state)))


def _marked(mark: str) -> Iterator[Running]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            env = process.environ()
            if env.get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield Running(env.get(SERVICE, "?"), process)


def stop(state: Path, patience: float = 15.0, only: Collection[str] = (), at_once: Collection[str] = ()) -> int:
    """End the processes of the platform, or of the services in ``only``. Gives how many there were.

    Politely, then after ``patience`` seconds by force; services in ``at_once`` by force from the start. A process may
    start another while it ends, so this looks again until none is left.
    """
    seen: set[int] = set()
    deadline = time.monotonic() + patience
    while found := [one for one in running(state) if not only or one.service in only]:
        if time.monotonic() > deadline + GIVE_UP:
            break
        for one in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                if one.service in at_once or time.monotonic() > deadline:
                    one.process.kill()
                elif one.process.pid not in seen:
                    one.process.terminate()
        seen.update(one.process.pid for one in found)
        psutil.wait_procs([one.process for one in found], timeout=0.5)
    return len(seen)
