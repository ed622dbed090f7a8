"""Runbooks: each is found by its symptom, and what it has an operator type is run by a test."""

from pathlib import Path

from ops.lint import markdown

ROOT = Path(__file__).resolve().parents[2]
RUNBOOKS = ROOT / "docs/runbooks"
RUN_BY = {
    "cluster-does-not-start.md": "tests/cluster/test_looks.py",
    "mlflow-down.md": "tests/cluster/test_looks.py",
    "model-in-service-is-wrong.md": "tests/integration/test_rollback.py",
    "month-missing.md": "tests/demo/test_operator.py",
    "roll-back-a-deploy.md": "tests/platform/test_deploy_job.py",
    "run-stuck.md": "tests/cluster/test_reconcile.py",
}
"""Of each runbook that has blocks of commands, the test that runs them."""


def test_every_runbook_is_in_the_index_of_symptoms() -> None:
    links = {link.text.partition("#")[0] for link in markdown.read((RUNBOOKS / "README.md").read_text()).links}

    assert {path.name for path in RUNBOOKS.glob("*.md")} - {"README.md"} <= links


def test_every_block_of_commands_is_run_by_a_test_that_names_its_page() -> None:
    having = {path.name for path in RUNBOOKS.glob("*.md") if markdown.read(path.read_text()).block_lines}

    assert having == set(RUN_BY)
    assert [page for page, test in RUN_BY.items() if page.removesuffix(".md") not in (ROOT / test).read_text()] == []
