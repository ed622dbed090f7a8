"""The contracts on imports (``pyproject.toml``), held by import-linter."""

import re
from pathlib import Path

from ops.lint import tools
from ops.lint.finding import Finding

CONTRACTS = "pyproject.toml"

_IMPORT = re.compile(r"(?P<importer>[\w.]+) -> (?P<imported>[\w.]+) \(l\.(?P<line>\d+)")


def check(root: Path) -> list[Finding]:
    """The imports that break a contract, the modules no contract has a place for, the cycles."""
    done = tools.run(root, tools.program("lint-imports"), "--config", CONTRACTS)
    if done.returncode == 0:
        return []
    broken = done.stdout.partition("Broken contracts")[2]
    return _told(root, broken) or [Finding(CONTRACTS, None, tools.last_words(done.stdout + done.stderr))]


def _told(root: Path, broken: str) -> list[Finding]:
    """What import-linter tells: a paragraph that says what is wrong, then a list of where."""
    found, said = [], ""
    for paragraph in broken.split("\n\n"):
        items = re.split(r"^- +", paragraph, flags=re.MULTILINE)[1:]
        found += [_finding(root, said, item.strip()) for item in items]
        said = said if items else " ".join(paragraph.split())
    return found


def _finding(root: Path, said: str, item: str) -> Finding:
    """An item is a chain of imports, a line each, or something else that is named."""
    match = _IMPORT.match(item)
    if not match:
        return Finding(CONTRACTS, None, f"{said} {item}")
    module = Path(*match["importer"].split("."))
    file = module / "__init__.py" if (root / module).is_dir() else module.with_suffix(".py")
    end = f", which leads to {said.split()[-1].rstrip(':')}" if "\n" in item else ""
    return Finding(str(file), int(match["line"]), f"may not import {match['imported']}{end} (contracts in {CONTRACTS})")
