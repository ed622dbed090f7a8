"""One deploy at a time: a lease in the lake, which comes free by itself where its holder was killed.

The object ``deploys/lease.json`` names the holder and the moment until which it counts. The holder moves that moment on
while it works. Every write rests on the object being as it was read, so of two that take it one has it. The moments are
of the holders' clocks: machines whose clocks differ by more than ``DURATION`` may hold it at once.
"""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from flows.ml.lake import Conflict, Lake, LakeError, ObjectMissing
from ops.deploy.errors import NotDeployed

KEY = "deploys/lease.json"
DURATION = 30.0
"""Seconds a lease counts from its last renewal on."""
PATIENCE = 120.0
"""Seconds a deploy waits for another one to end."""
POLL = 1.0


@dataclass(frozen=True)
class Holder:
    """Who holds the lease, and until when, in seconds since 1970. An empty token: nobody."""

    name: str
    token: str
    until: float


@contextmanager
def held(lake: Lake, name: str, say: Callable[[str], None], patience: float = PATIENCE) -> Iterator[Callable[[], None]]:
    """Hold the lease for as long as the block lasts; gives a check that raises ``NotDeployed`` once it is lost.

    Waits for another holder, and raises ``NotDeployed`` where that one does not end within ``patience`` seconds.
    """
    lease = _Lease(lake, name)
    _take(lease, say, patience)
    stop = threading.Event()
    renewing = threading.Thread(target=_renew, args=(lease, stop), daemon=True)
    renewing.start()
    try:
        yield lease.require
    finally:
        stop.set()
        renewing.join()
        with suppress(LakeError):  # where it cannot be given back it ends by itself
            lease.give_back()


class _Lease:
    """The object in the lake as this process wrote it last."""

    def __init__(self, lake: Lake, name: str) -> None:
        self.lake, self.name, self.token = lake, name, uuid.uuid4().hex
        self.etag = ""
        self.until = 0.0

    def take(self) -> Holder | None:
        """Take it where it is free; the holder where it is not."""
        try:
            data, etag = self.lake.read(KEY)
        except ObjectMissing:
            return self._write(None)
        holder = Holder(**json.loads(data))
        return holder if holder.token and holder.until > time.time() else self._write(etag)

    def renew(self) -> None:
        """Move the moment on. Raises ``Conflict`` where another holds it."""
        self._put(self.etag, self.token)

    def give_back(self) -> None:
        """Let the next one have it at once."""
        self._put(self.etag, "")

    def require(self) -> None:
        """Raises ``NotDeployed`` once it does not count any more."""
        if time.time() > self.until:
            raise NotDeployed(
                "this deploy lost its lease in the lake: it stood still for too long, or the lake did not answer. What"
                " it had not done is left. Run it again: it goes on from there."
            )

    def _write(self, etag: str | None) -> Holder | None:
        try:
            self._put(etag, self.token)
        except Conflict:
            return Holder("another deploy", "unknown", time.time() + DURATION)
        return None

    def _put(self, etag: str | None, token: str) -> None:
        until = time.time() + DURATION
        self.etag = self.lake.replace(KEY, json.dumps(asdict(Holder(self.name, token, until))).encode(), etag)
        self.until = until


def _take(lease: _Lease, say: Callable[[str], None], patience: float) -> None:
    deadline, told = time.monotonic() + patience, False
    while holder := lease.take():
        if time.monotonic() > deadline:
            until = datetime.fromtimestamp(holder.until, UTC).isoformat(timespec="seconds")
            raise NotDeployed(
                f"{holder.name} is deploying, its lease counts until {until}. Run this again once that has ended; where"
                f" it was killed, its lease ends by itself within {DURATION:g} s."
            )
        if not told:
            say(f"Waiting for {holder.name}, who is deploying")
            told = True
        time.sleep(POLL)


def _renew(lease: _Lease, stop: threading.Event) -> None:
    while not stop.wait(DURATION / 4):
        try:
            lease.renew()
        except Conflict:
            lease.until = 0.0
            return
        except LakeError:  # it counts for some time yet; the next renewal may come through
            continue
