"""What the docs look at on a laptop is there: their commands, run on the suite's platform."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.cluster.pages import DOCS, PLATFORM_ENGINEER, blocks, script
from tests.cluster.platform import Platform

pytestmark = pytest.mark.timeout(900)

LOOKS = [
    (PLATFORM_ENGINEER, "On a laptop", "kubectl"),
    (PLATFORM_ENGINEER, "What repairs and tidies up", "kubectl"),
    (DOCS / "first-hour-operator.md", "Where the logs are", "kubectl"),
    (DOCS / "runbooks" / "cluster-does-not-start.md", "", "kubectl"),
    (DOCS / "runbooks" / "mlflow-down.md", "", "kubectl"),
]
"""Blocks that look at the laptop's platform and change nothing: page, heading, what is in them."""


@pytest.mark.parametrize(("page", "heading", "within"), LOOKS, ids=[page.stem for page, _, _ in LOOKS])
def test_what_the_docs_look_at_on_a_laptop_is_there(cluster: Platform, page: Path, heading: str, within: str) -> None:
    chosen = [block for block in blocks(heading, page) if within in block]
    # A pod that never starts has no log, and other tests may have left one.
    never = ("--selector=app.kubernetes.io/component=job", "--field-selector=status.phase=Pending")
    text = "".join(chosen).replace('eval "$(make -s kind-env)"\n', "")

    with cluster.disturbing():
        cluster.kubectl("delete", "pods", *never)
        try:
            printed = script(cluster.root, text)
        except AssertionError as error:
            if "(NotFound)" not in str(error):
                raise
            printed = script(cluster.root, text)  # a Job's time to live had ended between its pod's name and its log

    assert chosen
    assert "trainyard" in printed


def test_what_mlflow_kept_of_a_deleted_run_is_collected_where_it_was_deleted_long_ago(
    cluster: Platform, undisturbed: None
) -> None:
    (command,) = blocks("", DOCS / "runbooks" / "storage-full.md")
    client = MlflowClient()
    run = client.create_run("0").info.run_id
    client.log_text(run, "it is kept until it is collected", "note.txt")
    client.delete_run(run)
    files = f"mlflow/0/{run}/"

    script(cluster.root, command)
    kept = [*cluster.lake("").keys(files)]
    script(cluster.root, command.replace("--older-than 30d", f"--run-ids {run}"))

    assert kept == [f"{files}artifacts/note.txt"]
    assert [*cluster.lake("").keys(files)] == []
