"""Which packages a change adds, removes and moves, and what holds them: ``make sbom-diff``.

It compares the locks, which are all that packages come in by, so nothing has to be installed twice. Debian's packages
are in no lock: of them only a change of ``docker/base.lock`` is seen.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ops import images, revisions, summary
from ops.command import says_errors
from ops.environment import here

LOCKS = {
    **{f"image {name}": path for name, path in images.LOCKS.items()},
    "local platform": "ops/requirements.txt",
    "tests": "tests/requirements.txt",
}
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;]+)", re.MULTILINE)

Pins = Mapping[str, str]


def pins(lock: str) -> Pins:
    """The packages of a lock with their versions."""
    return dict(_PIN.findall(lock))


def changes(before: Mapping[str, Pins], after: Mapping[str, Pins]) -> dict[tuple[str, str, str], list[str]]:
    """What changed, as (package, version before, version after), with the locks it changed in; empty is "not there"."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for lock in after:
        old, new = before.get(lock, {}), after[lock]
        for package in sorted(old.keys() | new.keys()):
            versions = (old.get(package, ""), new.get(package, ""))
            if versions[0] != versions[1]:
                found.setdefault((package, *versions), []).append(lock)
    return dict(sorted(found.items()))


def page(found: Mapping[tuple[str, str, str], Sequence[str]], base: str, debian: tuple[str, str]) -> str:
    """The changes in Markdown; ``debian`` is what the images stand on, before and after."""
    lines = [f"## Packages: this change against {base}", ""]
    if debian[0] != debian[1]:
        lines += [f"All images take Debian anew: {debian[0] or 'nothing'} → {debian[1]}.", ""]
    if not found:
        return "\n".join([*lines, "No package of any lock changes.", ""])
    lines += ["| package | before | after | in |", "| :-- | :-- | :-- | :-- |"]
    for (package, old, new), locks in found.items():
        lines.append(f"| {package} | {old or 'new'} | {new or 'gone'} | {', '.join(locks)} |")
    return "\n".join([*lines, ""])


def report(root: Path, wanted: str) -> str:
    """The Markdown of the checkout against a revision. Raises ``UnknownRevision``."""
    base = revisions.base(root, wanted)
    before = {name: pins(revisions.text(root, base, path)) for name, path in LOCKS.items()}
    after = {name: pins((root / path).read_text("utf-8")) for name, path in LOCKS.items()}
    debian = (_stands_on(revisions.text(root, base, images.BASE)), _stands_on((root / images.BASE).read_text("utf-8")))
    return page(changes(before, after), base[:12], debian)


def _stands_on(base_lock: str) -> str:
    """Image and date of ``docker/base.lock`` in a few words."""
    return ", ".join(line.partition("=")[2] for line in base_lock.splitlines() if re.match(r"[A-Z_]+=", line))


@says_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Print the changes and add them to the job's summary; an error is a sentence and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m ops.sbom_diff", description=__doc__)
    parser.add_argument("--base", default="", help=f"the revision to compare with (default: where {revisions.MAIN} is)")
    given = parser.parse_args(arguments)
    found = report(here().root, given.base)
    print(found)
    summary.add(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
