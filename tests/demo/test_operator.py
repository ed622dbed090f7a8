"""The operator's day: `make scenario` on a clean clone; then commands of runbooks, and versions trained again."""

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from clone import Clone, Made
from found import state

from ops import processes

pytestmark = pytest.mark.timeout(1500)

DOCS = Path(__file__).resolve().parents[2] / "docs"
SAID = [
    "ingest: Landed. 2023-04: 64,062 of 64,113 rows kept",
    "score: Scored. 2023-04: 64,062 of 64,062 rows scored by version 2",
    "monitor: Alarm. version 2 on 2023-04: the error of all rows is 1.018 of the naive baseline's and was 0.649",
    "retrain: Kept. version 3: The candidate (error 6.573 minutes on 61,709 rows of 2023-04) does not beat the naive",
    "the operator rolls back: Promoted. version 1 is in service instead of version 2, by Ada: ",
    "monthly, the next night: Not published. 2023-05 of green-trips is not at ",
    "retrain as for version 2: Barred. version 2 is this very training and was taken out of service on ",
    "reconcile: Nothing to do. ",
]
"""How the lines of the steps begin, in order."""


def shell(clone: Clone, text: str) -> subprocess.CompletedProcess[str]:
    """A script in a shell that `make env` points at the platform, the programs of the checkout on its path."""
    env = clone.platform_env()
    path = f"{clone.state / 'venv/bin'}{os.pathsep}{env['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", text]
    return subprocess.run(command, cwd=clone.root, env={**env, "PATH": path}, capture_output=True, text=True)


def typed(clone: Clone, page: str, begins: str, names: dict[str, str]) -> str:
    """What the page's one block of commands that begins so prints, with this platform's names in place of its own."""
    [block] = re.findall(rf"```\n({begins} .*?)```", (DOCS / page).read_text(), re.DOTALL)
    for name, own in names.items():
        block = block.replace(name, own)
    done = shell(clone, block)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def scene(clone: Clone) -> Iterator[Clone]:
    """The clone, whose owner means the scenario's platform; it has ended in the end."""
    yield replace(clone, env={**clone.env, "PLACE": "scenario"})
    processes.stop(clone.state / "scenario", patience=3, at_once=["s3"])


@pytest.fixture(scope="module")
def told(scene: Clone) -> str:
    """What the bad month printed."""
    made = scene.make("scenario", timeout=1400)
    assert made.status == 0, made.text
    return made.text


def test_a_bad_month_alarms_is_kept_out_and_what_is_rolled_back_stays_so(told: str) -> None:
    lines = [line for line in told.splitlines() if any(line.startswith(start) for start in SAID)]

    assert len(lines) == len(SAID), told
    assert all(line.startswith(start) for line, start in zip(lines, SAID, strict=True)), told
    assert "distance has moved by 0.253 (limit 0.06)" in told
    assert re.search(r"│ reconcile .*│ Nothing to do", told)


def test_it_leaves_a_version_kept_by_the_gate_and_the_one_before_in_service(scene: Clone, told: str) -> None:
    after = state(scene)

    assert after["ledger"] == [[1, None], [2, 1], [1, 2]]
    assert after["champion"] == 1
    assert (after["versions"]["3"]["judged"], after["versions"]["3"]["verdict"]) == ("2023-04", "keep")


def test_a_platform_on_which_it_cannot_begin_is_told_so_in_a_sentence(scene: Clone, told: str) -> None:
    done = shell(scene, "python -m ops.scenario --published .trainyard/published --logs .trainyard/log/worker.log")

    assert done.returncode == 1
    assert "this begins where make demo ends, with 2023-01 to 2023-03 and version 2 in service. Here are" in done.stdout


def test_what_was_rolled_back_comes_back_by_the_command_of_the_page(scene: Clone, told: str) -> None:
    printed = typed(scene, "operators-day.md", "eval", {})

    assert "Promoted: version 2 is in service instead of version 1, by Ada: " in printed


def test_the_command_for_months_that_are_missing_looks_and_writes_nothing(scene: Clone, told: str) -> None:
    printed = typed(scene, "runbooks/month-missing.md", "prefect", {"green-trips": "green-trips-local"})

    assert "finished successfully in 'Dry run'" in printed


def test_a_reconcile_by_hand_finds_nothing_after_it(scene: Clone, told: str) -> None:
    made: list[Made] = [scene.make("reconcile"), scene.make("reconcile REPAIR=1")]

    assert [one.status for one in made] == [0, 0], made


@pytest.mark.parametrize(("version", "threads"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_a_version_is_trained_again_from_its_record_in_an_environment_of_its_own(
    scene: Clone, told: str, version: int, threads: int
) -> None:
    lock = hashlib.sha256((scene.root / "flows" / "requirements.txt").read_bytes()).hexdigest()[:16]
    python = rf"\.trainyard/scenario/reproduce/{lock}-3\.\d+\.\d+/bin/python"

    made = scene.make(f"reproduce VERSION={version} THREADS={threads}")

    assert made.status == 0, made.text
    assert re.search(rf"^training with {threads} threads? by {python}$", made.text, re.MULTILINE)
    assert ("packages of its lock" in made.text) is ((version, threads) == (1, 1))
    assert f"Reproduced: all 6 files of version {version} are the same, byte for byte." in made.text
