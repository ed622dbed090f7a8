"""The images in a registry: which tags it has, and the pushing of what it lacks: ``make push-images``.

A tag is a hash of the image's content, so a tag that the registry has is never built or pushed again.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.ml.errors import TrainyardError
from ops import images, summary
from ops.command import last_line, say, says_errors
from ops.environment import Place, here
from ops.images import Image

PATIENCE = 60.0
"""Seconds a registry may take to say what it has."""
_TAG = re.compile(r":[^:/]+$")
REFUSALS = ("unauthorized", "denied", "forbidden", "no basic auth credentials", "authentication required")


class RegistryError(TrainyardError):
    """The registry could not be asked, or did not take an image."""


@dataclass(frozen=True)
class Stored:
    """An image in the registry: ``digest`` is ``sha256:`` with 64 hex digits; ``pushed`` where this run pushed it."""

    name: str
    reference: str
    digest: str
    pushed: bool

    @property
    def pinned(self) -> str:
        """The reference by digest, which is what is signed and deployed."""
        return pin(self.reference, self.digest)


def pin(reference: str, digest: str) -> str:
    """A reference by tag, or by another digest, as one by digest."""
    return f"{_TAG.sub('', reference.partition('@')[0])}@{digest}"


def digest(docker: str, reference: str) -> str | None:
    """The digest a reference stands for; None where the registry has no such image. Raises ``RegistryError``."""
    command = [docker, "buildx", "imagetools", "inspect", reference, "--format", "{{.Manifest.Digest}}"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired as error:
        raise _refused(reference, f"no answer within {PATIENCE:g} s") from error
    if asked.returncode == 0:
        return asked.stdout.strip()
    said = _last(asked.stderr)
    if said.endswith("not found") and "buildx" not in said:
        return None
    raise _refused(reference, said)


def pinned(docker: str, reference: str) -> str:
    """The reference by the digest that the registry has for it. Raises ``RegistryError`` where it has none."""
    found = digest(docker, reference)
    if found is None:
        raise RegistryError(f"the registry has no image {reference}. Build and push it first: make push-images.")
    return pin(reference, found)


def push(root: Path, wanted: Sequence[Image], say: Callable[[str], None]) -> list[Stored]:
    """Build and push those of ``wanted`` whose tags the registry lacks; all of them with their digests.

    Each is recorded as soon as it is pushed. Raises ``RegistryError`` and ``ImageError``.
    """
    docker = images.engine()
    stored = []
    for image in wanted:
        there = digest(docker, image.reference)
        if there is None:
            images.build(root, [image], say)
            say(f"Pushing {image.reference}")
            _push(docker, image)
        found = there or digest(docker, image.reference)
        if found is None:
            raise RegistryError(f"{image.reference} was pushed, and the registry does not have it. Push it again.")
        stored.append(Stored(image.name, image.reference, found, pushed=there is None))
        if there is None:
            _record(root, stored[-1])
    return stored


def pushed_here(root: Path) -> frozenset[str]:
    """The references by digest that were pushed from this checkout."""
    record = _record_file(root)
    return frozenset(json.loads(record.read_text())) if record.exists() else frozenset()


def _record(root: Path, stored: Stored) -> None:
    _record_file(root).write_text(json.dumps(sorted(pushed_here(root) | {stored.pinned})))


def _record_file(root: Path) -> Path:
    return Place(root).folder(".") / "pushed.json"


def _push(docker: str, image: Image) -> None:
    done = subprocess.run([docker, "push", image.reference], capture_output=True, text=True, check=False)
    if done.returncode:
        raise _refused(image.reference, _last(done.stderr))


def _refused(reference: str, said: str) -> RegistryError:
    host = reference.partition("/")[0]
    if "buildx" in said:
        return RegistryError(f"Docker has no buildx ({said}). Install the plugin docker-buildx, then run this again.")
    if any(word in said.lower() for word in REFUSALS):
        return RegistryError(f"{host} refuses {reference} ({said}). Log in to it: docker login {host}.")
    return RegistryError(f"{host} does not answer for {reference} ({said}). Check REGISTRY and the network.")


def _last(text: str) -> str:
    return last_line(text).removeprefix("ERROR: ")


def table(stored: Sequence[Stored]) -> str:
    """The images with their digests, in Markdown."""
    rows = [f"| {one.name} | `{one.pinned}` | {'pushed' if one.pushed else 'was there'} |" for one in stored]
    return "\n".join(["| image | by digest | |", "| :-- | :-- | :-- |", *rows])


@says_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Push what is missing; print the digests. An error is a sentence on standard error and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m ops.registry", description=__doc__)
    parser.add_argument("registry", help="what the references begin with: a host, and a path on it")
    given = parser.parse_args(arguments)
    if not given.registry.strip():
        raise RegistryError("REGISTRY is empty. Say where the images go: make push-images REGISTRY=<host>/<path>.")
    stored = push(here().root, images.images(here().root, given.registry), say)
    print("\n".join(f"{one.name}={one.pinned}" for one in stored))
    summary.add(f"## Images\n\n{table(stored)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
