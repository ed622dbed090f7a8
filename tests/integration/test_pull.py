"""The pull step against real repositories, and as a pod runs it: what it leaves, and how a run ends where it cannot."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.states import Crashed, Pending
from prefect.utilities.templating import apply_values

from ops.pull import PullError, Source, pull
from ops.s3_servers import free_ports
from tests.integration.git_server import Server, serving
from tests.integration.servers import ROOT, at

TOKEN = "hush-nobody-may-read-this"
MISSING = "0" * 40
HELLO = """
import os
from prefect import flow

@flow
def hello() -> str:
    return " ".join(sorted(os.listdir()))
"""


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bare repository ``code.git`` of two commits; the flow is in the first, not in the last."""
    folder, work = tmp_path_factory.mktemp("repositories"), tmp_path_factory.mktemp("work")
    git(work, "init", "-q")
    (work / "flows").mkdir()
    (work / "flows" / "hello.py").write_text(HELLO)
    (work / "README.md").write_text("not for pods")
    commit(work)
    (work / "flows" / "hello.py").unlink()
    (work / "flows" / "later.py").touch()
    commit(work)
    git(folder, "clone", "-q", "--bare", str(work), "code.git")
    git(folder / "code.git", "config", "uploadpack.allowFilter", "true")
    return folder


@pytest.fixture(scope="module")
def first(repositories: Path) -> str:
    """The commit that has the flow."""
    return git(repositories / "code.git", "rev-list", "--max-parents=0", "HEAD").strip()


@pytest.fixture
def server(repositories: Path) -> Iterator[Server]:
    with serving(repositories, TOKEN) as found:
        yield found


def git(folder: Path, *command: str) -> str:
    return subprocess.run(["git", *command], cwd=folder, capture_output=True, text=True, check=True).stdout


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "a commit")


def test_the_flows_of_a_commit_come_from_a_private_repository_and_nothing_else(
    server: Server, first: str, tmp_path: Path
) -> None:
    pull(Source(f"{server.url}/code.git", first, TOKEN), tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == {".git", "flows"}
    assert [path.name for path in (tmp_path / "flows").iterdir()] == ["hello.py"]
    assert git(tmp_path, "rev-list", "--all", "--count").strip() in ("0", "1")


def test_the_token_is_in_no_command_line_and_no_file(server: Server, first: str, tmp_path: Path) -> None:
    pull(Source(f"{server.url}/code.git", first, TOKEN), tmp_path)

    secrets = (TOKEN, server.expected.removeprefix("Basic "))
    held = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert any("git" in command and "fetch" in command for command in server.commands)
    assert not [command for command in server.commands for secret in secrets if secret in command]
    assert not [data for data in held for secret in secrets if secret.encode() in data]


@pytest.mark.parametrize("token", ["", "another"])
def test_a_token_that_does_not_open_the_repository_is_told_and_not_shown(
    server: Server, first: str, tmp_path: Path, token: str
) -> None:
    with pytest.raises(
        PullError, match=r"code\.git refuses access\. Set GIT_TOKEN to a token that may read it"
    ) as said:
        pull(Source(f"{server.url}/code.git", first, token), tmp_path)

    assert "another" not in str(said.value)


@pytest.mark.parametrize("place", ["http", "file"])
def test_a_commit_or_a_repository_that_is_not_there_is_told(
    server: Server, repositories: Path, first: str, tmp_path: Path, place: str
) -> None:
    base = server.url if place == "http" else f"file://{repositories}"

    with pytest.raises(PullError, match=rf"code\.git has no commit {MISSING}\. Push it"):
        pull(Source(f"{base}/code.git", MISSING, TOKEN), tmp_path)
    with pytest.raises(PullError, match=r"other\.git is no repository, or GIT_TOKEN may not see it"):
        pull(Source(f"{base}/other.git", first, TOKEN), tmp_path)


def test_a_repository_that_is_away_is_tried_again(repositories: Path, first: str, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_ports(1)[0]}/code.git"

    with pytest.raises(PullError, match=r"could not be fetched from .*Failed to connect.*, tried 3 times\. See that"):
        pull(Source(address, first, ""), tmp_path, pauses=(0.0, 0.0))


def test_a_run_in_a_pod_has_the_flows_of_its_commit(platform: dict[str, str], repositories: Path, first: str) -> None:
    state = executed(platform, repositories, first)

    assert (state.type.value, state.message) == ("COMPLETED", None)


def test_a_run_whose_code_cannot_be_had_fails_with_the_sentence(platform: dict[str, str], repositories: Path) -> None:
    state = executed(platform, repositories, MISSING)

    assert state.type.value == "FAILED"
    assert str(state.message).startswith(f"file://{repositories}/code.git has no commit {MISSING}. Push it, or deploy")


def test_a_run_that_ended_before_its_pod_began_stays_as_it_ended(
    platform: dict[str, str], repositories: Path, first: str
) -> None:
    state = executed(platform, repositories, first, Crashed(message="it did not start within 900 s"))

    assert (state.name, state.message) == ("Crashed", "it did not start within 900 s")


def executed(platform: Mapping[str, str], repositories: Path, commit: str, *meanwhile: State) -> State:
    """How a run ends that is executed with the pull steps of the pool ``kubernetes``, as a pod does it.

    ``meanwhile`` are states that it has come to before its pod begins.
    """
    entry = yaml.safe_load((ROOT / "prefect.yaml").read_text("utf-8"))["definitions"]["kubernetes"]
    steps = apply_values(entry["pull"], {"pull": {"stdout": (ROOT / "ops" / "pull.py").read_text("utf-8").strip()}})
    with at(platform), get_client(sync_client=True) as client:
        run: Any = client.create_flow_run_from_deployment(
            client.create_deployment(
                client.create_flow_from_name("hello"), name="pull", entrypoint="flows/hello.py:hello", pull_steps=steps
            )
        )
        for before in (Pending(), *meanwhile):
            client.set_flow_run_state(run.id, before)
        own = {
            "PREFECT__FLOW_RUN_ID": str(run.id),
            "GIT_REPOSITORY": f"file://{repositories}/code.git",
            "TRAINYARD_GIT_SHA": commit,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{platform['PATH']}",
        }
        subprocess.run(["prefect", "flow-run", "execute"], env={**platform, **own}, timeout=120, check=True)
        ended = client.read_flow_run(run.id).state
    assert ended
    return ended
