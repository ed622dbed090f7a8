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
    "roll-back-a-deploy.md": "tests/integration/test_deploy_apply.py",
    "run-stuck.md": "tests/cluster/test_reconcile.py",
    "storage-full.md": "tests/cluster/test_looks.py",
}
"""Of each runbook that has blocks of commands, the test that runs them."""
PROGRAMS = {"brew", "helm", "kubectl", "make", "prefect", "python", "uv"}
"""What a command within the text begins with."""
WITHIN = {
    "helm rollback trainyard --namespace trainyard": ("tests/cluster/test_install_lifecycle.py", 'helm("rollback"'),
    "helm test trainyard --namespace trainyard --logs": (
        "tests/cluster/test_install_bad_input.py",
        '.helm("test", "--logs"',
    ),
    "helm uninstall": ("tests/cluster/test_install_lifecycle.py", 'helm("uninstall")'),
    "kubectl --namespace trainyard logs job/trainyard-roles": (
        "tests/cluster/test_install_postgres.py",
        '"logs", "job/',
    ),
    "make chart-upgrade": ("tests/cluster/test_install_lifecycle.py", "chart.upgrade("),
    "make demo": ("tests/demo/test_demo.py", 'make("demo")'),
    "make deploy": ("tests/cluster/test_delivery.py", 'submit("apply")'),
    "make deploy-rollback TO=<commit>": ("tests/integration/test_deploy_apply.py", "TO=<commit>"),
    "make env": ("tests/demo/clone.py", '"make", "-s", "env"'),
    "make kind-env": ("tests/platform/test_kind.py", "test_the_environment_leads_to_the_cluster"),
    "make kind-up": ("tests/cluster/conftest.py", "up(place"),
    "make push-images": ("tests/platform/test_supply_chain.py", "registry.push("),
    "make reconcile": ("tests/demo/test_operator.py", "reconcile"),
    "make reconcile REPAIR=1": ("tests/demo/test_operator.py", "reconcile REPAIR=1"),
    "make smoke": ("tests/cluster/test_delivery.py", 'submit("smoke")'),
    "make start": ("tests/demo/test_demo.py", 'make("start")'),
    "make status": ("tests/demo/test_demo.py", 'make("status")'),
    "make stop": ("tests/demo/test_demo.py", 'make("stop")'),
    "python -m ops.images --tags": ("tests/cluster/test_first_hour.py", "-m ops.images --registry trainyard --tags"),
}
"""Of each command within the text, the test that runs it or what is behind it, and the words by which it does."""


def test_every_runbook_is_in_the_index_of_symptoms() -> None:
    links = {link.text.partition("#")[0] for link in markdown.read((RUNBOOKS / "README.md").read_text()).links}

    assert {path.name for path in RUNBOOKS.glob("*.md")} - {"README.md"} <= links


def test_every_block_of_commands_is_run_by_a_test_that_names_its_page() -> None:
    having = {path.name for path in RUNBOOKS.glob("*.md") if markdown.read(path.read_text()).block_lines}

    assert having == set(RUN_BY)
    assert [page for page, test in RUN_BY.items() if page.removesuffix(".md") not in (ROOT / test).read_text()] == []


def test_every_command_within_the_text_is_run_by_a_test() -> None:
    spans = {span.text for path in RUNBOOKS.glob("*.md") for span in markdown.read(path.read_text()).spans}
    commands = {text for text in spans if text.partition(" ")[0] in PROGRAMS and " " in text}

    assert commands == set(WITHIN)
    assert [words for test, words in WITHIN.values() if words not in (ROOT / test).read_text()] == []
