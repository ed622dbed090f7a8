"""What the repository holds: its files and its verbs."""

import re
import subprocess
from difflib import get_close_matches
from pathlib import Path

_TARGETS = re.compile(r"^([a-z][\w -]*?):(?!=)", re.MULTILINE)


def files(root: Path) -> frozenset[str]:
    """Every file that is or could be committed, relative to the root: what git ignores is on one machine only."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    return frozenset(name for name in listed if name and (root / name).exists())


def folders(names: frozenset[str]) -> frozenset[str]:
    """The folders that hold these files, at any depth."""
    return frozenset(str(folder) for name in names for folder in Path(name).parents if str(folder) != ".")


def verbs(root: Path) -> frozenset[str]:
    """The verbs of the Makefile."""
    makefile = root / "Makefile"
    text = makefile.read_text("utf-8") if makefile.exists() else ""
    return frozenset(verb for targets in _TARGETS.findall(text) for verb in targets.split())


def nearest(name: str, names: frozenset[str]) -> str:
    """The end of a sentence about a name that does not exist: the one that was meant, if one is near."""
    close = get_close_matches(name, sorted(names), n=1)
    return f"; did you mean `{close[0]}`?" if close else ""
