"""The page about AWS says of every command whether a test runs it, and adds its costs up."""

import re

from tests.platform.terraform import FOLDER, ROOT

PAGE = (ROOT / "docs/aws.md").read_text()
OVERRIDES = ROOT / "tests/integration/moto_overrides"
SUITE = ROOT / "tests/integration/test_plans_applied.py"


def test_every_block_of_commands_says_whether_a_test_runs_it() -> None:
    parts = re.sub(r"```yaml\n.*?```\n", "", PAGE, flags=re.DOTALL).split("\n```\n")

    before = [prose.strip().split("\n\n")[-1] for prose in parts[:-1:2]]

    assert len(before) >= 8
    for said in before:
        assert said.startswith(("*Run by `tests/", "*Not run in a test: ", "*What the verb does is run by `tests/"))


def test_the_commands_that_are_said_to_be_run_are_those_that_the_test_takes_from_the_page() -> None:
    sections = [section.partition("\n") for section in PAGE.split("\n## ")[1:]]
    said = {
        (path, heading)
        for heading, _, text in sections
        for path in re.findall(r"^\*Run by `(tests/[\w./]+)`", text, re.MULTILINE)
    }

    taken = {
        (path, heading)
        for path in {path for path, _ in said}
        for heading in re.findall(r'\bcommands\("(.+?)"\)', (ROOT / path).read_text())
    }

    assert said == taken != set()


def test_the_costs_of_an_idle_month_add_up() -> None:
    section = PAGE.split("## What an idle month costs\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")
    ]
    (*costs, total) = [(row[2].strip("*"), row[4].strip("*")) for row in rows[2:]]

    sums = [round(sum(float(cost[column]) for cost in costs), 2) for column in (0, 1)]

    assert sums == [float(each) for each in total]


def test_what_moto_does_not_know_is_listed() -> None:
    texts = "".join(path.read_text() for path in OVERRIDES.rglob("*.tf"))
    left_out = set(re.findall(r'^resource "(\w+)" "\w+" \{\n  for_each = \{\}', texts, re.MULTILINE))
    ignored = set(re.findall(r"ignore_changes = \[(\w+)\]", texts))
    (backend,) = re.findall(r'^BACKEND = "(.*)"$', SUITE.read_text(), re.MULTILINE)
    settings = set(re.findall(r"(?:\\n)?(\w+) = true", texts + backend))

    section = PAGE.split("## What moto does not know\n")[1]

    assert all(f"`{name}`" in section for name in left_out | ignored | settings)


def test_what_is_laid_over_is_there_to_be_laid_over() -> None:
    for path in OVERRIDES.rglob("moto_override.tf"):
        folder = FOLDER / path.parent.relative_to(OVERRIDES)
        shipped = "".join(each.read_text() for each in folder.glob("*.tf"))
        assert all(head in shipped for head in re.findall(r'^resource "\w+" "\w+"', path.read_text(), re.MULTILINE))


def test_the_autoscaler_is_that_of_the_clusters_version() -> None:
    (tag,) = re.findall(r"--set image.tag=v(\d+\.\d+)\.\d+", PAGE)
    versions = {
        re.search(r'^kubernetes_version = "(.*)"$', path.read_text(), re.MULTILINE)[1]  # type: ignore[index]
        for path in FOLDER.glob("*.tfvars")
    }

    assert versions == {tag}
