"""The bill of materials of what is installed, as CycloneDX: ``make sbom``.

Of the environment it lists Python's packages, of an image Debian's as well. The list is flat: what depends on what is
not in it.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from flows.ml.errors import TrainyardError
from ops import images, inventory
from ops.command import last_line, says_errors
from ops.environment import Place, here
from ops.image_facts import CONFINED

_SCRIPT = Path(inventory.__file__)


class NotListed(TrainyardError):
    """What is installed could not be read."""


def of_environment(python: str = sys.executable) -> Bom:
    """The bill of materials of the environment of a Python. Raises ``NotListed``."""
    return _bom(Component(name="trainyard", type=ComponentType.APPLICATION), _installed([python, "-c"]))


def of_image(docker: str, reference: str) -> Bom:
    """The bill of materials of an image that the engine has. Raises ``NotListed``."""
    command = [docker, "run", *CONFINED, "--pull=never", reference, "python", "-c"]
    repository, _, tag = reference.rpartition(":")
    image = Component(name=repository, version=tag, type=ComponentType.CONTAINER)
    return _bom(image, _installed(command, "debian"))


def as_json(bom: Bom) -> str:
    """CycloneDX 1.6."""
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _installed(command: Sequence[str], *asked: str) -> dict[str, list[dict[str, str]]]:
    done = subprocess.run([*command, _SCRIPT.read_text("utf-8"), *asked], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotListed(
            f"what is installed could not be read ({last_line(done.stderr)}). Build or pull it first: make images."
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _bom(root: Component, installed: dict[str, list[dict[str, str]]]) -> Bom:
    bom = Bom()
    bom.metadata.component = root
    parts = [_python(one) for one in installed["python"]] + [_debian(one) for one in installed["debian"]]
    bom.components.update(parts)
    bom.register_dependency(root, parts)
    return bom


def _python(one: dict[str, str]) -> Component:
    licences = [LicenseFactory().make_from_string(one["licence"])] if one["licence"] else []
    purl = PackageURL("pypi", None, one["name"], one["version"])
    return _component(one, purl, licenses=licences)


def _debian(one: dict[str, str]) -> Component:
    purl = PackageURL("deb", "debian", one["name"], one["version"], {"arch": one["arch"]})
    return _component(one, purl)


def _component(one: dict[str, str], purl: PackageURL, **more: Any) -> Component:
    named = str(purl)
    return Component(
        name=one["name"], version=one["version"], type=ComponentType.LIBRARY, purl=purl, bom_ref=named, **more
    )


def write(place: Place, name: str, bom: Bom) -> Path:
    """Write a bill of materials under ``.trainyard/sbom``; its path."""
    path = place.folder("sbom") / f"{name}.cdx.json"
    path.write_text(as_json(bom), "utf-8")
    return path


@says_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Write the one asked for and say where; an error is a sentence on standard error and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m ops.sbom", description=__doc__)
    parser.add_argument("--image", default="", help="an image the engine has (default: the environment)")
    given = parser.parse_args(arguments)
    bom = of_image(images.engine(), given.image) if given.image else of_environment()
    name = given.image.rpartition("/")[2].replace(":", "-") or "environment"
    print(f"{len(bom.components)} packages in {write(here(), name, bom)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
