"""``prefect.yaml`` as Prefect reads it, with the lines where things are."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ops.lint.finding import Finding

FILE = "prefect.yaml"


@dataclass(frozen=True)
class Entry:
    """One item of ``deployments``, merged, with the line where it begins."""

    line: int
    config: dict[str, Any]

    @property
    def name(self) -> str:
        """The full name, as Prefect and the docs write it: ``flow/deployment``."""
        return f"{self.config.get('flow_name', '?')}/{self.config.get('name', '?')}"

    @property
    def schedules(self) -> list[Any]:
        """Its schedules; what is none is left to the schema to report."""
        found = self.config.get("schedules") or []
        return found if isinstance(found, list) else []

    def finding(self, message: str) -> Finding:
        """Something wrong with this deployment."""
        return Finding(FILE, self.line, f"{self.name}: {message}")


@dataclass(frozen=True)
class Deployments:
    """The whole file: ``data`` as YAML gives it, ``entries`` with lines, ``doubled`` keys by line."""

    data: dict[str, Any]
    entries: tuple[Entry, ...]
    doubled: tuple[tuple[int, str], ...]

    @property
    def names(self) -> frozenset[str]:
        """The full name of every deployment."""
        return frozenset(entry.name for entry in self.entries)


def load(root: Path) -> Deployments:
    """Read the file. Raises ``yaml.YAMLError`` with line and column where it is not YAML."""
    text = (root / FILE).read_text("utf-8")
    data = yaml.safe_load(text)
    tree = yaml.compose(text, yaml.SafeLoader)
    if not isinstance(data, dict):
        data = {}
    listed = data.get("deployments")
    items = listed if isinstance(listed, list) else []
    entries = [Entry(line, item) for line, item in zip(_lines(tree), items, strict=False) if isinstance(item, dict)]
    return Deployments(data, tuple(entries), tuple(_doubled(tree)))


def _lines(tree: yaml.Node | None) -> list[int]:
    """The line of every item of ``deployments``."""
    for key, value in tree.value if isinstance(tree, yaml.MappingNode) else []:
        if key.value == "deployments" and isinstance(value, yaml.SequenceNode):
            return [item.start_mark.line + 1 for item in value.value]
    return []


def _doubled(node: yaml.Node | None) -> Iterator[tuple[int, str]]:
    """Keys that stand twice in one mapping: YAML keeps the last and says nothing."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                yield key.start_mark.line + 1, str(key.value)
            seen.add(key.value)
            yield from _doubled(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _doubled(item)
