"""The platform's processes, played by small Python programs."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops import processes

SLEEPS = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {SLEEPS!r}], start_new_session=True)"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state"
    processes.stop(tmp_path / "state", patience=0)


def start(state: Path, service: str, program: str) -> Path:
    """Start a service; gives its log, once it says that it is up."""
    log = state / "log" / f"{service}.log"
    processes.start(service, [sys.executable, "-S", "-c", program], dict(os.environ), state, log)
    wait(lambda: "up" in log.read_text())
    return log


def wait(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def services(state: Path) -> list[str]:
    return sorted(one.service for one in processes.running(state))


def test_a_started_service_is_up_and_its_output_is_logged(state: Path) -> None:
    log = start(state, "s3", SLEEPS)

    assert processes.is_up(state, "s3")
    assert not processes.is_up(state, "mlflow")
    assert log.read_text() == "up\n"


def test_a_service_has_a_session_of_its_own_which_an_interrupt_does_not_reach(state: Path) -> None:
    start(state, "s3", SLEEPS)

    (one,) = processes.running(state)
    assert os.getsid(one.process.pid) == one.process.pid


def test_stop_ends_children_with_their_service_though_they_left_its_session(state: Path) -> None:
    start(state, "worker", PARENT)
    before = services(state)

    ended = processes.stop(state)

    assert (before, ended) == (["worker", "worker"], 2)
    assert services(state) == []


def test_stop_ends_children_whose_parent_was_killed(state: Path) -> None:
    start(state, "worker", PARENT)
    parent = int((state / "run" / "worker").read_text())
    next(one.process for one in processes.running(state) if one.process.pid == parent).kill()
    wait(lambda: services(state) == ["worker"])

    processes.stop(state)

    assert services(state) == []


def test_stop_ends_by_force_what_does_not_end_in_time(state: Path) -> None:
    start(state, "s3", STUBBORN)

    ended = processes.stop(state, patience=0.2)

    assert ended == 1
    assert services(state) == []


def test_stop_does_not_wait_for_services_that_are_ended_at_once(state: Path) -> None:
    start(state, "s3", STUBBORN)
    began = time.monotonic()

    processes.stop(state, patience=30, at_once=["s3"])

    assert services(state) == []
    assert time.monotonic() - began < 10


def test_stop_leaves_other_platforms_and_other_services_alone(state: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    start(other, "s3", SLEEPS)
    start(state, "s3", SLEEPS)
    start(state, "mlflow", SLEEPS)

    processes.stop(state, only=["s3"])
    left = (services(state), services(other))
    processes.stop(other)

    assert left == (["mlflow"], ["s3"])


def test_stop_where_nothing_runs_ends_nothing(state: Path) -> None:
    assert processes.stop(state) == 0


def test_a_pid_file_that_names_a_stranger_does_not_make_a_service_up(state: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-S", "-c", SLEEPS], stdout=subprocess.DEVNULL)
    (state / "run").mkdir(parents=True)
    (state / "run" / "s3").write_text(str(stranger.pid))

    up = processes.is_up(state, "s3")
    stranger.kill()
    stranger.wait()

    assert not up


@pytest.mark.parametrize("text", ["", "no number", "999999999"])
def test_a_damaged_pid_file_does_not_make_a_service_up(state: Path, text: str) -> None:
    (state / "run").mkdir(parents=True)
    (state / "run" / "s3").write_text(text)

    assert not processes.is_up(state, "s3")


def test_start_ends_what_a_former_one_of_the_name_left_running(state: Path) -> None:
    start(state, "worker", SLEEPS)
    leftover = processes.running(state)[0].process.pid
    (state / "run" / "worker").unlink()

    start(state, "worker", SLEEPS)

    assert [one.process.pid for one in processes.running(state)] != [leftover]
    assert services(state) == ["worker"]


def test_a_service_listens_on_its_own_port_and_not_on_that_of_a_stranger(state: Path) -> None:
    listener = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); "
    log = start(state, "s3", listener + SLEEPS)
    own = int(log.read_text().split()[0])

    with socket.create_server(("127.0.0.1", 0)) as stranger:
        found = [processes.listens(state, "s3", port) for port in (own, stranger.getsockname()[1])]

    assert found == [True, False]
    assert not processes.listens(state, "mlflow", own)
