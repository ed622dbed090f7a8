"""The checks of the chart: its values are described, closed and documented; Helm takes every values file."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ops import chart, chart_values
from ops.chart_values import PAGE, SCHEMA, VALUES
from ops.lint import tools
from ops.lint.finding import Finding, Skipped
from ops.lint.repository import nearest


def values(root: Path) -> list[Finding]:
    """Values without a comment, keys that only one of values and schema has, an open schema, a stale reference."""
    schema = json.loads((root / SCHEMA).read_text("utf-8"))
    found = [*_values(root, schema), *(Finding(str(SCHEMA), None, fault) for fault in _open(schema, "the schema"))]
    if not found and (not (root / PAGE).exists() or (root / PAGE).read_text("utf-8") != chart_values.page(root)):
        found.append(Finding(str(PAGE), None, "is not what the chart's values and their schema say: make chart-docs"))
    return found


def _values(root: Path, schema: dict[str, Any]) -> Iterator[Finding]:
    given = {value.key: value for value in chart_values.values((root / VALUES).read_text("utf-8"))}
    known = chart_values.forms(schema, frozenset(given))
    for key, value in given.items():
        if not value.text:
            yield Finding(
                str(VALUES), value.line, f"`{key}` has no comment that says what it is for: `# -- …` above it"
            )
        if key not in known:
            yield Finding(str(VALUES), value.line, f"`{key}` is not in {SCHEMA.name}{nearest(key, frozenset(known))}")
    for key in known.keys() - given.keys():
        yield Finding(str(SCHEMA), None, f"`{key}` is not in {VALUES.name}{nearest(key, frozenset(given))}")


def _open(node: Any, name: str) -> Iterator[str]:
    """Objects that take keys nobody described. A map by name says what each of its values is instead."""
    if not isinstance(node, dict):
        return
    if "properties" in node and node.get("additionalProperties") is not False:
        yield f"{name} takes any further key: `additionalProperties` must be false"
    for key, child in node.items():
        yield from _open(child, key if key not in {"properties", "definitions"} else name)


def templates(root: Path) -> list[Finding]:
    """What `helm lint --strict` says of each values file that is shipped. Raises ``Skipped`` where Helm is missing."""
    if not (helm := chart.helm()):
        raise Skipped("helm is not on PATH; see https://helm.sh/docs/intro/install")
    lint = (helm, "lint", "--strict", "--quiet", "--kube-version", chart.oldest_kubernetes(root), str(chart.CHART))
    found = []
    for name, files in chart.values_files(root).items():
        done = tools.run(root, *lint, *(argument for file in files for argument in ("--values", str(file))))
        found += [Finding(str(chart.CHART), None, f"{name}: {fault}") for fault in _faults(done)]
    return found


def _faults(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What Helm called a warning or an error, each on a line; its last words where it failed without one."""
    if done.returncode == 0:
        return []
    output = done.stdout + done.stderr
    told = [line for line in output.splitlines() if line.startswith(("[WARNING]", "[ERROR]")) and line[-1] != ":"]
    return told or [tools.last_words(output)]
