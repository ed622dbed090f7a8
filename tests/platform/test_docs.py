"""What the docs say of the chart is what it renders: job variables, requests, rights, the values of the example."""

import re
from pathlib import Path

import pytest
import yaml

from tests.platform import chart
from tests.platform.flow_run_job import template

pytestmark = chart.requires_helm

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "first-hour-platform-engineer.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its head."""
    section = PAGE.split(f"\n## {heading}\n")[1]
    (table,) = re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)[:1]
    return [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table.splitlines()[2:]]


def test_every_job_variable_is_listed_with_its_default() -> None:
    variables = template(chart.case("default"))["variables"]["properties"]

    listed = {name.strip("`"): default.strip("`") for name, _, default in rows("The Job of a flow run")}

    assert set(listed) == set(variables)
    given = {name: str(each["default"]) for name, each in variables.items() if "default" in each}
    assert {name: listed[name] for name in given} == given


@pytest.mark.parametrize("component", ["prefect", "worker", "mlflow", "minio", "bootstrap", "reconcile"])
def test_requests_and_limits_are_listed(component: str) -> None:
    (cells,) = [row for row in rows("What runs") if row[0].startswith(f"`{component}")]
    pods = {name.rpartition(f"/{chart.RELEASE}-")[2]: spec for name, spec in chart.case("laptop").pods()}
    (spec,) = [spec for name, spec in pods.items() if name.startswith(component)]
    resources = spec["containers"][0]["resources"]

    requests = resources["requests"]
    assert cells[2] == f"{requests['cpu']}, {memory(requests['memory'])}"
    assert cells[3] == memory(resources["limits"]["memory"])


def memory(quantity: str) -> str:
    """A quantity as the page writes it."""
    return re.sub(r"^(\d+)(Mi|Gi)$", r"\1 \2B", quantity)


def test_rights_are_listed() -> None:
    listed = {account.strip("`"): text for account, _, text, _ in rows("Rights")}
    roles = {role["metadata"]["name"]: role["rules"] for role in chart.case("default").of("Role")}
    told = {
        name: [sorted(re.findall(r"\b(?:create|get|list|watch|delete)\b", part)) for part in listed[name].split(";")]
        for name in roles
    }

    accounts = {each["metadata"]["name"] for each in chart.case("on postgres").of("ServiceAccount")}
    assert set(listed) == {*accounts, "default"}
    assert {name: [verbs for verbs in parts if verbs] for name, parts in told.items()} == {
        name: [sorted(rule["verbs"]) for rule in rules] for name, rules in roles.items()
    }


def test_the_values_of_the_example_are_taken() -> None:
    (block,) = re.findall(r"cat > \S+ <<EOF\n(.*?)EOF\n", PAGE, re.DOTALL)
    for name, image in chart.IMAGES.items():
        block = block.replace(f"${name}", image)

    objects = chart.render(yaml.safe_load(block))

    assert objects.one("ConfigMap", "-lake")["data"]["AWS_ENDPOINT_URL"] == "https://s3.example.org"
    variables = template(objects)["variables"]["properties"]
    assert variables["memory"]["default"] == "8Gi"
