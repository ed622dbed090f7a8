"""The pull step: what it refuses before it asks the repository, what it makes of what git says, when it tries again."""

import io
import json
import subprocess
import urllib.request
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request

import pytest
import yaml

from ops import pull
from ops.pull import NoAnswer, PullError, Source, source

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "0123456789abcdef" * 2 + "01234567"
ADDRESS = "https://git.example/trainyard.git"
GIVEN = {"GIT_REPOSITORY": ADDRESS, "TRAINYARD_GIT_SHA": COMMIT}
AWAY = "fatal: unable to access 'x': Could not resolve host: git.example\n"


class Git:
    """Stands for git: says its lines in turn, a line an attempt, and counts the attempts; an empty line is success."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
        self.lines = list(lines)
        self.attempts = 0
        self.slept: list[float] = []
        monkeypatch.setattr(subprocess, "run", self.run)
        monkeypatch.setattr(pull.time, "sleep", self.slept.append)

    def run(self, command: list[str], cwd: Path, **_: object) -> subprocess.CompletedProcess[str]:
        if command[1] != "fetch":
            return subprocess.CompletedProcess(command, 0, "", "")
        self.attempts += 1
        said = self.lines.pop(0)
        if not said:
            (cwd / "flows").mkdir()
        return subprocess.CompletedProcess(command, 128 if said else 0, "", said)


@pytest.mark.parametrize(
    "commit", ["", "main", "HEAD", COMMIT[:39], COMMIT + "0", COMMIT.upper(), f"{COMMIT}\n", "unknown"]
)
def test_what_is_no_commit_of_40_hex_digits_is_refused(commit: str) -> None:
    with pytest.raises(PullError, match=r"not the 40 hex digits of a commit\. Deploy again\."):
        source({**GIVEN, "TRAINYARD_GIT_SHA": commit})


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "is empty. Set it"),
        ("https://ann:secret@git.example/x", "Give them as GIT_TOKEN"),
        ("http://t@git", "Give them"),
    ],
)
def test_an_address_that_is_missing_or_holds_a_password_is_refused_without_showing_it(address: str, said: str) -> None:
    with pytest.raises(PullError, match=said) as refused:
        source({**GIVEN, "GIT_REPOSITORY": address})

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (f"fatal: remote error: upload-pack: not our ref {COMMIT}", f"has no commit {COMMIT}. Push it"),
        (f"fatal: couldn't find remote ref {COMMIT}", f"has no commit {COMMIT}. Push it"),
        ("fatal: Authentication failed for 'x'", "refuses access. Set GIT_TOKEN"),
        ("fatal: could not read Username for 'x': terminal prompts disabled", "refuses access. Set GIT_TOKEN"),
        ("fatal: unable to access 'x': The requested URL returned error: 403", "refuses access. Set GIT_TOKEN"),
        ("remote: not found\nfatal: repository 'x' not found", "is no repository, or GIT_TOKEN may not see it"),
    ],
)
def test_a_fault_that_stays_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, sentence: str
) -> None:
    git = Git(monkeypatch, said)

    with pytest.raises(PullError) as fault:
        pull.pull(source(GIVEN), tmp_path)

    assert str(fault.value).startswith(f"{ADDRESS} {sentence}")
    assert said.splitlines()[-1] in str(fault.value)
    assert git.slept == []


def test_a_repository_that_answers_again_is_pulled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    git = Git(monkeypatch, AWAY, "fatal: the remote end hung up unexpectedly\n", "")

    pull.pull(source(GIVEN), tmp_path)

    assert git.attempts == 3
    assert git.slept == [2.0, 5.0]


def test_a_repository_that_stays_away_is_given_up_with_what_git_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    git = Git(monkeypatch, *[AWAY] * 4)

    with pytest.raises(PullError) as fault:
        pull.pull(source(GIVEN), tmp_path)

    assert git.attempts == 4
    assert str(fault.value) == (
        f"{COMMIT} could not be fetched from {ADDRESS} (git: {AWAY.strip()}), tried 4 times. "
        "See that pods reach it, then run this again."
    )
    assert not isinstance(fault.value, NoAnswer)


def test_a_commit_without_flows_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Git(monkeypatch, "")
    monkeypatch.setattr(Path, "is_dir", lambda path: False)

    with pytest.raises(PullError, match=rf"Commit {COMMIT} of {ADDRESS} has no flows/\. Correct GIT_REPOSITORY\."):
        pull.pull(source(GIVEN), tmp_path)


def test_the_token_is_told_to_that_repository_alone() -> None:
    told = Source(ADDRESS, COMMIT, "hush").environment

    keys = [key for key, value in told.items() if value == f"http.{ADDRESS}.extraHeader"]
    assert len(keys) == 1
    assert told[keys[0].replace("KEY", "VALUE")] == "Authorization: Basic eC1hY2Nlc3MtdG9rZW46aHVzaA=="
    assert "extraHeader" not in str(Source(ADDRESS, COMMIT, "").environment)


API = {"PREFECT_API_URL": "http://prefect:4200/api", "PREFECT_API_AUTH_STRING": "admin:hush"}


class Prefect:
    """Stands for Prefect's API: gives its answer, or raises it, and keeps what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answer: bytes | Exception) -> None:
        self.answer = answer
        self.asked: list[Request] = []
        monkeypatch.setattr(urllib.request, "urlopen", self.urlopen)

    def urlopen(self, request: Request, timeout: float) -> io.BytesIO:
        self.asked.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return io.BytesIO(self.answer)


def of_state(kind: str, name: str) -> bytes:
    return json.dumps({"state_type": kind, "state_name": name}).encode()


@pytest.mark.parametrize("name", ["Crashed", "Cancelled", "Refused"])
def test_a_run_that_has_ended_already_is_let_be(monkeypatch: pytest.MonkeyPatch, capsys, name: str) -> None:
    prefect = Prefect(monkeypatch, of_state({"Refused": "FAILED"}.get(name, name.upper()), name))
    for key, value in {**API, **GIVEN, "PREFECT__FLOW_RUN_ID": "a-run"}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(pull, "pull", lambda *_: pytest.fail("it was pulled"))

    status = pull.main()

    assert (status, prefect.asked[0].full_url) == (1, "http://prefect:4200/api/flow_runs/a-run")
    assert prefect.asked[0].get_header("Authorization") == "Basic YWRtaW46aHVzaA=="
    assert f"the run is {name} already" in capsys.readouterr().err


@pytest.mark.parametrize(
    "answer",
    [of_state("PENDING", "Pending"), of_state("SCHEDULED", "AwaitingRetry"), URLError("refused"), b"<html>", b"{}"],
    ids=["pending", "scheduled", "no answer", "no JSON", "no state"],
)
def test_a_run_that_has_not_ended_or_of_which_prefect_does_not_say_is_pulled(
    monkeypatch: pytest.MonkeyPatch, answer: bytes | Exception
) -> None:
    Prefect(monkeypatch, answer)

    assert pull.ended("a-run", API) == ""


def test_without_an_address_of_prefect_nobody_is_asked() -> None:
    assert pull.ended("a-run", {}) == ""


def test_every_deployment_on_kubernetes_carries_the_step_and_templates_change_nothing_in_it() -> None:
    entries = yaml.safe_load((ROOT / "prefect.yaml").read_text("utf-8"))["deployments"]
    build = {
        "prefect.deployments.steps.run_shell_script": {
            "id": "pull",
            "script": "cat ops/pull.py",
            "stream_output": False,
        }
    }

    mine = [entry for entry in entries if entry["work_pool"]["name"] == "kubernetes"]
    assert mine
    assert all(build in entry["build"] for entry in mine)
    assert "{{" not in (ROOT / "ops" / "pull.py").read_text("utf-8")
