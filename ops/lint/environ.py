"""Who reads the environment: what a run depends on must be a setting, typed, checked and reported."""

import ast
from pathlib import Path

from ops.lint.finding import Finding

READERS = ("flows/ml/settings.py", "flows/ml/serving.py")
"""The settings; and the code stored with a model, which runs where none of this repository is."""

_NAMES = frozenset({"environ", "environb", "getenv", "getenvb", "putenv"})


def check(root: Path) -> list[Finding]:
    """Every place in ``flows`` that reads the environment without being one of ``READERS``."""
    found = []
    for path in sorted((root / "flows").rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if name not in READERS:
            found += [
                Finding(name, line, f"reads the environment (os.{what}): make it a setting in {READERS[0]}")
                for line, what in reads(ast.parse(path.read_text("utf-8"), name))
            ]
    return found


def reads(tree: ast.AST) -> list[tuple[int, str]]:
    """Where a module names the environment, as line and name."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr=name) if name in _NAMES:
                found.append((node.lineno, name))
            case ast.ImportFrom(module="os", names=names):
                found += [(node.lineno, one.name) for one in names if one.name in _NAMES]
    return found
