"""The checks of code: imports, the environment, style, scripts; and how their results are told."""

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from ops.lint import __main__ as lint
from ops.lint import environ, imports, tools
from ops.lint.finding import Finding

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository's code and rules, to be broken."""
    for folder in ("flows", "ops"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def append(path: Path, text: str) -> int:
    """Adds a line to a file; its number."""
    lines = [*path.read_text().splitlines(), text]
    path.write_text("\n".join(lines) + "\n")
    return len(lines)


def layers(container: str) -> list[set[str]]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    found = next(one for one in contracts if one.get("containers") == [container])
    return [{name.strip(" ()") for name in layer.split(":")} for layer in found["layers"]]


def test_the_repositorys_imports_keep_the_contracts() -> None:
    assert imports.check(ROOT) == []


def test_imports_the_wrong_way_are_found(copy: Path) -> None:
    wrong = {
        "flows/ml/months.py": "boto3",
        "flows/ml/training.py": "mlflow",
        "flows/ml/ledger.py": "mlflow",
        "flows/ml/landing.py": "botocore",
        "flows/ml/registry.py": "prefect",
        "flows/ml/contract.py": "flows.ml.lake",
        "flows/ml/lake.py": "flows.resources",
        "flows/resources.py": "flows.retrain",
        "flows/ingest.py": "boto3",
        "flows/retrain.py": "ops.platform",
        "flows/models/__init__.py": "flows.resources",
    }
    lines = {module: append(copy / module, f"import {imported}") for module, imported in wrong.items()}

    found = imports.check(copy)

    told = {Finding(file, lines[file], f"may not import {wrong[file]} (contracts in pyproject.toml)") for file in wrong}
    assert told <= {*found}


def test_a_cycle_of_imports_is_found(copy: Path) -> None:
    append(copy / "ops" / "ports.py", "import ops.platform")

    (found,) = imports.check(copy)

    assert ".ports -> .platform" in found.message


def test_a_module_without_a_place_in_the_layers_is_found(copy: Path) -> None:
    (copy / "flows" / "ml" / "helpers.py").write_text("")

    (found,) = imports.check(copy)

    assert "flows.ml.helpers" in found.message


def test_every_module_of_the_pure_layers_is_held_to_be_pure() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    pure = next(one for one in contracts if one["name"] == "Pure modules know no outside system")
    present = {path.stem for path in (ROOT / "flows" / "ml").glob("*.py")}

    assert {name.removeprefix("flows.ml.") for name in pure["source_modules"]} == set.union(
        *layers("flows.ml")[-3:]
    ) & present


def test_only_the_settings_read_the_environment() -> None:
    assert environ.check(ROOT) == []


@pytest.mark.parametrize(
    ("line", "what"),
    [("x = os.environ['A']", "environ"), ("x = os.getenv('A')", "getenv"), ("from os import environ as e", "environ")],
)
def test_code_that_reads_the_environment_is_found(tmp_path: Path, line: str, what: str) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "lake.py").write_text(f"import os\n{line}\n")

    (found,) = environ.check(tmp_path)

    assert (found.file, found.line) == ("flows/lake.py", 2)
    assert f"os.{what}" in found.message


@pytest.mark.parametrize("line", ["import pickle", "x = 1; import datetime; y = datetime.datetime.now()", "print( 1 )"])
def test_code_against_the_style_is_found(tmp_path: Path, line: str) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "one.py").write_text(f'"""One."""\n\n{line}\n')

    found = [*tools.style(tmp_path), *tools.formatting(tmp_path)]

    assert {(one.file, one.line) for one in found} == {("one.py", 3)}


def test_a_linter_that_cannot_work_has_not_passed(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\nline-length = 'long'\n[tool.importlinter]\n")

    found = [*tools.style(tmp_path), *imports.check(tmp_path)]

    assert [one.file for one in found] == ["ruff", "pyproject.toml"]
    assert "line-length" in found[0].message


def test_a_script_that_bash_cannot_read_is_found(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / "right").write_text("#!/usr/bin/env bash\nexit 0\n")
    (tmp_path / "wrong").write_text("#!/usr/bin/env bash\nif true; then\n")
    (tmp_path / "text").write_text("if then\n")

    found = tools.scripts(tmp_path)

    assert {one.file for one in found} == {"wrong"}


def test_the_repositorys_scripts_can_be_read() -> None:
    assert tools.scripts(ROOT) == []


def test_what_hadolint_finds_in_a_dockerfile_is_found_with_its_line(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "Dockerfile").write_text("FROM debian:trixie-slim\nRUN cd /tmp && sudo true\n")

    found = tools.dockerfiles(tmp_path)

    assert {(one.file, one.line) for one in found} == {("docker/Dockerfile", 2)}
    assert "DL3004" in " ".join(one.message for one in found)


def test_the_repositorys_dockerfiles_have_no_findings() -> None:
    assert tools.dockerfiles(ROOT) == []


def test_a_check_that_breaks_down_has_not_passed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(root: Path) -> list[Finding]:
        raise OSError("disk full")

    passed = lint.passes(tmp_path, "docs", broken)

    assert not passed
    assert "the check broke down: OSError: disk full" in capsys.readouterr().out


def test_every_check_runs_though_the_first_one_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = {"first": lambda root: [Finding("a.py", 3, "is wrong")], "second": lambda root: []}
    monkeypatch.setattr(lint, "CHECKS", checks)
    monkeypatch.setattr("sys.argv", ["lint"])

    status = lint.main()

    printed = capsys.readouterr().out
    assert status == 1
    assert "    a.py:3: is wrong\n" in printed
    assert printed.splitlines()[-1].split() == ["second", "0.0", "s", "ok"]
