"""The programs a cluster is made with: found or named as missing, run, and their failures told in a sentence."""

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from flows.ml.errors import TrainyardError

REMEDIES = {
    "docker": "Install Docker Engine or Docker Desktop (docs.docker.com/get-docker).",
    "kind": "Install kind (kind.sigs.k8s.io), e.g. with `go install sigs.k8s.io/kind@latest` or `brew install kind`.",
    "kubectl": "Install kubectl (kubernetes.io/docs/tasks/tools).",
    "helm": "Install Helm 3 or later (helm.sh/docs/intro/install).",
}


class KindError(TrainyardError):
    """The cluster or what is on it is not as it should be."""


class ToolMissing(KindError):
    """A program is not installed, or Docker's engine does not run."""


class CommandFailed(KindError):
    """A program failed; the message ends with its last words."""


def missing(find: Callable[[str], str | None] = shutil.which) -> list[str]:
    """A sentence for each program that is not on PATH."""
    return [f"{name} is not on PATH. {remedy}" for name, remedy in REMEDIES.items() if not find(name)]


def require() -> None:
    """Raises ``ToolMissing`` where a program is missing or Docker's engine does not answer."""
    if lacking := missing():
        raise ToolMissing("\n".join(lacking))
    asked = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True, check=False
    )
    if asked.returncode:
        raise ToolMissing(
            f"Docker's engine does not answer: {last_words(asked.stderr, 1)}. Start Docker Desktop, or on Linux "
            "`sudo systemctl start docker`; if it runs, your user may not be in the group docker."
        )


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    cwd: Path | None = None,
    timeout: float = 1800.0,
) -> str:
    """What a program printed. Raises ``CommandFailed``, also where it takes more than ``timeout`` seconds."""
    try:
        done = subprocess.run(
            argv, env=env, input=stdin, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"`{' '.join(argv[:2])}` did not end within {timeout:.0f} s") from error
    if done.returncode:
        raise CommandFailed(f"`{' '.join(argv[:2])}` failed: {last_words(done.stderr or done.stdout)}")
    return done.stdout


def last_words(text: str, lines: int = 8) -> str:
    """The last lines that say something, each cut to what a person reads."""
    said = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(shorten(line) for line in said[-lines:]) or "it did not say why"


def shorten(line: str, length: int = 300) -> str:
    """A line without its middle where it is longer than ``length`` characters."""
    half = length // 2
    return line if len(line) <= length else f"{line[:half]} ... {line[-half:]}"
