"""The platform as it was before: what an upgrade starts from."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

MAIN = ("origin/HEAD", "origin/main", "main")
"""Where the last state on main is looked for; a clone of a branch has the first, a clone of a clone the second."""


def earlier(root: Path, chart: Path) -> str | None:
    """The last commit on main whose ``chart`` is another than HEAD's; None where none is, or the clone is shallow.

    On a branch that is where it left main. On main itself, and where the branch left the chart alone, it is the commit
    before the newest one that touched it. The profiles beside its values do not count: an upgrade keeps its values.
    """
    what = (str(chart), f":(exclude){chart}/values-*.yaml")
    for base in (_branched(root), _before_newest(root, what)):
        if (
            base
            and _git(root, "rev-parse", f"{base}:{chart}")
            and _git(root, "diff", "--stat", base, "HEAD", "--", *what)
        ):
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


def _before_newest(root: Path, what: Sequence[str]) -> str | None:
    newest = _git(root, "log", "-1", "--first-parent", "--format=%H", "--", *what)
    return _git(root, "rev-parse", "--verify", f"{newest}^") if newest else None


def _git(root: Path, *argv: str) -> str | None:
    done = subprocess.run(["git", "-C", str(root), *argv], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None if done.returncode == 0 else None
