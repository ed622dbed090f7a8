"""The check of ``prefect.yaml``: Prefect's schema, its steps, the flows' signatures."""

from pathlib import Path

from ops.lint import prefect_flows, prefect_schema, prefect_steps, prefect_yaml
from ops.lint.finding import Finding


def check(root: Path) -> list[Finding]:
    """Everything Prefect would ignore, or would find out only at deployment or at the first run."""
    file = prefect_yaml.load(root)
    if wrong := prefect_schema.check(file):
        return wrong  # what has not the right shape cannot be held to anything else
    return [*prefect_steps.check(file), *prefect_flows.check(root, file)]
