"""The platform's start, its servers played by small Python programs."""

import contextlib
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ops import platform, processes
from ops.environment import Place, Ports
from ops.platform import PlatformError, Service
from ops.ports import next_free

SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A place whose only server is S3, and that is one which answers 200 to everything."""
    first = next_free(20_000)
    monkeypatch.setattr(platform, "PREFERRED", Ports(first, next_free(first + 1), next_free(first + 10)))
    monkeypatch.setattr(platform, "services", lambda place, ports: [server(ports.s3)])
    monkeypatch.setattr(platform, "_provision", lambda place, env, say: None)
    yield Place(tmp_path)
    processes.stop(tmp_path / ".trainyard", patience=0)


def server(port: int, program: str = SERVER) -> Service:
    return Service("s3", (sys.executable, "-S", "-c", program, str(port)), f"http://127.0.0.1:{port}/")


class Stranger(BaseHTTPRequestHandler):
    """A server of somebody else, which answers too."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def stranger(port: int) -> Iterator[None]:
    with HTTPServer(("127.0.0.1", port), Stranger) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield
        found.shutdown()


def test_a_start_keeps_its_ports_and_a_second_one_finds_everything_running(place: Place) -> None:
    said: list[str] = []

    ports = platform.start(place, said.append)
    again = platform.start(place, said.append)

    assert ports == again == place.ports() == platform.PREFERRED
    assert [line for line in said if "The platform is up" not in line] == [
        "Starting s3",
        "  s3 answers",
        "Every server is running",
        "  s3 answers",
    ]


def test_a_port_that_is_taken_is_named_and_the_next_one_is_used(place: Place) -> None:
    said: list[str] = []
    wanted = platform.PREFERRED.s3

    with stranger(wanted):
        ports = platform.start(place, said.append)

    assert ports.s3 > wanted
    assert said[0] == f"Port {wanted} is taken by another program: s3 listens on {ports.s3}"


def test_a_stranger_who_was_quicker_to_take_the_port_is_not_taken_for_the_server(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = platform.PREFERRED
    looks = iter([wanted])
    settle = platform._settle_ports
    monkeypatch.setattr(platform, "_settle_ports", lambda *given: next(looks, None) or settle(*given))
    monkeypatch.setattr(platform.random, "randrange", lambda first, end: end - first)
    place.keep_ports(wanted)

    with stranger(wanted.s3):
        ports = platform.start(place, lambda line: None)

    assert ports.s3 >= wanted.s3 + platform.SPREAD  # not the next, which another platform takes as well
    assert processes.listens(place.state, "s3", ports.s3)


def test_a_server_that_ends_while_it_starts_is_named_with_the_end_of_its_log(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "services", lambda place, ports: [server(ports.s3, "raise SystemExit('no disk')")])

    with pytest.raises(PlatformError, match=r"(?s)^s3 ended while it started\. .*log/s3\.log:\nno disk"):
        platform.start(place, lambda line: None)


def test_a_server_that_never_answers_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "PATIENCE", 0.3)
    monkeypatch.setattr(platform, "services", lambda place, ports: [server(ports.s3, "import time; time.sleep(60)")])

    with pytest.raises(PlatformError, match="s3 did not answer within 0 s"):
        platform.start(place, lambda line: None)


def test_only_one_command_at_a_time_starts_or_stops_a_platform(place: Place) -> None:
    with platform.exclusive(place), pytest.raises(PlatformError, match="another make demo, start or stop is at work"):
        platform.exclusive(place).__enter__()


def test_stop_removes_what_a_killed_server_leaves_behind(place: Place, tmp_path: Path) -> None:
    debris = tmp_path / "socket"
    platform.start(place, lambda line: None)
    debris.touch()
    (place.state / "debris.txt").write_text(f"{debris}\n{tmp_path}/gone\n")

    ended = platform.stop(place)

    assert ended == 1
    assert not debris.exists()
    assert platform.status(place) == dict.fromkeys(("s3", "prefect", "mlflow", "worker"), "stopped")


def test_status_says_what_runs(place: Place) -> None:
    platform.start(place, lambda line: None)

    found = platform.status(place)

    assert found["s3"].startswith("running, 1 processes, ")
    assert found["worker"] == "stopped"


def test_nobody_listens_after_a_stop(place: Place) -> None:
    ports = platform.start(place, lambda line: None)

    platform.stop(place)

    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", ports.s3)) != 0
