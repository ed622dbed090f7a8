"""What a flow asks of S3 and MLflow, call by call: counted, and the flow killed at any of them.

A proxy stands between a flow, which runs in a process of its own, and both servers. A clean run tells the calls::

    made = calls.of(warm, home.env, "promote", model=MODEL, ...)

and the flow is killed at every moment of it. What the next run makes of that is asserted where anything is left::

    for moment in calls.leaving(made, home.objects, warm, home.env, "promote", model=MODEL, ...):
        run(promote, model=MODEL, ...)
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.integration.warm import Warm

SERVERS = {"S3": "AWS_ENDPOINT_URL", "MLflow": "MLFLOW_TRACKING_URI"}
"""The servers a flow asks, and by which setting it finds them."""
READS = {"GET", "HEAD"}
"""The methods that change nothing."""
HOP_BY_HOP = {"connection", "expect", "transfer-encoding"}
"""Headers that end with one connection."""


@dataclass(frozen=True)
class Moment:
    """Before the server gets a call, or after it served it, while the answer is under way. Calls count from 1."""

    call: int
    after: bool
    what: str = ""

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} call {self.call}{self.what and f' ({self.what})'}"


def of(warm: Warm, env: Mapping[str, str], flow: str, **parameters: Any) -> list[str]:
    """The calls of a run of a flow that nothing disturbs, as ``S3 PUT /lake/...``, in their order."""
    with between(env) as calls, warm.run(flow, calls.env, **parameters) as run:
        run.end()
    assert calls.made
    return calls.made


def moments(made: Sequence[str]) -> Iterator[Moment]:
    """Every moment at which a run that makes these calls may be killed, as the servers can tell them apart.

    Those are before the first call, before each that changes anything, and after the last of these: one that only reads
    leaves all as it was, and so does the time between two. With EVERY_CALL=1 in the environment, before every call and
    after every change.
    """
    every, changes = bool(os.environ.get("EVERY_CALL")), [n for n, what in enumerate(made, 1) if _changes(what)]
    for number, what in enumerate(made, start=1):
        if every or number == 1 or _changes(what):
            yield Moment(number, False, what)
        if _changes(what) and (every or number == changes[-1]):
            yield Moment(number, True, what)


def _changes(what: str) -> bool:
    return what.split()[1] not in READS


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


class Calls:
    """What went through the proxies. ``env`` leads a flow to them; ``made`` grows with every call."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.made: list[str] = []
        self.proxies = [Proxy(name, env[setting], self) for name, setting in SERVERS.items()]
        self.env = {**env, **{SERVERS[proxy.name]: proxy.url for proxy in self.proxies}}
        self._lock = threading.Lock()
        self._victim: int | None = None
        self._moment: Moment | None = None

    def kill(self, pid: int, moment: Moment) -> None:
        """Kill a process at a moment; from then on no call goes through."""
        self._victim, self._moment = pid, moment

    def begin(self, what: str) -> int | None:
        """Count a call; gives its number, or None where it shall not reach the server."""
        with self._lock:
            self.made.append(what)
            return None if self._struck(len(self.made), after=False) else len(self.made)

    def answered(self, number: int) -> bool:
        """Whether the answer to a call shall go back."""
        with self._lock:
            return not self._struck(number, after=True)

    def _struck(self, number: int, *, after: bool) -> bool:
        if self._moment is None:
            return False
        if self._victim and (number, after) == (self._moment.call, self._moment.after):
            os.kill(self._victim, signal.SIGKILL)
            self._victim = None
        return self._victim is None


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
        number = self.server.calls.begin(f"{self.server.name} {self.command} {urlsplit(self.path).path}")
        self.close_connection = number is None or not self._forward(number, body)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def _forward(self, number: int, body: bytes) -> bool:
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
        if not self.server.calls.answered(number):
            return False
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        if length is not None and answer.status not in (204, 304):
            self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content)
        return True
