"""Each verb a workflow calls ends in a command that takes what it is given; the docs say where each is tested."""

import argparse
import os
import re
import subprocess
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.lint import workflows
from tests.unit import stand_ins

ROOT = Path(__file__).resolve().parents[2]
GIVEN = {
    "ENVIRONMENT": "staging",
    "AWS_REGION": "eu-west-1",
    "CLUSTER": "trainyard-staging",
    "REGISTRY": "registry.example.org/trainyard",
    "TO": "previous",
    "GITHUB_TOKEN": "not-a-token",
}
"""What stands for an expression of GitHub's in a job's environment."""
HOSTILE = ('"; touch it; "', "$(touch it)", "`touch it`", "$(shell touch it)", "a' b\" #c", "--trust-image", "a\nb")
ECHO = "printf '%s\\0' \"$@\""

Call = tuple[str, str, str]
"""A workflow, a job of it and a verb."""


class Taken(Exception):
    """The arguments a command has taken."""


def calls() -> dict[Call, dict[str, str]]:
    """Every call of a verb, with the environment its step has."""
    found = {}
    for path in sorted((ROOT / workflows.FOLDER).iterdir()):
        data = yaml.safe_load(path.read_text())
        for name, job in data["jobs"].items():
            for step in job.get("steps", ()):
                if "run" in step:
                    parts = (data, job, step)
                    env = {key: filled(key, value) for part in parts for key, value in part.get("env", {}).items()}
                    found[path.name, name, step["run"].removeprefix("make ")] = env
    return found


def filled(name: str, value: str) -> str:
    """A variable's value, with that which stands for GitHub's; one that nobody has thought of here is an error."""
    return GIVEN[name] if "${{" in value else value


CALLS = calls()


def vector(verb: str, env: dict[str, str], folder: Path) -> list[str]:
    """The arguments that the program behind a verb gets, after make and the shell have had their way with them."""
    stand_ins.put(folder, "python", ECHO)
    kept = {name: value for name, value in os.environ.items() if name not in {*GIVEN, "STRICT", "BASE", "KEY", "IMAGE"}}
    asked = [
        "make",
        "--silent",
        "--old-file=install",
        "--old-file=install-tests",
        f"PYTHON={folder / 'python'}",
        *verb.split(),
    ]
    done = subprocess.run(
        asked,
        cwd=ROOT,
        env={**kept, **env, "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split("\0")[:-1]


def taken(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    """What a module's own command takes of its arguments. Ends as the command does where it refuses them."""
    parse = argparse.ArgumentParser.parse_known_args

    def once(parser: argparse.ArgumentParser, args: Any = None, namespace: Any = None) -> Any:
        known, rest = parse(parser, args, namespace)
        if args is not None:  # a verb within a verb
            return known, rest
        if rest:
            parser.error(f"unknown: {rest}")
        raise Taken(known)

    flag, name, *rest = arguments
    spec = find_spec(name)
    assert flag == "-m"
    assert spec is not None
    module = import_module(f"{name}.__main__" if spec.submodule_search_locations else name)
    monkeypatch.setattr("sys.argv", [name, *rest])
    monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", once)
    with pytest.raises(Taken) as end:
        module.main()
    namespace: argparse.Namespace = end.value.args[0]
    return namespace


@pytest.mark.parametrize("call", CALLS, ids="-".join)
def test_a_command_takes_what_the_workflow_gives_it(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = vector(call[2], CALLS[call], tmp_path)

    known = {str(value) for value in vars(taken(arguments, monkeypatch)).values()}
    assert {each for each in arguments if each in GIVEN.values()} <= known


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (("environment.yaml", "deploy", "push-images"), f"-m ops.registry {GIVEN['REGISTRY']}"),
        (("environment.yaml", "deploy", "sign-images"), f"-m ops.signing sign --registry {GIVEN['REGISTRY']}"),
        (
            ("environment.yaml", "deploy", "verify-image"),
            f"-m ops.signing verify --registry {GIVEN['REGISTRY']} --image  --key ",
        ),
        (
            ("environment.yaml", "deploy", "chart-upgrade"),
            f"-m ops.deploy chart-upgrade --environment staging --registry {GIVEN['REGISTRY']}",
        ),
        (
            ("environment.yaml", "deploy", "deploy"),
            f"-m ops.deploy submit apply --environment staging --registry {GIVEN['REGISTRY']}",
        ),
        (
            ("deploy.yaml", "rollback", "deploy-rollback"),
            "-m ops.deploy submit rollback --environment staging --to previous",
        ),
        (
            ("deploy.yaml", "rollback", "kubeconfig"),
            "-m ops.kubeconfig --cluster trainyard-staging --region eu-west-1",
        ),
        (("ci.yaml", "lint", "lint"), "-m ops.lint --strict"),
        (("scheduled.yaml", "refresh", "refresh-pull-request"), "-m ops.refresh --pull-request"),
    ],
    ids=lambda value: value[2] if isinstance(value, tuple) else "",
)
def test_what_the_environment_says_reaches_the_command(call: Call, arguments: str, tmp_path: Path) -> None:
    assert vector(call[2], CALLS[call], tmp_path) == arguments.split(" ")


def typed() -> Iterator[tuple[Call, str]]:
    """The calls in whose environment is what a person types who starts the workflow, with the variable's name."""
    for path in sorted((ROOT / workflows.FOLDER).iterdir()):
        data = yaml.safe_load(path.read_text())
        inputs = ((data[True] or {}).get("workflow_dispatch") or {}).get(
            "inputs"
        ) or {}  # YAML reads a bare `on` as true
        free = {f"${{{{ inputs.{name} }}}}" for name, each in inputs.items() if each["type"] == "string"}
        for name, job in data["jobs"].items():
            for variable in [key for key, value in job.get("env", {}).items() if value in free]:
                yield from ((call, variable) for call in CALLS if call[:2] == (path.name, name))


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_person_types_is_one_argument_or_none_and_runs_nothing(text: str, tmp_path: Path) -> None:
    asked = list(typed())

    found = {call[2]: vector(call[2], {**CALLS[call], variable: text}, tmp_path) for call, variable in asked}

    assert [verb for verb, arguments in found.items() if text in arguments] == ["deploy-rollback"]
    assert found == {
        call[2]: [text if each == GIVEN[variable] else each for each in vector(call[2], CALLS[call], tmp_path)]
        for call, variable in asked
    }
    assert not (ROOT / "it").exists()


def test_the_docs_say_of_every_verb_of_a_workflow_where_it_is_tested() -> None:
    table = (ROOT / "docs/delivery.md").read_text().split("## What is run in a test\n")[1]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")
    ]

    told = {verb for row in rows for verb in re.findall(r"`make ([a-z-]+)`", row[0])}
    paths = [path for row in rows for path in re.findall(r"`(tests/[\w./]+)`", row[1])]

    assert {verb for _, _, verb in CALLS} - told == set()
    assert paths
    assert [path for path in paths if not (ROOT / path).is_file()] == []
