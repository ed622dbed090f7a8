import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops import processes
from ops.s3_servers import free_ports

LISTEN = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(60)"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A port of loopback on which the service ``one`` of a platform listens."""
    (port,) = free_ports(1)
    state = tmp_path / "state"
    processes.start("one", [sys.executable, "-c", LISTEN, str(port)], {}, state, state / "log" / "one.log")
    deadline = time.monotonic() + 10
    while not processes.listens(state, "one", port) and time.monotonic() < deadline:
        time.sleep(0.05)
    yield port
    processes.stop(state, patience=0)


def test_a_service_is_known_to_listen_on_its_port(tmp_path: Path, port: int) -> None:
    found = processes.listens(tmp_path / "state", "one", port)

    assert found


def test_a_port_that_another_platform_listens_on_is_not_ones_own(tmp_path: Path, port: int) -> None:
    other = tmp_path / "other"
    processes.start("one", [sys.executable, "-c", "import time; time.sleep(60)"], {}, other, tmp_path / "log")

    found = processes.listens(other, "one", port)

    processes.stop(other, patience=0)
    assert not found
