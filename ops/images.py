"""The images of the platform: their names, and their making. ``python -m ops.images`` builds what is missing.

A tag is a hash of everything that goes into the image, so an image that has the tag never needs to be built again, and
a commit that changes none of it is deployed without building anything.
"""

import argparse
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.ml.errors import TrainyardError
from ops import image_facts
from ops.command import last_line, say, says_errors
from ops.environment import Place, here, revision

DOCKERFILE = "docker/Dockerfile"
BASE = "docker/base.lock"
LOCKS = {
    "flows": "flows/requirements.txt",
    "server": "docker/server/requirements.txt",
    "mlflow": "docker/mlflow/requirements.txt",
}
"""The images, which are targets of the Dockerfile, and the packages that each installs."""
TAG_LENGTH = 12
REGISTRY = "trainyard"
"""What the references begin with of images that stay on this machine: they are of its own architecture."""
PUSHED = "linux/amd64"
"""The architecture of images for a registry, whichever machine builds them: there a tag stands for one image."""

_ADDRESS = re.compile(r"(?:https?://|ssh://|(?=[^/]+@))(?:[^@/]*@)?([^/:]+)(?::\d+)?[/:](.+?)(?:\.git)?/?")


class ImageError(TrainyardError):
    """An image could not be built, or there is no Docker to build it."""


@dataclass(frozen=True)
class Image:
    """An image and the reference by which it is built, loaded into a cluster and deployed."""

    name: str
    reference: str


def images(root: Path, registry: str = REGISTRY) -> tuple[Image, ...]:
    """The images of the checkout at ``root``. Reads files only, the same ones from any checkout to the same tags."""
    return tuple(Image(name, f"{registry}/{name}:{_tag(root, name)}") for name in LOCKS)


def build(root: Path, wanted: Sequence[Image], say: Callable[[str], None]) -> list[Image]:
    """Build those of ``wanted`` that the local Docker engine does not have, and give these.

    ``say`` is told of what takes minutes. Raises ``ImageError`` where Docker is missing, or with the end of its log.
    """
    docker = engine()
    missing = [image for image in wanted if not _exists(docker, image)]
    for image in missing:
        say(f"Building {image.reference} (one to three minutes; its packages are downloaded once)")
        _build(docker, root, image)
    return missing


def engine() -> str:
    """The program ``docker``. Raises ``ImageError`` where there is none, or no engine that answers it."""
    docker = shutil.which("docker")
    if docker is None:
        raise ImageError("there is no docker on PATH: install Docker, then run this again.")
    answer = subprocess.run([docker, "version"], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise ImageError(
            f"Docker's engine does not answer ({last_line(answer.stderr)}). Start it, then run this again."
        )
    return docker


def _inputs(root: Path, name: str) -> dict[str, bytes]:
    """Everything that goes into an image, by the name it has in the build."""
    paths = {"Dockerfile": DOCKERFILE, "requirements.txt": LOCKS[name], "base.lock": BASE}
    return {inside: (root / path).read_bytes() for inside, path in paths.items()}


def _tag(root: Path, name: str) -> str:
    digest = hashlib.sha256(name.encode())
    for inside, data in sorted(_inputs(root, name).items()):
        digest.update(f"\0{inside}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:TAG_LENGTH]


def _exists(docker: str, image: Image) -> bool:
    found = subprocess.run([docker, "image", "inspect", image.reference], capture_output=True, check=False)
    return found.returncode == 0


def _build(docker: str, root: Path, image: Image) -> None:
    """Build one image in a context that is made of its inputs, so that nothing else can get in."""
    inputs = _inputs(root, image.name)
    settings = dict(
        line.split("=", 1) for line in inputs["base.lock"].decode().splitlines() if not line.startswith("#")
    )
    command = [docker, "build", "--progress", "plain", "--target", image.name, "--tag", image.reference]
    command += [] if image.reference.startswith(f"{REGISTRY}/") else ["--platform", PUSHED]
    command += [word for name, value in settings.items() for word in ("--build-arg", f"{name}={value}")]
    command += [word for name, value in _labels(root).items() for word in ("--label", f"{name}={value}")]
    done = subprocess.run(
        [*command, "-"],
        input=_context(inputs),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"DOCKER_BUILDKIT": "1"},
        check=False,
    )
    log = Place(root).folder("log") / f"image-{image.name}.log"
    log.write_bytes(done.stdout)
    if done.returncode:
        end = "\n".join(done.stdout.decode(errors="replace").strip().splitlines()[-20:])
        raise ImageError(
            f"{image.reference} could not be built. The end of {log}:\n{end}\n"
            "Mend what it names (mostly a package index that did not answer), then run this again: it goes on there."
        )


def _context(files: Mapping[str, bytes]) -> bytes:
    """The build's context as an archive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def _labels(root: Path) -> dict[str, str]:
    """Where the image comes from, for people who find it in a registry."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    told = {"source": source(root), "revision": revision(Place(root)), "version": str(project["version"])}
    return {f"org.opencontainers.image.{name}": value for name, value in told.items()}


def source(root: Path) -> str:
    """The address of the checkout's origin, without credentials; ``unknown`` where only this machine knows it."""
    asked = subprocess.run(
        ["git", "remote", "get-url", "origin"], cwd=root, capture_output=True, text=True, check=False
    )
    address = _ADDRESS.fullmatch(asked.stdout.strip())
    return f"https://{address[1]}/{address[2]}" if address else "unknown"


@says_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Build what is missing and print the images with their weight, or with ``--tags`` their references alone."""
    parser = argparse.ArgumentParser(prog="python -m ops.images", description=__doc__)
    parser.add_argument("--registry", default=REGISTRY, help="what the references begin with (default: %(default)s)")
    parser.add_argument("--tags", action="store_true", help="print name=reference and build nothing")
    given = parser.parse_args(arguments)
    wanted = images(here().root, given.registry)
    if given.tags:
        print("\n".join(f"{image.name}={image.reference}" for image in wanted))
        return 0
    build(here().root, wanted, say)
    for line in table(wanted):
        print(line, flush=True)
    return 0


def table(built: Sequence[Image]) -> Iterator[str]:
    """The images with their weight in MB (1e6 bytes), and the seconds that a flow run's imports take."""
    docker = engine()
    yield f"{'image':8} {'tag':12} {'compressed':>10} {'unpacked':>10} {'imports':>8}"
    for image in built:
        weight = image_facts.sizes(docker, image.reference, image_facts.kept())
        imports = f"{image_facts.import_seconds(docker, image.reference):6.2f} s" if image.name == "flows" else ""
        megabytes = f"{weight.compressed / 1e6:7.0f} MB {weight.unpacked / 1e6:7.0f} MB"
        yield f"{image.name:8} {image.reference.rpartition(':')[2]:12} {megabytes} {imports:>8}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
