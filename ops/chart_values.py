"""The reference of the chart's values: ``python -m ops.chart_values`` writes ``docs/values.md``.

What a value is for stands in a comment above it in ``values.yaml``, begun by ``# --``; its form in
``values.schema.json``. A mapping without such a comment is a section; one with it is documented as a whole.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ops.chart import CHART

VALUES = CHART / "values.yaml"
SCHEMA = CHART / "values.schema.json"
PAGE = Path("docs/values.md")

_HEAD = f"""# Values of the chart

Made by `make chart-docs` of the comments in `{VALUES}`
and the forms in `{SCHEMA}`. Every key is checked:
one that is not listed here is an error of `helm install`."""


@dataclass(frozen=True)
class Value:
    """A value: its key with dots, its line, its default, and what its comment says, empty where it has none."""

    key: str
    line: int
    default: Any
    text: str

    @property
    def section(self) -> str:
        """The first part of the key."""
        return self.key.partition(".")[0]


def values(text: str) -> list[Value]:
    """The documented values of a values file, and those that should be, in their order."""
    return list(_values(yaml.compose(text, yaml.SafeLoader), text.splitlines(), yaml.safe_load(text), ()))


def _values(node: yaml.Node | None, lines: list[str], data: Any, above: tuple[str, ...]) -> Iterator[Value]:
    for key, value in node.value if isinstance(node, yaml.MappingNode) else []:
        path, default, line = (*above, key.value), data[key.value], key.start_mark.line
        comment = _comment(lines, line)
        if isinstance(value, yaml.MappingNode) and value.value and not comment:
            yield from _values(value, lines, default, path)
        else:
            yield Value(".".join(path), line + 1, default, comment)


def _comment(lines: list[str], line: int) -> str:
    """The comment that ends above a line, from ``# --`` on."""
    said: list[str] = []
    for above in reversed(lines[:line]):
        if not above.lstrip().startswith("#"):
            break
        said.insert(0, above.lstrip().removeprefix("#").strip())
        if said[0].startswith("-- "):
            return " ".join(said).removeprefix("-- ")
    return ""


def forms(schema: dict[str, Any], documented: frozenset[str]) -> dict[str, str]:
    """The form of every value the schema knows, in words; a documented one is not taken apart."""
    return dict(_forms(schema, schema, (), documented))


def _forms(
    schema: dict[str, Any], node: dict[str, Any], path: tuple[str, ...], documented: frozenset[str]
) -> Iterator[tuple[str, str]]:
    node = _resolved(schema, node)
    key = ".".join(path)
    if "properties" not in node or key in documented:
        yield key, _form(schema, node)
        return
    for name, child in node["properties"].items():
        yield from _forms(schema, child, (*path, name), documented)


def _resolved(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    reference = str(node.get("$ref", ""))
    found: dict[str, Any] = schema["definitions"][reference.rpartition("/")[2]] if reference else node
    return found


def _form(schema: dict[str, Any], node: dict[str, Any]) -> str:
    """The form of a value in words: what the schema calls it, and between which numbers it lies."""
    if "enum" in node:
        return " or ".join(f"`{one}`" for one in node["enum"])
    if node.get("type") == "array":
        return f"list: {_form(schema, _resolved(schema, node['items']))}"
    said = str(node.get("title") or node["type"])
    if "maximum" in node:
        return f"{said}, {node['minimum']} to {node['maximum']}"
    return f"{said}, at least {node['minimum']}" if "minimum" in node else said


def page(root: Path) -> str:
    """The reference as Markdown, a table for each section."""
    found = values((root / VALUES).read_text("utf-8"))
    known = forms(json.loads((root / SCHEMA).read_text("utf-8")), frozenset(value.key for value in found))
    parts = [_HEAD]
    for section in dict.fromkeys(value.section for value in found):
        rows = [_row(value, known.get(value.key, "")) for value in found if value.section == section]
        parts.append(
            "\n".join([f"## {section}\n", "| value | form | default | what it is |", "| --- " * 4 + "|", *rows])
        )
    return "\n\n".join(parts) + "\n"


def _row(value: Value, form: str) -> str:
    cells = (f"`{value.key}`", form, f"`{json.dumps(value.default)}`", value.text)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main() -> None:
    """Write the reference."""
    root = Path(__file__).resolve().parent.parent
    (root / PAGE).write_text(page(root), "utf-8")


if __name__ == "__main__":
    main()
