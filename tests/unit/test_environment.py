"""What the platform's commands see of the user's environment, and what it keeps."""

import json
import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ops import __main__ as commands
from ops import platform
from ops.environment import Place, Ports, credentials, environment, revision, settings

PORTS = Ports(prefect=4201, mlflow=5002, s3=8335)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "a clone")


def test_what_would_lead_to_other_servers_is_dropped(place: Place) -> None:
    foreign = {
        "PREFECT_API_URL": "http://elsewhere",
        "PREFECT_PROFILE": "nonsense",
        "MLFLOW_TRACKING_TOKEN": "token",
        "AWS_PROFILE": "nonsense",
        "AWS_SESSION_TOKEN": "token",
        "BOTO_CONFIG": "/nowhere",
        "TRAINYARD_LAKE_PREFIX": "elsewhere",
    }

    found = environment(place, PORTS, {**foreign, "HOME": "/home/ann", "PATH": "/usr/bin"})

    assert {name for name in foreign if found.get(name) == foreign[name]} == set()
    assert set(found) & {"PREFECT_PROFILE", "AWS_PROFILE", "AWS_SESSION_TOKEN", "MLFLOW_TRACKING_TOKEN"} == set()
    assert found["HOME"] == "/home/ann"


def test_the_installed_programs_come_first_on_the_path(place: Place) -> None:
    found = environment(place, PORTS, {"PATH": "/usr/bin"})

    assert found["PATH"] == f"{place.root}/.trainyard/venv/bin:/usr/bin"


def test_every_address_is_on_loopback_at_the_ports_chosen(place: Place) -> None:
    found = settings(place, PORTS)

    addresses = {name: value for name, value in found.items() if "://" in value}
    assert addresses == {
        "PREFECT_API_URL": "http://127.0.0.1:4201/api",
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:5002",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:8335",
    }


def test_every_file_it_names_is_in_the_state(place: Place) -> None:
    found = settings(place, PORTS)

    assert all(Path(value).is_relative_to(place.state) for value in found.values() if value.startswith("/"))


def test_no_secret_is_in_the_environment(place: Place) -> None:
    secret = credentials(place)[1]

    assert secret not in json.dumps(environment(place, PORTS, {}))


def test_secrets_are_made_once_and_readable_by_their_owner_alone(place: Place) -> None:
    made = credentials(place)
    settings(place, PORTS)

    files = [path for path in (place.state / "aws").iterdir() if made[1] in path.read_text()]
    assert credentials(place) == made
    assert {path.name for path in files} == {"keys.json", "credentials"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_the_credentials_are_whole_for_whoever_reads_them_while_they_are_written(place: Place) -> None:
    settings(place, PORTS)
    with (place.state / "aws" / "credentials").open() as reader:
        settings(place, PORTS)

        assert (place.state / "aws" / "credentials").stat().st_ino != os.fstat(reader.fileno()).st_ino


def test_two_clones_have_different_secrets(tmp_path: Path) -> None:
    assert credentials(Place(tmp_path / "one"))[1] != credentials(Place(tmp_path / "other"))[1]


def test_ports_are_kept_from_start_to_start(place: Place) -> None:
    before = place.ports()

    place.keep_ports(PORTS)

    assert before is None
    assert Place(place.root).ports() == PORTS


@pytest.mark.parametrize("text", ["", "[]", '{"prefect": 1}', "{", '{"prefect": 1, "mlflow": 2, "s3": 3, "other": 4}'])
def test_a_damaged_record_of_ports_counts_as_none(place: Place, text: str) -> None:
    (place.folder(".") / "ports.json").write_text(text)

    assert place.ports() is None


def test_a_platform_with_a_name_shares_the_programs_and_nothing_else(place: Place) -> None:
    other = Place(place.root, "scenario")

    other.keep_ports(PORTS)

    assert (other.programs, place.ports()) == (place.programs, None)
    assert credentials(other)[1] != credentials(place)[1]
    assert environment(other, PORTS, {"OPS_PLACE": "elsewhere"})["OPS_PLACE"] == "scenario"
    assert environment(place, PORTS, {"OPS_PLACE": "elsewhere"})["OPS_PLACE"] == ""


def test_clearing_a_platform_leaves_the_others_alone(place: Place) -> None:
    other = Place(place.root, "scenario")
    for each in (place, other):
        each.keep_ports(PORTS)
        (each.folder("s3") / "data").touch()

    platform.clear(other)
    platform.clear(place)

    assert (place.ports(), other.ports()) == (PORTS, None)
    assert not (other.state / "s3").exists()


def test_outside_git_the_revision_is_unknown(tmp_path: Path) -> None:
    assert revision(Place(tmp_path)) == "unknown"


def test_the_revision_is_the_commit_and_says_where_files_differ_from_it(tmp_path: Path) -> None:
    git = ["git", "-c", "user.name=ann", "-c", "user.email=ann@example.com"]
    (tmp_path / "file").write_text("one")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True).stdout.strip()

    clean = revision(Place(tmp_path))
    (tmp_path / "file").write_text("two")

    assert (clean, revision(Place(tmp_path))) == (commit, f"{commit}-dirty")


def test_the_printed_environment_survives_a_shell_whatever_the_path(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = Place(place.root.parent / "a 'clone' $HOME")
    odd.keep_ports(PORTS)
    monkeypatch.setattr(commands, "here", lambda: odd)
    monkeypatch.setattr(sys, "argv", ["ops", "env"])

    status = commands.main()
    printed = capsys.readouterr().out
    program = 'import os; print(os.environ["PREFECT_HOME"])'
    shell = f"eval {shlex.quote(printed)}; {shlex.quote(sys.executable)} -S -c {shlex.quote(program)}"
    seen = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True)

    assert status == 0
    assert seen.stdout == f"{odd.state}/prefect\n"


def test_the_environment_of_a_platform_never_started_is_an_error_in_a_sentence(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "here", lambda: place)
    monkeypatch.setattr(sys, "argv", ["ops", "env"])

    status = commands.main()

    assert status == 1
    assert capsys.readouterr().err == "trainyard: the platform has never been started here: make start\n"
