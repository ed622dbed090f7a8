"""Runs every suite that can run here, counts their tests, names each suite that cannot run and why: ``make test``."""

import argparse
import shutil
import subprocess
import sys
import textwrap
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / ".trainyard" / "tests"
SUITES = {
    "unit": "no network, no server",
    "platform": "no cluster: images, chart, manifests",
    "integration": "real S3, Prefect and MLflow servers",
    "browser": "pages in Chromium, as the pictures of the docs are taken",
    "demo": "`make demo` on a clean clone",
    "cluster": "the whole platform on a kind cluster",
    "terraform": "Terraform's modules and environments planned, an account made on a stand-in for AWS and destroyed",
    "kills": "flows killed at their calls to S3 and MLflow",
    "installs": "installations of the chart on a kind cluster beside the platform: upgraded, on Postgres, wrong",
    "faults": "pods, room, servers and the worker taken away from runs on a kind cluster",
}
APART = {
    "terraform": "tests/*/test_plans_*.py",
    "kills": "tests/integration/test_kills*.py",
    "installs": "tests/cluster/test_install_*.py",
    "faults": "tests/cluster/test_fault_*.py",
}
"""The modules that are no part of their folder's suite but one of their own: each keeps two cores busy for long."""
OPTIONAL = {"browser"}
"""What CI passes without, on a machine that takes no pictures."""
OPTIONS = {
    "unit": ("-n", "2"),
    "platform": ("-n", "2", "--dist", "loadfile"),
    # a third of what each does is to wait for its servers; by name, so that no long module is the last
    "integration": ("-n", "3", "--dist", "loadfile", "--no-loadscope-reorder"),
    "demo": ("-n", "2", "--dist", "loadfile"),  # two stories, each in a clone of its own
    # in the lanes of tests/cluster/lanes.py
    "cluster": ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"),
    "kills": ("-n", "2", "--dist", "loadfile"),
    "installs": ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"),
}
SLOWEST = ("--durations=12", "--durations-min=15")
"""The longest tests of a suite are told: where its time goes."""


@dataclass(frozen=True)
class Outcome:
    """How a suite went; ``skipped`` counts tests that said why they could not run, which ``strict`` does not take."""

    suite: str
    tests: int
    failed: int
    skipped: int
    seconds: float
    status: int
    broken: Mapping[str, str] = field(default_factory=dict)
    """The tests that failed, and what each said."""

    def ok(self, strict: bool) -> bool:
        """A suite passes when pytest says so and it has tests; with ``strict``, when all of them ran.

        One that is optional passes then, too, where none of it could run.
        """
        ran = not strict or self.skipped == 0 or (self.suite in OPTIONAL and self.skipped == self.tests)
        return self.status == 0 and self.failed == 0 and self.tests > 0 and ran

    def note(self, strict: bool) -> str:
        """What stands behind its counts."""
        if not self.ok(strict):
            return "FAILED"
        return "not run: see above" if self.skipped == self.tests else ""


def run(suite: str, options: Sequence[str]) -> Outcome:
    """Run one suite in a process of its own."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    report = REPORTS / f"{suite}.xml"
    report.unlink(missing_ok=True)
    print(f"\n== {suite}: {SUITES[suite]}", flush=True)
    began = time.monotonic()
    command = [
        sys.executable,
        "-m",
        "pytest",
        *_tests(suite),
        f"--junitxml={report}",
        "-q",
        "-rs",
        *SLOWEST,
        *OPTIONS.get(suite, ()),
        *options,
    ]
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    return _outcome(suite, report, time.monotonic() - began, status)


def _tests(suite: str) -> list[str]:
    """Where pytest finds a suite's tests, and what there is another's."""
    if suite in APART:
        return [str(path) for path in sorted(ROOT.glob(APART[suite]))]
    return [f"tests/{suite}", *(f"--ignore-glob={ROOT / modules}" for modules in APART.values())]


def _outcome(suite: str, report: Path, seconds: float, status: int) -> Outcome:
    if not report.exists():
        return Outcome(suite, 0, 0, 0, seconds, status or 1)
    found = ET.parse(report).getroot().find("testsuite")
    assert found is not None
    tests, failures, errors, skipped = (int(found.get(name, 0)) for name in ("tests", "failures", "errors", "skipped"))
    broken = {_address(case): _said(end) for case in found for end in case if end.tag in ("failure", "error")}
    return Outcome(suite, tests, failures + errors, skipped, seconds, status, broken)


def _address(case: ET.Element) -> str:
    """A test as pytest takes it on its command line; a module that does not load has only its name."""
    module = case.get("classname", "").replace(".", "/")
    return f"{module}.py::{case.get('name')}" if module else case.get("name", "")


def _said(end: ET.Element) -> str:
    """The first line of what a test said as it failed, not all of a long one."""
    return textwrap.shorten(end.get("message", "").partition("\n")[0], 200)


def main() -> int:
    """Run the suites named, all when none is; print their counts; exit status 1 when any did not pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}; all when none is named")
    parser.add_argument("--leave-out", action="append", default=[], metavar="SUITE", help="not to be run")
    parser.add_argument("--strict", action="store_true", help="a test that cannot run here fails its suite")
    known, options = parser.parse_known_args()
    if unknown := {*known.suites, *known.leave_out} - set(SUITES):
        parser.error(f"no suite {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    if not known.suites:
        shutil.rmtree(REPORTS / "cluster", ignore_errors=True)  # what a cluster's suites kept of failures, each its own
    outcomes = [run(suite, options) for suite in known.suites or SUITES if suite not in known.leave_out]
    for test, said in (each for outcome in outcomes for each in outcome.broken.items()):
        print(f"FAILED {test}  {said}")
    print(f"\n{'suite':12} {'tests':>6} {'passed':>7} {'failed':>7} {'skipped':>8} {'seconds':>8}")
    for o in outcomes:
        counts = f"{o.tests:6} {o.tests - o.failed - o.skipped:7} {o.failed:7} {o.skipped:8} {o.seconds:8.1f}"
        print(f"{o.suite:12} {counts}  {o.note(known.strict)}")
    for suite in known.leave_out:
        print(f"{suite:12} not run: left out, as asked; `make {suite}` runs it ({SUITES[suite]})")
    return 0 if all(outcome.ok(known.strict) for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
