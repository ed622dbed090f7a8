"""The weekly refresh: locks, the date, and a pull request with its CI from a server that stands in for GitHub."""

import json
import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path

import httpx
import pytest

from ops import refresh
from ops.refresh import NotRefreshed
from tests.unit import stand_ins

TOKEN = "a-token"
ENVIRONMENT = {
    "GITHUB_TOKEN": TOKEN,
    "GITHUB_REPOSITORY": "team/trainyard",
    "GITHUB_API_URL": "http://github.example",
}
LOCKS = ("flows", "ops", "tests", "docker/server", "docker/mlflow")


def git(root: Path, *argv: str) -> str:
    return subprocess.run(["git", *argv], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A clone whose compiler of locks writes one package."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    git(tmp_path, "init", "--quiet", "--bare", str(origin))
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(clone))
    for folder in LOCKS:
        (clone / folder).mkdir(parents=True, exist_ok=True)
        (clone / folder / "requirements.txt").write_text("boto3==1.0\n")
    (clone / "docker" / "base.lock").write_text("# why\nBASE_IMAGE=debian:trixie-slim\nPATCHED=2026-01-01\n")
    compiler(clone, 'echo "boto3==2.0" >flows/requirements.txt; echo "$1" >"$(dirname "$0")/../told"')
    (clone / ".gitignore").write_text("/told\n/.trainyard/\n")
    git(clone, "remote", "add", "origin", str(origin))
    git(clone, "add", "--all")
    git(clone, "-c", "user.name=one", "-c", "user.email=one@example.com", "commit", "--quiet", "--message=first")
    return clone


def compiler(root: Path, script: str) -> None:
    stand_ins.put(root / "ops", "lock", script)


class GitHub:
    """Answers as GitHub does, and remembers what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, open_ones: list[dict[str, object]]) -> None:
        self.asked: list[tuple[str, str, object]] = []
        self.tokens: set[str] = set()
        self.open_ones, self.status = open_ones, 200
        real = httpx.Client
        transport = httpx.MockTransport(self._answer)
        monkeypatch.setattr(httpx, "Client", lambda **more: real(**more, transport=transport))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        path = request.url.path.removeprefix("/repos/team/trainyard/")
        self.asked.append((request.method, path, body))
        self.tokens.add(request.headers["Authorization"])
        if self.status != 200:
            return httpx.Response(self.status, text="Resource not accessible by integration")
        if path.endswith("dispatches"):
            return httpx.Response(204)
        made = {"number": 7, "html_url": "https://github.example/pull/7"}
        return httpx.Response(200, json=self.open_ones if request.method == "GET" else made)


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Callable[..., GitHub]:
    return lambda *open_ones: GitHub(monkeypatch, list(open_ones))


def test_locks_are_compiled_with_the_newest_and_the_base_is_dated(root: Path) -> None:
    refresh.refresh(root, date(2026, 2, 3))

    assert (root / "told").read_text() == "--upgrade\n"
    assert (root / "docker" / "base.lock").read_text().splitlines()[-1] == "PATCHED=2026-02-03"


def test_locks_that_cannot_be_compiled_leave_the_date_alone(root: Path) -> None:
    compiler(root, "echo no solution >&2; exit 1")

    with pytest.raises(NotRefreshed, match="the locks cannot be compiled: no solution"):
        refresh.refresh(root, date(2026, 2, 3))

    assert "PATCHED=2026-01-01" in (root / "docker" / "base.lock").read_text()


def test_what_changed_becomes_a_branch_a_pull_request_and_a_run_of_its_ci(
    root: Path, github: Callable[..., GitHub]
) -> None:
    asked = github()
    refresh.refresh(root, date(2026, 2, 3))

    told = refresh.publish(root, ENVIRONMENT)

    assert told == "Pull request https://github.example/pull/7; its CI was started on refresh."
    assert [(method, path) for method, path, _ in asked.asked] == [
        ("GET", "pulls"),
        ("POST", "pulls"),
        ("POST", "actions/workflows/ci.yaml/dispatches"),
    ]
    assert asked.asked[-1][2] == {"ref": "refresh"}
    assert asked.tokens == {f"Bearer {TOKEN}"}
    assert git(root, "rev-parse", "HEAD") in git(root, "ls-remote", "origin", "refs/heads/refresh")


def test_the_text_says_what_changes(root: Path, github: Callable[..., GitHub]) -> None:
    asked = github()
    refresh.refresh(root, date(2026, 2, 3))

    refresh.publish(root, ENVIRONMENT)

    body = asked.asked[1][2]
    assert isinstance(body, dict)
    assert "| boto3 | 1.0 | 2.0 | image flows |" in body["body"]
    assert "2026-01-01 → debian:trixie-slim, 2026-02-03" in body["body"]


def test_an_open_pull_request_is_brought_to_today(root: Path, github: Callable[..., GitHub]) -> None:
    asked = github({"number": 7, "html_url": "https://github.example/pull/7"})
    refresh.refresh(root, date(2026, 2, 3))

    refresh.publish(root, ENVIRONMENT)

    assert [(method, path) for method, path, _ in asked.asked][:2] == [("GET", "pulls"), ("PATCH", "pulls/7")]


def test_nothing_newer_is_no_pull_request(root: Path, github: Callable[..., GitHub]) -> None:
    asked = github()

    assert refresh.publish(root, ENVIRONMENT) == "Nothing is newer: no pull request."
    assert asked.asked == []


def test_the_token_is_in_no_file_of_the_clone(root: Path, github: Callable[..., GitHub]) -> None:
    github()
    refresh.refresh(root, date(2026, 2, 3))

    refresh.publish(root, ENVIRONMENT)

    assert [path for path in root.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()] == []


def test_a_right_that_lacks_is_a_sentence(root: Path, github: Callable[..., GitHub]) -> None:
    github().status = 403
    refresh.refresh(root, date(2026, 2, 3))

    with pytest.raises(NotRefreshed, match=r"403: Resource not accessible.*Check the job's permissions"):
        refresh.publish(root, ENVIRONMENT)


def test_outside_a_workflow_it_says_what_is_missing(root: Path) -> None:
    with pytest.raises(NotRefreshed, match="GITHUB_TOKEN, GITHUB_REPOSITORY, GITHUB_API_URL not set"):
        refresh.publish(root, {})
