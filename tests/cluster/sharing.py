"""One cluster for several processes: who makes it, who removes it, and when nobody may disturb what is on it."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO


@contextmanager
def once(made: Path) -> Iterator[bool]:
    """Whether this process is the first that comes here. The others wait for its end, and take over where it failed.

    ``made`` is a file that says that it is done.
    """
    with _locked(made.with_suffix(".lock"), fcntl.LOCK_EX):
        yield not made.exists()
        made.touch()


@contextmanager
def used(users: Path) -> Iterator[Callable[[], bool]]:
    """Something is in use meanwhile; gives what says at the end whether this process was the last to use it."""
    with _locked(users, fcntl.LOCK_SH) as lock:
        yield partial(_last, lock)


@contextmanager
def undisturbed(lock: Path) -> Iterator[None]:
    """Nobody disturbs the platform meanwhile."""
    with _locked(lock, fcntl.LOCK_SH):
        yield


@contextmanager
def disturbing(lock: Path) -> Iterator[None]:
    """Nobody relies on the platform meanwhile: a part of it may be away."""
    with _locked(lock, fcntl.LOCK_EX):
        yield


@contextmanager
def _locked(path: Path, how: int) -> Iterator[IO[str]]:
    """Hold a lock that ends with the process, if not before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, how)
        yield file


def _last(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
