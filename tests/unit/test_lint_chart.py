"""The check of the chart's values: described, closed, known to both files, and their reference up to date."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops import chart, chart_values
from ops.chart_values import PAGE, SCHEMA, VALUES
from ops.lint import __main__ as lint
from ops.lint import chart as check
from ops.lint.finding import Finding, Skipped

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The chart and its reference, to be broken."""
    shutil.copytree(ROOT / chart.CHART, tmp_path / chart.CHART)
    (tmp_path / PAGE).parent.mkdir()
    shutil.copy(ROOT / PAGE, tmp_path / PAGE)
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def edit_schema(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    schema = json.loads((root / SCHEMA).read_text())
    change(schema)
    (root / SCHEMA).write_text(json.dumps(schema))


def test_the_charts_own_values_have_no_fault() -> None:
    assert check.values(ROOT) == []


def test_a_value_without_a_comment_is_found_at_its_line(copy: Path) -> None:
    edit(copy / VALUES, "  # -- Region of the bucket.\n", "")
    line = (copy / VALUES).read_text().splitlines().index("  region: us-east-1") + 1

    (found,) = check.values(copy)

    assert found == Finding(
        str(VALUES), line, "`lake.region` has no comment that says what it is for: `# -- …` above it"
    )


def test_a_comment_of_another_kind_describes_no_value(copy: Path) -> None:
    edit(copy / VALUES, "# -- Region of", "# Region of")

    (found,) = check.values(copy)

    assert "`lake.region` has no comment" in found.message


def test_a_value_the_schema_does_not_know_is_found_with_the_nearest(copy: Path) -> None:
    edit(copy / VALUES, "  region:", "  # -- Another.\n  regions: []\n  # -- Region.\n  region:")

    (found,) = check.values(copy)

    assert found.message == "`lake.regions` is not in values.schema.json; did you mean `lake.region`?"


def test_a_key_that_only_the_schema_has_is_found(copy: Path) -> None:
    edit_schema(copy, lambda schema: schema["properties"]["git"]["properties"].update({"branch": {"type": "string"}}))

    assert check.values(copy) == [Finding(str(SCHEMA), None, "`git.branch` is not in values.yaml")]


@pytest.mark.parametrize("part", ["git", "prefect"])
def test_a_section_of_the_schema_that_takes_any_key_is_found(copy: Path, part: str) -> None:
    edit_schema(copy, lambda schema: schema["properties"][part].pop("additionalProperties"))

    (found,) = check.values(copy)

    assert found.message == f"{part} takes any further key: `additionalProperties` must be false"


def test_a_definition_that_takes_any_key_is_found(copy: Path) -> None:
    edit_schema(copy, lambda schema: schema["definitions"]["storage"].update(additionalProperties=True))

    (found,) = check.values(copy)

    assert found.message.startswith("storage takes any further key")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (VALUES, "Region of the bucket.", "Where the bucket is."),
        (VALUES, "region: us-east-1", "region: eu-central-1"),
        (SCHEMA, '"minimum": 30000', '"minimum": 30001'),
        (PAGE, "Region", "Regions"),
    ],
    ids=["a comment", "a default", "a form", "the page itself"],
)
def test_a_reference_that_is_no_longer_true_is_found(copy: Path, file: Path, old: str, new: str) -> None:
    edit(copy / file, old, new)

    assert check.values(copy) == [
        Finding(str(PAGE), None, "is not what the chart's values and their schema say: make chart-docs")
    ]


def test_a_missing_reference_is_found(copy: Path) -> None:
    (copy / PAGE).unlink()

    (found,) = check.values(copy)

    assert "make chart-docs" in found.message


def test_a_comment_of_several_lines_is_one_text() -> None:
    (value,) = chart_values.values("# of the section\n# -- First\n# and second.\nkey: 1\n")

    assert value.text == "First and second."


def test_a_mapping_that_has_a_comment_is_one_value_and_others_are_sections() -> None:
    found = chart_values.values("a:\n  # -- Whole.\n  b: {c: 1}\n  d:\n    # -- Part.\n    e: 2\n")

    assert [(value.key, value.default) for value in found] == [("a.b", {"c": 1}), ("a.d.e", 2)]


def test_the_schema_wants_every_key_so_that_none_can_be_taken_away() -> None:
    schema = json.loads((ROOT / SCHEMA).read_text())
    sections = {"the whole": schema, **schema["properties"]}

    assert {name: sorted(part["required"]) for name, part in sections.items()} == {
        name: sorted(part["properties"]) for name, part in sections.items()
    }


def test_without_helm_the_check_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(Skipped, match="helm is not on PATH"):
        check.templates(ROOT)


@pytest.mark.parametrize(("options", "status"), [((), 0), (("--strict",), 1)])
def test_a_check_that_cannot_run_is_named_and_fails_only_where_all_must_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], status: int
) -> None:
    def cannot(root: Path) -> list[Finding]:
        raise Skipped("there is no helm")

    monkeypatch.setattr(lint, "CHECKS", {"chart": cannot})
    monkeypatch.setattr("sys.argv", ["lint", *options])

    found = lint.main()

    assert found == status
    assert capsys.readouterr().out.endswith("skipped: there is no helm\n")


def test_every_values_file_in_the_repository_is_of_a_profile() -> None:
    files = {file for profile in chart.values_files(ROOT).values() for file in profile}

    assert files == {*ROOT.glob("infra/**/values*.yaml")} - {ROOT / VALUES}


def test_the_oldest_kubernetes_is_read_from_the_chart(copy: Path) -> None:
    edit(copy / chart.CHART / "Chart.yaml", '">=1.29.0-0"', '"1.29"')

    assert chart.oldest_kubernetes(ROOT) == "1.29.0"
    with pytest.raises(ValueError, match=r"kubeVersion is '1\.29'"):
        chart.oldest_kubernetes(copy)
