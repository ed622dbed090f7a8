"""The shipped environments as Terraform would make them, all of it at once, by a provider that only pretends."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops import terraform
from tests.platform.terraform import FOLDER, ROOT, resources

RUNS = Path(__file__).with_name("terraform_runs")
EPHEMERAL = re.compile(r'^(ephemeral|resource "aws_secretsmanager_secret_version") .*?^}\n', re.MULTILINE | re.DOTALL)
"""The passwords in the module `logins`: a provider cannot pretend that there are ephemeral ones."""

Values = dict[str, Any]


@dataclass(frozen=True)
class Made:
    """What was made of an environment: its resources, and the data it read, by their addresses."""

    environment: str
    resources: dict[str, dict[str, Any]]

    def of(self, kind: str) -> dict[str, Values]:
        """Everything of a type, by address."""
        return {address: each["values"] for address, each in self.resources.items() if each["type"] == kind}

    def one(self, kind: str) -> Values:
        """The only one of a type."""
        (values,) = self.of(kind).values()
        return values


def make(environment: str, folder: Path) -> Made:
    """Pretend to make an environment of its .tfvars."""
    (state,) = [each["test_state"] for each in pretend("made", environment, folder) if each["type"] == "test_state"]
    return Made(environment, {each["address"]: each for each in resources(state["root_module"])})


def pretend(runs: str, environment: str, folder: Path) -> list[dict[str, Any]]:
    """What `terraform test` told of these runs on a copy of the root, with an environment's variables; all passed."""
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("tests", ".terraform", "*.tfstate*", "*_override.tf"))
    logins = folder / "modules/logins/main.tf"
    logins.write_text(EPHEMERAL.sub("", logins.read_text()))
    (folder / "tests").mkdir()
    shutil.copy(RUNS / f"{runs}.tftest.hcl", folder / "tests")
    terraform.initialise(ROOT)
    done = subprocess.run(
        ["terraform", "test", "-json", "-verbose", f"-var-file={environment}.tfvars"],
        cwd=folder,
        env=terraform.checking(ROOT),
        capture_output=True,
        text=True,
        check=False,
    )
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0, [each for each in told if each["type"] == "diagnostic"] or done.stderr
    return told
