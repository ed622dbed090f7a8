"""What a change is compared with: a revision of the repository, by default the one it will be merged into."""

import io
import subprocess
import tarfile
from pathlib import Path

from flows.ml.errors import TrainyardError

MAIN = "origin/main"


class UnknownRevision(TrainyardError):
    """Git does not have the revision."""


def base(root: Path, wanted: str = "") -> str:
    """The commit (40 hex digits) to compare HEAD with.

    ``wanted`` is any name git knows; empty is the point where HEAD left main, or on main itself the commit before.
    Raises ``UnknownRevision``.
    """
    if wanted:
        return _commit(root, wanted)
    left = _git(root, "merge-base", _commit(root, MAIN), "HEAD").stdout.decode().strip()
    if not left:
        raise UnknownRevision(
            f"HEAD and {MAIN} have no commit in common. Fetch the history (git fetch --unshallow), or name a revision: "
            "BASE=<revision>."
        )
    return _commit(root, "HEAD~1") if left == _commit(root, "HEAD") else left


def unpack(root: Path, commit: str, folder: Path, *paths: str) -> Path:
    """Write the files of a commit, or those below ``paths`` of it, into ``folder``."""
    packed = _git(root, "archive", "--format=tar", commit, *paths)
    if packed.returncode:
        raise UnknownRevision(f"{commit} cannot be unpacked: {packed.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def text(root: Path, commit: str, path: str) -> str:
    """A file as it is in a commit; empty where the commit has none of that name."""
    return _git(root, "show", f"{commit}:{path}").stdout.decode()


def _commit(root: Path, name: str) -> str:
    found = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if found.returncode:
        raise UnknownRevision(
            f"git knows no revision {name}. Fetch it (git fetch origin main), or name another one: BASE=<revision>."
        )
    return found.stdout.decode().strip()


def _git(root: Path, *argv: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", "-C", str(root), *argv], capture_output=True, check=False)
