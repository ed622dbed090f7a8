"""Known holes in what the images hold: ``make scan-images``.

osv-scanner finds them, by the OSV database on the network. What has a fix fails the scan: a refresh takes it. What has
none yet is counted, as nobody here can do anything about it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.ml.errors import TrainyardError
from ops import go_programs, images, summary
from ops.command import last_line, say, says_errors
from ops.environment import here
from ops.images import Image

FOUND_NOTHING, FOUND_SOME = 0, 1
"""How osv-scanner ends when it has scanned."""


class NotScanned(TrainyardError):
    """An image could not be scanned."""


@dataclass(frozen=True, order=True)
class Hole:
    """A known hole in a package of an image; ``fixed`` are the versions that mend it, none so far where empty.

    ``severity`` is the CVSS score, 0 to 10, or empty.
    """

    image: str
    package: str
    version: str
    name: str
    severity: str
    fixed: tuple[str, ...]


def scan(scanner: Path, docker: str, image: Image) -> list[Hole]:
    """The holes in an image that the engine has. Raises ``NotScanned``."""
    with tempfile.TemporaryDirectory(prefix="trainyard-") as folder:
        archive = Path(folder) / "image.tar"
        _run([docker, "save", "--output", str(archive), image.reference], [0])
        command = [str(scanner), "scan", "image", "--format", "json", "--verbosity", "error", "--archive", str(archive)]
        return holes(image.name, json.loads(_run(command, [FOUND_NOTHING, FOUND_SOME])))


def holes(image: str, report: Mapping[str, Any]) -> list[Hole]:
    """The holes in a report of osv-scanner, each once though several parts of a package have it."""
    found = set()
    for result in report.get("results") or []:
        for part in result["packages"]:
            score = {one: group.get("max_severity", "") for group in part.get("groups", []) for one in group["ids"]}
            package = part["package"]
            for one in part.get("vulnerabilities", []):
                name = one["id"]
                told = (package["name"], package["version"], name, score.get(name, ""), _fixed(one, package))
                found.add(Hole(image, *told))
    return sorted(found)


def _fixed(hole: Mapping[str, Any], package: Mapping[str, str]) -> tuple[str, ...]:
    """The versions that mend it where the package is from: each release of Debian has its own."""
    ours = [one for one in hole["affected"] if _same(one["package"], package)]
    ranges = [each for one in ours for each in one.get("ranges", [])]
    versions = [event["fixed"] for one in ranges if one["type"] != "GIT" for event in one["events"] if "fixed" in event]
    return tuple(dict.fromkeys(versions))


def _same(one: Mapping[str, str], package: Mapping[str, str]) -> bool:
    return one["name"] == package["name"] and one.get("ecosystem", "").startswith(package["ecosystem"])


def page(found: Sequence[Hole]) -> str:
    """What can be mended as a table, and how much cannot, in Markdown."""
    mendable = [one for one in found if one.fixed]
    lines = [
        "## Known holes in the images",
        "",
        f"{len(mendable)} with a fix, {len(found) - len(mendable)} without.",
        "",
    ]
    if mendable:
        lines += ["| image | package | hole | severity | fixed in |", "| :-- | :-- | :-- | --: | :-- |"]
    for one in mendable:
        row = (one.image, f"{one.package} {one.version}", one.name, one.severity, ", ".join(one.fixed))
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def _run(command: Sequence[str], good: Sequence[int]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in good:
        said = last_line(done.stderr, done.stdout)
        raise NotScanned(f"{Path(command[0]).name} says {said}. Where it reaches no OSV database, run this later.")
    return done.stdout


@says_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Scan the images of the checkout, building what is missing; status 1 where a hole has a fix, or on an error."""
    parser = argparse.ArgumentParser(prog="python -m ops.scan", description=__doc__)
    parser.parse_args(arguments)
    wanted = images.images(here().root)
    images.build(here().root, wanted, say)
    scanner = go_programs.find(go_programs.OSV_SCANNER, go_programs.cache_folder(), say)
    found = [hole for image in wanted for hole in scan(scanner, images.engine(), image)]
    print(page(found))
    summary.add(page(found))
    return 1 if any(hole.fixed for hole in found) else 0


if __name__ == "__main__":
    sys.exit(main())
