"""Terraform takes its root and its modules, and their variables refuse what is out of range."""

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from ops import terraform
from ops.lint import terraform as check
from ops.lint.finding import Skipped
from tests.platform.terraform import FOLDER, ROOT, requires_terraform
from tests.platform.terraform_made import RUNS
from tests.platform.test_terraform_root import blocks

MODULES = sorted(path.name for path in (FOLDER / "modules").iterdir())
IN_MOTO_ALONE = {"logins"}
"""Terraform cannot pretend that there are ephemeral passwords; the suite ``integration`` makes real ones."""


@requires_terraform
def test_the_configuration_is_formatted_and_valid() -> None:
    assert check.check(ROOT) == []


@requires_terraform
def test_every_module_keeps_its_rules() -> None:
    terraform.initialise(ROOT)

    done = subprocess.run(
        ["terraform", "test", "-no-color"],
        cwd=FOLDER,
        env=terraform.checking(ROOT),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Success! \d+ passed, 0 failed", done.stdout)


def test_every_module_has_a_test() -> None:
    tested = {path.name.removesuffix(".tftest.hcl") for path in (FOLDER / "tests").iterdir()}

    assert {*MODULES} - IN_MOTO_ALONE == tested


@pytest.mark.parametrize("module", ["", *MODULES])
def test_every_rule_of_a_variable_names_it_and_refuses_something_in_a_test(module: str) -> None:
    folder, runs = (FOLDER / "modules" / module, FOLDER / "tests") if module else (FOLDER, RUNS)
    rules: Counter[str] = Counter()
    for head, body in blocks((folder / "variables.tf").read_text()):
        name, messages = head.split('"')[1], re.findall(r'error_message = "(.+)"$', body, re.MULTILINE)
        assert all(name in message for message in messages)
        rules[name] += len(messages)

    tested = Counter(re.findall(r"expect_failures = \[var\.(\w+)\]", text(runs / f"{module or 'refused'}.tftest.hcl")))

    assert module in IN_MOTO_ALONE or rules - tested == Counter()


def text(path: Path) -> str:
    """What a file holds; nothing where there is none."""
    return path.read_text() if path.exists() else ""


@requires_terraform
def test_what_is_not_formatted_is_found(tmp_path: Path) -> None:
    (tmp_path / terraform.FOLDER).mkdir(parents=True)
    (tmp_path / terraform.FOLDER / "main.tf").write_text('module "a" {\nsource = "./a"\n}\n')

    (found,) = check.check(tmp_path)

    assert found.file == "infra/terraform/main.tf"
    assert "is not formatted" in found.message


@requires_terraform
def test_what_is_not_valid_is_found_with_its_line(tmp_path: Path) -> None:
    folder = tmp_path / terraform.FOLDER
    folder.mkdir(parents=True)
    (folder / "main.tf").write_text('output "a" {\n  value = var.b\n}\n')

    (found,) = check.check(tmp_path)

    assert (found.file, found.line) == ("infra/terraform/main.tf", 2)
    assert "undeclared" in found.message


def test_without_terraform_the_check_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)

    with pytest.raises(Skipped, match="terraform is not on PATH"):
        check.check(ROOT)
