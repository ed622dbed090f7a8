"""The guide ``docs/add-a-model.md`` is the diff that brought ``trip-fare``: here it is held to the files."""

import re
from pathlib import Path

import pytest

from ops.lint import repository

ROOT = Path(__file__).resolve().parents[2]
MODEL = "flows/models/trip_fare.py"
SEAM = ("flows/", "ops/", "infra/", "docker/", "benchmarks/", ".github/", "Makefile", "prefect.yaml")
"""What runs, builds, installs or measures: the rest is docs and tests."""


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def blocks() -> list[str]:
    """What the guide quotes of ``prefect.yaml``."""
    return re.findall(r"```yaml\n(.*?)```", text("docs/add-a-model.md"), re.DOTALL)


def test_the_guide_states_how_many_lines_the_diff_has() -> None:
    stated = re.search(r"(\d+) lines of `(\S+)`, (\d+) lines of\s+`prefect.yaml`", text("docs/add-a-model.md"))

    assert stated is not None
    assert stated.groups() == (
        str(len(text(MODEL).splitlines())),
        MODEL,
        str(sum(len(block.splitlines()) for block in blocks())),
    )


@pytest.mark.parametrize("block", blocks(), ids=("definitions", "deployments"))
def test_the_guide_quotes_prefect_yaml_as_it_is(block: str) -> None:
    assert block in text("prefect.yaml")


def test_no_other_line_knows_the_model() -> None:
    others = text("prefect.yaml")
    for block in blocks():
        others = others.replace(block, "")
    knows = [name for name in repository.files(ROOT) if name.startswith(SEAM) and _names(ROOT / name)]

    assert "fare" not in others
    assert sorted(knows) == [MODEL, "prefect.yaml"]


def _names(path: Path) -> bool:
    return any(name in path.read_bytes() for name in (b"trip-fare", b"trip_fare"))
