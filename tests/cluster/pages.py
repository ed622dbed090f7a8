"""The code blocks of the docs' pages, run as they stand."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
PLATFORM_ENGINEER = DOCS / "first-hour-platform-engineer.md"


def blocks(heading: str, page: Path = PLATFORM_ENGINEER) -> list[str]:
    """The code blocks under a heading of a page; before the first heading where it is empty."""
    text = page.read_text()
    section = (text.split(f"\n## {heading}\n")[1] if heading else text).split("\n## ")[0]
    return re.findall(r"```\n(.*?)```", section, flags=re.DOTALL)


def script(root: Path, text: str, env: Mapping[str, str] = os.environ) -> str:
    """What a script prints in the checkout ``root``. The test fails with its last words where it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{text}"],
        cwd=root,
        env={**env, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=700,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
    return done.stdout
