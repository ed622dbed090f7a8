"""What a verb tells the workflow it runs in: a piece of the job's summary."""

import os
from pathlib import Path


def add(markdown: str) -> None:
    """Append to the job's summary; nothing outside a workflow."""
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(markdown.rstrip("\n") + "\n\n")
