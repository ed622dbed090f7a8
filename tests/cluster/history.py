"""The platform as it was before: what an upgrade starts from."""

import subprocess
from pathlib import Path

MAIN = ("origin/HEAD", "origin/main", "main")
"""Where the last state on main is looked for; a clone of a branch has the first, a clone of a clone the second."""


def earlier(root: Path, folder: Path) -> str | None:
    """The last commit on main whose ``folder`` is another than HEAD's; None where none is, or the clone is shallow.

    On a branch that is where it left main. On main itself, and where the branch left the folder alone, it is the commit
    before the newest one that touched it.
    """
    for base in (_branched(root), _before_newest(root, folder)):
        if base and _tree(root, base, folder) not in {None, _tree(root, "HEAD", folder)}:
            return base
    return None


def checked_out(root: Path, commit: str, where: Path) -> Path:
    """The repository as it was at a commit, in a clone below ``where``; its path."""
    clone = where / "trainyard"
    for argv in (["clone", "--quiet", "--no-checkout", str(root), str(clone)], ["-C", str(clone), "checkout", commit]):
        subprocess.run(["git", *argv], capture_output=True, check=True)
    return clone


def _branched(root: Path) -> str | None:
    return next((found for name in MAIN if (found := _git(root, "merge-base", "HEAD", name))), None)


def _before_newest(root: Path, folder: Path) -> str | None:
    newest = _git(root, "log", "-1", "--first-parent", "--format=%H", "--", str(folder))
    return _git(root, "rev-parse", "--verify", f"{newest}^") if newest else None


def _tree(root: Path, commit: str, folder: Path) -> str | None:
    return _git(root, "rev-parse", "--verify", f"{commit}:{folder}")


def _git(root: Path, *argv: str) -> str | None:
    done = subprocess.run(["git", "-C", str(root), *argv], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None if done.returncode == 0 else None
