"""Runs the checks named, all when none is: ``make lint``."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ops.lint import chart, deployments, docs, environ, imports, terraform, tools, workflows
from ops.lint.finding import Finding, Skipped

ROOT = Path(__file__).resolve().parent.parent.parent
CHECKS: dict[str, Callable[[Path], list[Finding]]] = {
    "style": tools.style,
    "format": tools.formatting,
    "types": tools.types,
    "imports": imports.check,
    "environ": environ.check,
    "deployments": deployments.check,
    "values": chart.values,
    "chart": chart.templates,
    "terraform": terraform.check,
    "docs": docs.check,
    "scripts": tools.scripts,
    "dockerfiles": tools.dockerfiles,
    "workflows": workflows.check,
    "actions": tools.workflows,
}


def main() -> int:
    """Run every check, whatever the others find; print each with its time and findings; 1 when any found something.

    One that cannot run here is named with the reason; with ``--strict`` it has not passed.
    """
    parser = argparse.ArgumentParser(prog="python -m ops.lint", description=__doc__)
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=f"of {', '.join(CHECKS)}; all when none is named")
    parser.add_argument("--strict", action="store_true", help="a check that cannot run here has not passed")
    given = parser.parse_args()
    named = given.checks
    if unknown := sorted({*named} - {*CHECKS}):
        parser.error(f"no check {', '.join(unknown)}; there are {', '.join(CHECKS)}")
    results = [passes(ROOT, name, CHECKS[name], strict=given.strict) for name in named or CHECKS]
    return 0 if all(results) else 1


def passes(root: Path, name: str, check: Callable[[Path], list[Finding]], *, strict: bool = False) -> bool:
    """Run one check and print how it went. One that breaks down has not passed, and does not stop the next."""
    began = time.monotonic()
    try:
        found = check(root)
    except Skipped as reason:
        print(f"{name:12} {time.monotonic() - began:6.1f} s  skipped: {reason}", flush=True)
        return not strict
    except Exception as error:  # a check may break down in any way; each is a finding
        found = [Finding(name, None, f"the check broke down: {type(error).__name__}: {error}")]
    result = f"{len(found)} found" if found else "ok"
    print(f"{name:12} {time.monotonic() - began:6.1f} s  {result}", flush=True)
    for finding in dict.fromkeys(found):
        print(f"    {finding}", flush=True)
    return not found


if __name__ == "__main__":
    sys.exit(main())
