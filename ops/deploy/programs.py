"""The programs a deploy calls: git, kubectl, helm, aws. What they say of a failure becomes a sentence."""

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ops.deploy.errors import NotDeployed

PATIENCE = 60.0
"""Seconds a program may take. Where the other end is gone without a word, git itself waits for ever."""

REMEDIES = {
    "git": "Install it.",
    "kubectl": "Install it (kubernetes.io/docs/tasks/tools).",
    "helm": "Install Helm 3 or later (helm.sh/docs/intro/install).",
    "aws": "Install the AWS CLI 2 (docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html).",
}


class ProgramFailed(NotDeployed):
    """A program ended badly."""


class NotOnPath(NotDeployed):
    """A program is not on PATH, so that it has answered nothing."""


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float | None = None,
) -> str:
    """What a program printed. Raises ``NotOnPath``, or ``ProgramFailed``.

    The latter also where it takes longer than ``timeout`` or ``PATIENCE``.
    """
    name, patience = argv[0], timeout or PATIENCE
    if not shutil.which(name):
        raise NotOnPath(f"{name} is not on PATH. {REMEDIES[name]}")
    told = {**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **(env or {})}
    try:
        done = subprocess.run(
            argv, cwd=cwd, env=told, input=stdin, capture_output=True, text=True, timeout=patience, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ProgramFailed(f"{' '.join(argv[:2])} got no answer within {patience:g} s. Try again.") from error
    if done.returncode:
        raise ProgramFailed(f"{' '.join(argv[:2])} says: {last_words(done.stderr or done.stdout)}")
    return done.stdout


def last_words(text: str, lines: int = 6) -> str:
    """The last lines that say something."""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:]) or "nothing"


def stream(argv: Sequence[str], say: Callable[[str], None], patience: float) -> None:
    """Tell every line of a program as it prints it, until it ends; after ``patience`` seconds it is ended."""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        end = threading.Timer(patience, process.kill)
        end.start()
        try:
            for line in process.stdout:
                say(line.rstrip("\n"))
        finally:
            end.cancel()
