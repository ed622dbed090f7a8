"""The checks of Terraform: one format, and a configuration that it takes."""

import json
import subprocess
from pathlib import Path
from typing import Any

from ops import terraform
from ops.lint import tools
from ops.lint.finding import Finding, Skipped


def check(root: Path) -> list[Finding]:
    """Files that ``terraform fmt`` would change, and what ``terraform validate`` says.

    Raises ``Skipped`` where Terraform is missing.
    """
    if not (program := terraform.terraform()):
        raise Skipped(terraform.MISSING)
    folder = root / terraform.FOLDER
    return [*_formats(program, folder)] or _validates(program, root, folder)


def _formats(program: str, folder: Path) -> list[Finding]:
    done = tools.run(folder, program, "fmt", "-check", "-recursive", "-no-color")
    if done.returncode and not done.stdout:
        return [Finding(str(terraform.FOLDER), None, tools.last_words(done.stderr))]
    message = f"is not formatted: terraform -chdir={terraform.FOLDER} fmt -recursive"
    return [Finding(f"{terraform.FOLDER}/{name}", None, message) for name in done.stdout.splitlines()]


def _validates(program: str, root: Path, folder: Path) -> list[Finding]:
    terraform.initialise(root)
    command = [program, "validate", "-json", "-no-color"]
    done = subprocess.run(
        command, cwd=folder, env=terraform.checking(root), capture_output=True, text=True, check=False
    )
    return [_finding(each) for each in json.loads(done.stdout)["diagnostics"]]


def _finding(diagnostic: dict[str, Any]) -> Finding:
    place = diagnostic.get("range") or {}
    line = place.get("start", {}).get("line")
    file = f"{terraform.FOLDER}/{place['filename']}" if place else str(terraform.FOLDER)
    return Finding(file, line, " ".join(f"{diagnostic['summary']}: {diagnostic['detail']}".split()))
