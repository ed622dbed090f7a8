"""What a flow asks of S3 and MLflow, call by call: counted, the flow killed at any of them, or the call gone wrong.

A proxy stands between a flow, which runs in a process of its own, and both servers. A clean run tells the calls::

    made = calls.of(warm, home.env, "promote", model=MODEL, ...)

and the flow is killed at every moment of it. What the next run makes of that is asserted where anything is left::

    for moment in calls.leaving(made, home.objects, warm, home.env, "promote", model=MODEL, ...):
        run(promote, model=MODEL, ...)

Where a call goes wrong instead, the run goes on, to whatever end::

    end = calls.disturb(warm, home.env, replace(moment, how="reset"), "promote", model=MODEL, ...)

Where others are to be at work in the middle of it, the flow stands still after every change, and goes on to its end::

    for moment in calls.pauses(made, warm, home.env, "retrain", model=MODEL):
        ...
"""

import contextlib
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.integration.warm import PATIENCE, Warm

SERVERS = {"S3": "AWS_ENDPOINT_URL", "MLflow": "MLFLOW_TRACKING_URI"}
"""The servers a flow asks, and by which setting it finds them."""
READS = {"GET", "HEAD"}
"""The methods that change nothing."""
ERRORS = ("500", "503", "reset", "cut", "silent", "away")
"""What may come instead of an answer: a status, the end of the connection, half of it once it was served, nothing.

To ``away`` the status 503, as to every call after it: both servers stay away until the run has ended.
"""
SIGNALS = {"killed": signal.SIGKILL, "stopped": signal.SIGSTOP}
"""What may come over the flow itself."""
SILENCE = 30
"""Seconds; a client gives up sooner."""
NO_WAIT = struct.pack("ii", 1, 0)
"""A socket that is closed says so by a reset."""
HOP_BY_HOP = {"connection", "expect", "transfer-encoding"}
"""Headers that end with one connection."""


@dataclass(frozen=True)
class Moment:
    """Before the server gets a call, or after it served it, while the answer is under way. Calls count from 1.

    ``how`` is what happens then: the flow is killed or stopped, or one of ``ERRORS`` comes instead of the answer.
    """

    call: int
    after: bool
    what: str = ""
    how: str = "killed"

    def __str__(self) -> str:
        return f"{self.how} {'after' if self.after else 'before'} call {self.call}{self.what and f' ({self.what})'}"


def of(warm: Warm, env: Mapping[str, str], flow: str, **parameters: Any) -> list[str]:
    """The calls of a run of a flow that nothing disturbs, as ``S3 PUT /lake/...``, in their order."""
    with between(env) as calls, warm.run(flow, calls.env, **parameters) as run:
        run.end()
    assert calls.made
    return calls.made


def changes(what: str) -> bool:
    """Whether a call changes anything."""
    return what.split()[1] not in READS


def every_one() -> bool:
    """Whether every call is to be disturbed, by EVERY_CALL=1 in the environment."""
    return bool(os.environ.get("EVERY_CALL"))


def timeout(seconds: float = 900, every: float = 3 * 3600) -> pytest.MarkDecorator:
    """The time that a test of a share of the calls may take; ``every`` where every one is disturbed."""
    return pytest.mark.timeout(every if every_one() else seconds)


def moments(made: Sequence[str]) -> Iterator[Moment]:
    """Every moment at which a run that makes these calls may be killed, as the servers can tell them apart.

    Those are before the first call, before each that changes anything, and after the last of these: one that only reads
    leaves all as it was, and so does the time between two. With EVERY_CALL=1 in the environment, before every call and
    after every change.
    """
    every, last = every_one(), max(n for n, what in enumerate(made, 1) if changes(what))
    for number, what in enumerate(made, start=1):
        if every or number == 1 or changes(what):
            yield Moment(number, False, what)
        if changes(what) and (every or number == last):
            yield Moment(number, True, what)


def leaving(
    made: Sequence[str], seen: Callable[[], Any], warm: Warm, env: Mapping[str, str], flow: str, **parameters: Any
) -> Iterator[Moment]:
    """Kill a flow at every moment of the run that made these calls; gives those that left something by ``seen``.

    After the others the next run is as the first was. Whoever asks for the next moment brings all back as it was.
    """
    for moment in moments(made):
        before = seen()
        assert kill(warm, env, moment, flow, **parameters), moment
        if seen() != before:
            yield moment


def kill(warm: Warm, env: Mapping[str, str], moment: Moment, flow: str, **parameters: Any) -> bool:
    """Run a flow and kill it at a moment; whether it came so far."""
    with between(env) as calls, warm.run(flow, calls.env, **parameters) as run:
        calls.kill(run.pid, moment)
        run.go()
        return run.killed()


def disturb(
    warm: Warm, env: Mapping[str, str], moment: Moment, flow: str, ordered: bool = True, **parameters: Any
) -> Mapping[str, str] | None:
    """Run a flow to a moment and on; type, name and message of its end, None where it was killed.

    Where its calls are not ``ordered`` the moment is one of so many calls, whichever comes then.
    """
    with between(env) as calls, warm.run(flow, calls.env, **parameters) as run:
        calls.kill(run.pid, moment)
        run.go()
        end = None if run.killed() else run.end()
    assert calls.struck, f"it ended before: {moment}"
    came = calls.made[moment.call - 1].split()[:2]
    assert not ordered or came == moment.what.split()[:2], f"another call came: {moment}"
    return end


def pauses(made: Sequence[str], warm: Warm, env: Mapping[str, str], flow: str, **parameters: Any) -> Iterator[Moment]:
    """Let a flow stand still after each change of the run that made these calls, until the next moment is asked for.

    After the last one it goes on, and has to end well.
    """
    with between(env) as calls, warm.run(flow, calls.env, **parameters) as run:
        for number, what in enumerate(made, start=1):
            if changes(what):
                calls.kill(run.pid, moment := Moment(number, True, what, "stopped"))
                run.go()
                os.kill(run.pid, signal.SIGCONT)
                calls.await_struck()
                yield moment
        os.kill(run.pid, signal.SIGCONT)
        assert run.end()["type"] == "COMPLETED"


class Calls:
    """What went through the proxies. ``env`` leads a flow to them; ``made`` grows with every call."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.made: list[str] = []
        self.proxies = [Proxy(name, env[setting], self) for name, setting in SERVERS.items()]
        self.env = {**env, **{SERVERS[proxy.name]: proxy.url for proxy in self.proxies}}
        self.struck = False
        self._lock = threading.Lock()
        self._victim: int | None = None
        self._moment: Moment | None = None

    def kill(self, pid: int, moment: Moment) -> None:
        """Kill a process at a moment, from when on no call goes through; or stop it, or let that call go wrong."""
        self._victim, self._moment, self.struck = pid, moment, False

    def await_struck(self) -> None:
        """Return once the moment has come."""
        deadline = time.monotonic() + PATIENCE
        while not self.struck:
            assert time.monotonic() < deadline, f"it never came: {self._moment}"
            time.sleep(0.01)

    def begin(self, what: str) -> tuple[int, str]:
        """Count a call; gives its number, and what happens to it instead of reaching the server."""
        with self._lock:
            self.made.append(what)
            return len(self.made), self._happens(len(self.made), after=False)

    def answered(self, number: int) -> str:
        """What happens to the answer to a call instead of going back."""
        with self._lock:
            return self._happens(number, after=True)

    def _happens(self, number: int, *, after: bool) -> str:
        if self._moment is None or self._victim is None:
            return ""
        if not self.struck and (number, after) == (self._moment.call, self._moment.after):
            self.struck = True
            if self._moment.how in SIGNALS:
                os.kill(self._victim, SIGNALS[self._moment.how])
            return "" if self._moment.how == "stopped" else self._moment.how
        return self._moment.how if self.struck and self._moment.how in ("killed", "away") else ""


@contextlib.contextmanager
def between(env: Mapping[str, str]) -> Iterator[Calls]:
    """The proxies to the servers of an environment, for as long as the block lasts."""
    calls = Calls(env)
    threads = [threading.Thread(target=proxy.serve_forever, args=(0.05,)) for proxy in calls.proxies]
    for thread in threads:
        thread.start()
    try:
        yield calls
    finally:
        for proxy in calls.proxies:
            proxy.shutdown()
            proxy.server_close()
        for thread in threads:
            thread.join()


class Proxy(ThreadingHTTPServer):
    """Hands every request on as it is, and the answer back."""

    daemon_threads = True

    def __init__(self, name: str, upstream: str, calls: Calls) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.name, self.upstream, self.calls = name, urlsplit(upstream), calls

    @property
    def url(self) -> str:
        """The address a flow takes for the server's."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: Any) -> None:
        """Who was killed leaves broken connections."""


class Handler(BaseHTTPRequestHandler):
    """One connection of a flow. The header ``Host`` stays as it was: requests to S3 are signed with it."""

    server: Proxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self) -> None:
        """Hand one request on."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        number, how = self.server.calls.begin(f"{self.server.name} {self.command} {urlsplit(self.path).path}")
        if how:
            self._go_wrong(how)
        else:
            self._forward(number, body)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def _go_wrong(self, how: str) -> None:
        """Let something else than the answer go back, if anything, and end the connection."""
        self.close_connection = True
        if how == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_WAIT)
            os.close(self.connection.detach())  # at once: the server would say farewell first
        elif how == "silent":
            time.sleep(SILENCE)
        elif how != "killed":
            self.send_response_only(503 if how == "away" else int(how))
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _forward(self, number: int, body: bytes) -> None:
        assert "Transfer-Encoding" not in self.headers
        upstream = HTTPConnection(str(self.server.upstream.hostname), self.server.upstream.port)
        with contextlib.closing(upstream):
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    upstream.putheader(name, value)
            upstream.endheaders(body or None)
            answer = upstream.getresponse()
            content = answer.read()
        how = self.server.calls.answered(number)
        if how not in ("", "cut"):
            self._go_wrong(how)
            return
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        if length is not None and answer.status not in (204, 304):
            self.send_header("Content-Length", length)
        if how == "cut":
            self.close_connection = True
            whole = b"".join(self._headers_buffer)
            self.wfile.write(whole + b"\r\n" + content[: len(content) // 2] if content else whole[: len(whole) // 2])
            self._headers_buffer.clear()
            return
        self.end_headers()
        self.wfile.write(content)
