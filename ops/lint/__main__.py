"""Runs the checks named, all when none is: ``make lint``."""

import argparse
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ops.lint import chart, deployments, docs, environ, imports, terraform, tools, workflows
from ops.lint.finding import Finding, Skipped

ROOT = Path(__file__).resolve().parent.parent.parent
CHECKS: dict[str, Callable[[Path], list[Finding]]] = {
    "terraform": terraform.check,  # the longest
    "style": tools.style,
    "format": tools.formatting,
    "types": tools.types,
    "imports": imports.check,
    "environ": environ.check,
    "deployments": deployments.check,
    "values": chart.values,
    "chart": chart.templates,
    "docs": docs.check,
    "scripts": tools.scripts,
    "dockerfiles": tools.dockerfiles,
    "workflows": workflows.check,
    "actions": tools.workflows,
}
AT_ONCE = 2
"""Checks under way at once: most of them wait for a program."""


def main() -> int:
    """Run every check, whatever the others find; print each with its findings, as it ends; 1 when any found something.

    One that cannot run here is named with the reason; with ``--strict`` it has not passed.
    """
    parser = argparse.ArgumentParser(prog="python -m ops.lint", description=__doc__)
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=f"of {', '.join(CHECKS)}; all when none is named")
    parser.add_argument("--strict", action="store_true", help="a check that cannot run here has not passed")
    given = parser.parse_args()
    named = given.checks
    if unknown := sorted({*named} - {*CHECKS}):
        parser.error(f"no check {', '.join(unknown)}; there are {', '.join(CHECKS)}")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        under_way = [pool.submit(passes, ROOT, name, CHECKS[name], strict=given.strict) for name in named or CHECKS]
        results = [each.result() for each in under_way]
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
    lines = [
        f"{name:12} {time.monotonic() - began:6.1f} s  {result}",
        *(f"    {each}" for each in dict.fromkeys(found)),
    ]
    print("\n".join(lines), flush=True)  # at once: another may print as well
    return not found


if __name__ == "__main__":
    sys.exit(main())
