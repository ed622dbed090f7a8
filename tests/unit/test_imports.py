"""What a run imports before its first task: what only a task needs would hold back every run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOWS = sorted(file.stem for file in (ROOT / "flows").glob("*.py") if "\n@flow(" in file.read_text("utf-8"))
SLOW = ("matplotlib", "mlflow", "pandas", "pandera", "prefect_aws", "pyarrow", "scipy", "sklearn", "xgboost")

SCRIPT = """
import importlib, json, sys
found = {}
for flow in sys.argv[1].split():
    importlib.import_module(f"flows.{flow}")
    found[flow] = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def imported() -> dict[str, list[str]]:
    """The packages that are imported once a fresh interpreter has imported a flow, and those before it."""
    command = [sys.executable, "-c", SCRIPT, " ".join(FLOWS)]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def test_the_flows_are_found() -> None:
    assert {"ingest", "monthly", "retrain"} <= set(FLOWS)


@pytest.mark.parametrize("flow", FLOWS)
def test_a_flow_leaves_what_only_its_tasks_need_to_them(imported: dict[str, list[str]], flow: str) -> None:
    assert "prefect" in imported[flow]
    assert set(SLOW) & set(imported[flow]) == set()
