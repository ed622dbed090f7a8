"""Terraform: where its root is, how checks initialise it, and the chart's values of what it made.

``python -m ops.terraform`` writes these values: ``make terraform-values``.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from flows.ml.errors import TrainyardError
from ops.command import says_errors
from ops.environment import here
from ops.images import images

FOLDER = Path("infra/terraform")
MISSING = "terraform is not on PATH; see https://developer.hashicorp.com/terraform/install"
VALUES = ("git", "lake", "jobs", "deploy", "reconcile", "mlflow", "postgres")
"""The outputs that are values of the chart, by the name they have there."""


class TerraformError(TrainyardError):
    """Terraform is missing, failed, or has not made anything yet."""


def terraform() -> str | None:
    """The path of Terraform; None where it is not on PATH."""
    return shutil.which("terraform")


def checking(root: Path) -> dict[str, str]:
    """The environment of checks: modules and provider in ``.trainyard``, so that nobody's own state is touched."""
    return {**os.environ, "TF_DATA_DIR": str(root / ".trainyard/terraform"), "CHECKPOINT_DISABLE": "1"}


def initialise(root: Path) -> None:
    """Fetch the provider that the lock names and link the modules, without a state. Raises ``TerraformError``."""
    options = ("-backend=false", "-input=false", "-lockfile=readonly", "-no-color")
    run(root / FOLDER, "init", *options, env=checking(root))


def run(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """What a command of Terraform printed. Raises ``TerraformError`` with its last words."""
    if not (program := terraform()):
        raise TerraformError(MISSING)
    done = subprocess.run([program, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TerraformError(f"`terraform {arguments[0]}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def outputs(root: Path) -> dict[str, Any]:
    """What the applied root says of what it made. Raises ``TerraformError`` where it was not applied."""
    found: dict[str, Any] = json.loads(run(root / FOLDER, "output", "-json", "-no-color"))
    if lacking := sorted({*VALUES, "registry", "cluster", "database"} - found.keys()):
        raise TerraformError(f"{FOLDER} has no output {', '.join(lacking)}: apply it first (docs/aws.md).")
    return {name: output["value"] for name, output in found.items()}


def values(root: Path, made: Mapping[str, Any]) -> dict[str, Any]:
    """The chart's values: what Terraform made, and the images of the checkout at ``root`` in its registry."""
    references = {image.name: image.reference for image in images(root, made["registry"])}
    return {"images": references, **{name: made[name] for name in VALUES}}


def write(root: Path) -> Path:
    """Write the values file of the environment that is applied, and give its path. Raises ``TerraformError``."""
    made = outputs(root)
    path = root / ".trainyard" / f"values-{made['cluster']}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text("# From Terraform's outputs: make terraform-values\n" + yaml.safe_dump(values(root, made)), "utf-8")
    return path


@says_errors
def main() -> int:
    """Write the values file and print where it is; an error is a sentence and exit status 1."""
    print(write(here().root))
    return 0


if __name__ == "__main__":
    sys.exit(main())
