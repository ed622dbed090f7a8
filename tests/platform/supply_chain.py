"""A registry, keys and a small checkout whose images are made in a second, for the tests of the supply chain."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ops import images
from ops.images import ImageError

INVENTORY = '{"python": [{"name": "boto3", "version": "1.43.0", "licence": "Apache-2.0"}], "debian": []}'
DOCKERFILE = f"""ARG BASE_IMAGE
FROM ${{BASE_IMAGE}} AS base
COPY requirements.txt /requirements.txt
RUN echo '{INVENTORY}' >/inventory.json
RUN printf '%s\\n' '#!/bin/sh' 'cat /inventory.json' >/usr/bin/python && chmod 755 /usr/bin/python
FROM base AS flows
FROM base AS server
FROM base AS mlflow
"""


def require_docker() -> str:
    """The program docker, with buildx. Skips where there is none."""
    try:
        docker = images.engine()
    except ImageError as error:
        pytest.skip(str(error))
    if subprocess.run([docker, "buildx", "version"], capture_output=True, check=False).returncode:
        pytest.skip("Docker has no buildx: install the plugin docker-buildx")
    return docker


@contextmanager
def registry(docker: str) -> Iterator[str]:
    """A registry on loopback; what references to it begin with. Skips where its image cannot be had."""
    if subprocess.run([docker, "image", "inspect", "registry:3"], capture_output=True, check=False).returncode:
        pulled = subprocess.run([docker, "pull", "--quiet", "registry:3"], capture_output=True, text=True, check=False)
        if pulled.returncode:
            pytest.skip(f"the image registry:3 is not here and cannot be pulled: {pulled.stderr.strip()[-200:]}")
    command = [docker, "run", "--detach", "--rm", "--publish", "127.0.0.1::5000", "registry:3"]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    try:
        port = subprocess.run([docker, "port", name, "5000/tcp"], check=True, capture_output=True, text=True).stdout
        address = port.strip().splitlines()[0]
        _wait(f"http://{address}/v2/")
        yield f"{address}/trainyard"
    finally:
        subprocess.run([docker, "rm", "--force", name], check=True, capture_output=True)


def _wait(address: str) -> None:
    for _ in range(100):
        try:
            httpx.get(address).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"{address} does not answer")


def checkout(folder: Path) -> Path:
    """A repository with the locks of this one's images and a Dockerfile that installs nothing."""
    for lock in images.LOCKS.values():
        path = folder / lock
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {lock}\n")
    (folder / images.DOCKERFILE).write_text(DOCKERFILE)
    (folder / images.BASE).write_text("BASE_IMAGE=debian:trixie-slim\nPATCHED=2026-01-01\n")
    (folder / ".gitignore").write_text("/.trainyard/\n")
    (folder / "pyproject.toml").write_text('[project]\nname = "trainyard"\nversion = "0.1.0"\n')
    for argv in (["init", "--quiet"], ["remote", "add", "origin", "https://github.com/team/trainyard.git"]):
        git(folder, *argv)
    commit(folder)
    return folder


def commit(folder: Path) -> str:
    """Commit everything; the commit."""
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=one", "-c", "user.email=one@example.com", "commit", "--quiet", "--message=one")
    return git(folder, "rev-parse", "HEAD")


def git(folder: Path, *argv: str) -> str:
    """Run git in a folder."""
    return subprocess.run(["git", *argv], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def keys(cosign: Path, folder: Path) -> tuple[str, str]:
    """A new pair of keys: the files of the private and of the public one."""
    folder.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "COSIGN_PASSWORD": ""}
    subprocess.run([cosign, "generate-key-pair"], cwd=folder, env=env, check=True, capture_output=True)
    return str(folder / "cosign.key"), str(folder / "cosign.pub")


def remove_images(docker: str, root: Path, prefix: str, *only: str) -> None:
    """Take the images of a checkout, or ``only`` some, out of the engine; other checkouts may have the same tags."""
    names = [image.reference for image in images.images(root, prefix) if image.name in (only or images.LOCKS)]
    subprocess.run([docker, "rmi", "--force", *names], capture_output=True, check=False)
    shutil.rmtree(root / ".trainyard", ignore_errors=True)
