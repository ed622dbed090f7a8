"""How several processes share the cluster of its suite, and which of them run what."""

import os
import re
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from tests import suites
from tests.cluster import lanes, sharing

CLUSTER = Path(lanes.__file__).parent
CONFTEST = """
from pathlib import Path
from tests.cluster import lanes

def pytest_configure(config):
    config.pluginmanager.register(lanes.Lanes(Path(__file__).parent))
"""
SUITE = """
import time
import pytest

@pytest.mark.parametrize("n", range(2))
def test_it(n):
    time.sleep(0.05)

"""


def in_thread(what) -> threading.Thread:
    """Another user: locks of files opened twice are as strange to each other in one process as in two."""
    thread = threading.Thread(target=what)
    thread.start()
    return thread


def test_the_first_makes_what_the_others_wait_for(tmp_path: Path) -> None:
    told: list[str] = []

    def come(name: str) -> None:
        with sharing.once(tmp_path / "it") as first:
            told.append(f"{name} {first}")
            time.sleep(0.1)
            told.append(f"{name} done")

    users = [in_thread(lambda name=name: come(name)) for name in "ab"]
    for user in users:
        user.join()

    first, second = (name[0] for name in told[::2])
    assert told == [f"{first} True", f"{first} done", f"{second} False", f"{second} done"]


def test_what_one_did_not_make_the_next_makes(tmp_path: Path) -> None:
    with suppress(ValueError), sharing.once(tmp_path / "it"):
        raise ValueError

    with sharing.once(tmp_path / "it") as first:
        assert first


def test_the_last_to_use_it_is_told_so_and_nobody_else(tmp_path: Path) -> None:
    with sharing.used(tmp_path / "users") as last:
        with sharing.used(tmp_path / "users") as other:
            assert not other()
        assert last()


def test_a_disturbance_waits_until_nobody_relies_on_the_platform_and_those_until_its_end(tmp_path: Path) -> None:
    lock, told = tmp_path / "lock", []

    def disturb() -> None:
        with sharing.disturbing(lock):
            told.append("begins")
            time.sleep(0.1)
            told.append("ends")

    with sharing.undisturbed(lock), sharing.undisturbed(lock):
        disturber = in_thread(disturb)
        time.sleep(0.2)
        assert told == []
    while not told:
        time.sleep(0.01)
    with sharing.undisturbed(lock):
        assert told == ["begins", "ends"]
    disturber.join()


def test_the_lane_of_the_platform_names_modules_that_exist() -> None:
    assert [name for name in lanes.PLATFORM if not (CLUSTER / name).exists()] == []


def test_modules_that_take_something_away_from_all_are_in_the_lane_of_the_platform() -> None:
    texts = {path.name: path.read_text() for path in CLUSTER.glob("test_*.py") if "fault" not in path.name}

    takes = re.compile(r"\blab\b|disturbing\(\)|\"cordon\"|pause\(\)")
    found = {name for name, text in texts.items() if takes.search(text)}

    assert {"test_delivery.py", "test_reconcile.py", "test_kind.py"} <= found <= set(lanes.PLATFORM)


def test_workers_take_a_lane_each_the_platforms_first_and_in_its_order(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    for name in ("test_a.py", "test_b.py", *lanes.PLATFORM):
        (tmp_path / name).write_text(SUITE)

    command = [
        sys.executable,
        "-m",
        "pytest",
        ".",
        "-c",
        "/dev/null",
        f"--rootdir={tmp_path}",
        "-p",
        "no:cacheprovider",
        "-v",
    ]
    options = suites.OPTIONS["cluster"]
    env = {**os.environ, "PYTHONPATH": str(suites.ROOT)}
    done = subprocess.run([*command, *options], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    ran = re.findall(r"^\[(gw\d)\].* (test_\w+\.py)::", done.stdout, re.MULTILINE)
    workers = {name: {worker for worker, module in ran if module == name} for _, name in ran}
    (first,) = workers["test_main_job.py"]
    order = [module for worker, module in ran if worker == first and module in lanes.PLATFORM]
    assert done.returncode == 0, done.stdout
    assert order == [name for name in lanes.PLATFORM for _ in range(2)]
    assert workers["test_a.py"] == {"gw0", "gw1"} - {first}
