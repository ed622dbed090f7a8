"""Deploys that are killed on the way, or meet each other."""

import contextvars
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient

from ops.deploy import NotDeployed, lease, records
from tests.integration.deploy_project import IMAGE, NIGHTLY, Project, entry, project, server

OWN = """
import os, signal, sys
from pathlib import Path
from ops.deploy import announcement, deploying, lease, records, server

place, name, nth = {place}, {name!r}, {nth}
lease.DURATION = 3.0 if nth else lease.DURATION
real, calls = getattr(place, name), []

def fatal(*given, **named):
    calls.append(name)
    if len(calls) == nth:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*given, **named)

def say(line):
    print(line, flush=True)

setattr(place, name, fatal)
say({call})
"""
"""A process of its own that is killed, as by kill -9, where it is about to call a function for the nth time."""
DEPLOY = "deploying.deploy(Path({root!r}), {image!r}, {repository!r}, trust_image=True, by='ann', say=say)"
ROLLBACK = "deploying.rollback(Path({root!r}), 'previous', {repository!r}, trust_image=True, by='ann', say=say)"


@pytest.fixture(scope="module")
def client(platform: Mapping[str, str]) -> Iterator[SyncPrefectClient]:
    with server(platform) as found:
        yield found


@pytest.fixture
def own(client: SyncPrefectClient, tmp_path: Path) -> Iterator[Project]:
    with project(client, tmp_path) as found:
        yield found


def command(own: Project, place: str = "records", name: str = "end", nth: int = 0, call: str = DEPLOY) -> list[str]:
    """Deploy what the project has pushed, or go back, in a process of its own; killed only where ``nth`` is not 0."""
    told = call.format(root=str(own.root), image=IMAGE, repository=own.repository)
    return [sys.executable, "-c", OWN.format(place=place, name=name, nth=nth, call=told)]


def killed(own: Project, place: str, name: str, nth: int = 1, call: str = DEPLOY) -> None:
    """The same, killed."""
    argv = command(own, place, name, nth, call)
    done = subprocess.run(argv, env=dict(own.env), capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == -9, done.stderr


@pytest.mark.parametrize(
    ("place", "name", "nth", "changed"),
    [
        ("server", "apply", 1, set()),
        ("server", "_change", 1, {"come/it"}),
        ("server", "_schedule", 1, {"come/it"}),
        ("server.SyncPrefectClient", "delete_deployment", 1, {"come/it", "greet/it"}),
        ("deploying", "announce", 1, {"come/it", "greet/it", "gone"}),
        ("records", "end", 1, {"come/it", "greet/it", "gone"}),
    ],
)
def test_a_deploy_that_is_killed_is_completed_by_the_next_one(
    own: Project, place: str, name: str, nth: int, changed: set[str]
) -> None:
    own.deploy(entry("greet"), entry("leave"))
    commit = own.push(entry("greet", schedules=[NIGHTLY]), entry("come"))
    killed(own, place, name, nth)
    there = own.names()
    assert ("come/it" in there, "leave/it" not in there) == ("come/it" in changed, "gone" in changed)

    own.deploy()

    assert not own.plan()
    assert own.names() == {"greet/it", "come/it"}
    newest = records.head(own.lake)
    assert newest
    assert (newest.number, newest.commit, records.is_done(own.lake, newest)) == (2, commit, True)
    assert any("come/it: new" in line for line in newest.changes)


def test_a_deploy_that_is_killed_once_it_is_announced_makes_no_second_event(own: Project) -> None:
    own.push(entry("greet"))
    killed(own, "records", "end")

    own.deploy()
    own.deploy(entry("greet", tags=["b"]))  # events are kept in their order: a second one is there before this one's

    found = [(each["event"], each["payload"]["number"]) for each in own.events(2)]
    assert sorted(found) == [("trainyard.deploy.deployed", 1), ("trainyard.deploy.deployed", 2)]


@pytest.mark.parametrize(
    ("place", "name"), [("server", "apply"), ("server", "_change"), ("deploying", "announce"), ("records", "end")]
)
def test_a_rollback_that_is_killed_is_completed_by_the_next_one(own: Project, place: str, name: str) -> None:
    first = own.push(entry("greet"), entry("leave"))
    own.deploy()
    own.deploy(entry("greet", tags=["b"]), entry("come"))
    killed(own, place, name, call=ROLLBACK)

    told = own.rollback()

    assert told.startswith(f"Returned to deploy 1: commit {first[:12]}")
    assert own.names() == {"greet/it", "leave/it"}
    newest = records.head(own.lake)
    assert newest
    assert (newest.number, newest.returned_to, records.is_done(own.lake, newest)) == (3, 1, True)


def test_a_rollback_after_a_deploy_that_was_killed_returns_to_what_was_there_before_it(own: Project) -> None:
    first = own.push(entry("greet"), entry("leave"))
    own.deploy()
    own.push(entry("greet", tags=["b"]), entry("come"))
    killed(own, "deploying", "announce")

    told = own.rollback()

    assert told.startswith(f"Returned to deploy 1: commit {first[:12]}")
    assert own.names() == {"greet/it", "leave/it"}


def test_of_two_deploys_at_once_one_waits_for_the_other(own: Project) -> None:
    own.push(entry("greet"))
    told, said = [], []
    same_server = contextvars.copy_context()

    with lease.held(own.lake, "bob", said.append):
        waiting = threading.Thread(target=lambda: told.append(same_server.run(own.deploy, say=said.append)))
        waiting.start()
        while not said and waiting.is_alive():
            time.sleep(0.05)
        assert own.names() == set()
    waiting.join(60)

    assert said[0] == "Waiting for bob, who is deploying"
    assert told[0].startswith("Deployed commit")
    assert own.names() == {"greet/it"}


def test_of_two_processes_that_deploy_at_the_same_moment_one_does_and_the_other_finds_it_done(own: Project) -> None:
    own.push(entry("greet"))
    argv, env, pipe = command(own), dict(own.env), subprocess.PIPE
    with lease.held(own.lake, "bob", lambda line: None):
        both = [subprocess.Popen(argv, env=env, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
        said = [iter(each.stdout.readline, "") for each in both if each.stdout]
        waiting = [next(line for line in lines if line != "pulled\n") for lines in said]

    ended = [each.communicate(timeout=90) for each in both]

    assert waiting == ["Waiting for bob, who is deploying\n"] * 2, ended
    assert [each.returncode for each in both] == [0, 0], ended
    last = sorted(said.splitlines()[-1].partition(":")[0] for said, _ in ended)
    assert last[0].startswith("Deployed commit")
    assert last[1] == "Nothing to change"
    assert records.numbers(own.lake) == [1]
    assert own.names() == {"greet/it"}


def test_a_deploy_that_does_not_end_is_not_waited_for_without_end(own: Project) -> None:
    with (
        lease.held(own.lake, "bob", lambda line: None),
        pytest.raises(NotDeployed, match=r"bob is deploying, its lease counts until .*Run this again once"),
        lease.held(own.lake, "ann", lambda line: None, patience=0.5),
    ):
        pass


def test_the_lease_of_one_that_was_killed_comes_free_and_that_of_one_that_lives_does_not(
    own: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "DURATION", 2.4)
    with lease.held(own.lake, "bob", lambda line: None) as require:
        time.sleep(3.6)
        require()
        before = own.lake.get(lease.KEY)
    own.lake.delete(lease.KEY)
    own.lake.put_new(lease.KEY, before)

    with lease.held(own.lake, "ann", lambda line: None, patience=8):
        assert own.lake.get_json(lease.KEY)["name"] == "ann"

    assert own.lake.get_json(lease.KEY)["token"] == ""


def test_one_that_lost_its_lease_stops(own: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "DURATION", 0.4)
    with lease.held(own.lake, "bob", lambda line: None) as require:
        own.lake.delete(lease.KEY)
        own.lake.put_new(lease.KEY, b'{"name": "ann", "token": "x", "until": 9999999999}')
        time.sleep(0.6)

        with pytest.raises(NotDeployed, match=r"lost its lease in the lake.*Run it again"):
            require()

    assert own.lake.get_json(lease.KEY)["name"] == "ann"
