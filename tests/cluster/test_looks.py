"""What the docs look at on a laptop is there: their commands, run on the suite's platform."""

from pathlib import Path

import pytest

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

    with cluster.disturbing():
        cluster.kubectl("delete", "pods", *never)
        printed = script(cluster.root, "".join(chosen).replace('eval "$(make -s kind-env)"\n', ""))

    assert chosen
    assert "trainyard" in printed
