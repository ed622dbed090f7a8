"""What a verb tells the workflow it runs in: a piece of the job's summary, and outputs for later steps."""

import os
from collections.abc import Mapping
from pathlib import Path


def add(markdown: str) -> None:
    """Append to the job's summary; nothing outside a workflow."""
    _append("GITHUB_STEP_SUMMARY", markdown.rstrip("\n") + "\n\n")


def outputs(values: Mapping[str, str]) -> None:
    """Set outputs of the step; nothing outside a workflow. Values are single lines."""
    _append("GITHUB_OUTPUT", "".join(f"{name}={value}\n" for name, value in values.items()))


def _append(variable: str, text: str) -> None:
    if path := os.environ.get(variable):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
