"""The root of Terraform reads as it should: module calls, described variables, an environment a file."""

import re
from pathlib import Path

import pytest
import yaml

from ops import chart_values
from ops.terraform import VALUES
from tests.platform.terraform import FOLDER, ROOT

ENVIRONMENTS = ("staging", "production")
TEXTS = {path.relative_to(FOLDER).as_posix(): path.read_text() for path in FOLDER.rglob("*.tf")}


def blocks(text: str) -> list[tuple[str, str]]:
    """The blocks at the top of a file, each as its head and its body."""
    return re.findall(r"^([a-z][^\n]*) \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)


def assigned(path: Path) -> dict[str, str]:
    """What a file of variables sets at its top."""
    return dict(re.findall(r"^(\w+) += +(.+)$", path.read_text(), re.MULTILINE))


def test_the_root_is_a_table_of_contents_that_opens_with_its_charter() -> None:
    text = TEXTS["main.tf"]

    assert text.startswith("# The AWS account under a Trainyard")
    assert {head.split()[0] for head, _ in blocks(text)} == {"module"}


@pytest.mark.parametrize("name", sorted(name for name in TEXTS if name.endswith("variables.tf")))
def test_every_variable_has_a_type_and_a_description(name: str) -> None:
    for head, body in blocks(TEXTS[name]):
        assert head.startswith("variable")
        assert re.search(r"^  description += \".{10,}\.\"$", body, re.MULTILINE), head
        assert re.search(r"^  type +=", body, re.MULTILINE), head


@pytest.mark.parametrize("name", sorted(name for name in TEXTS if name.endswith("outputs.tf")))
def test_every_output_has_a_description(name: str) -> None:
    for head, body in blocks(TEXTS[name]):
        assert "  description = " in body, head


@pytest.mark.parametrize("name", sorted(name for name in TEXTS if name.endswith("versions.tf")))
def test_terraform_and_provider_are_pinned_everywhere(name: str) -> None:
    assert 'required_version = ">= 1.11.0"' in TEXTS[name]
    assert 'version = "5.100.0"' in TEXTS[name]


def test_the_lock_holds_hashes_of_the_pinned_provider_alone() -> None:
    lock = (FOLDER / ".terraform.lock.hcl").read_text()

    assert re.findall(r'^provider "(.+)"', lock, re.MULTILINE) == ["registry.terraform.io/hashicorp/aws"]
    assert re.findall(r'^  version += "(.+)"', lock, re.MULTILINE) == ["5.100.0"]
    assert len(re.findall(r'^    "(?:h1|zh):', lock, re.MULTILINE)) > 1


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_sets_every_variable_without_a_default(environment: str) -> None:
    known = {head.split('"')[1]: body for head, body in blocks(TEXTS["variables.tf"])}
    needed = {name for name, body in known.items() if not re.search(r"^  default", body, re.MULTILINE)}

    given = set(re.findall(r"^(\w+) +=", (FOLDER / f"{environment}.tfvars").read_text(), re.MULTILINE))

    assert needed <= given <= set(known)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_state_of_an_environment_is_in_its_own_bucket(environment: str) -> None:
    given = assigned(FOLDER / f"{environment}.tfvars")
    account = given["account_id"].strip('"')

    kept = assigned(FOLDER / f"{environment}.tfbackend")

    assert kept == {"bucket": f'"trainyard-{environment}-state-{account}"', "region": given["region"]}


def test_two_environments_share_neither_account_nor_addresses() -> None:
    given = [assigned(FOLDER / f"{environment}.tfvars") for environment in ENVIRONMENTS]

    assert all(given[0][name] != given[1][name] for name in ("environment", "account_id", "network_cidr"))


def test_outputs_bear_the_names_of_the_charts_values() -> None:
    values = yaml.safe_load((ROOT / chart_values.VALUES).read_text())
    outputs = {head.split('"')[1]: body for head, body in blocks(TEXTS["outputs.tf"])}

    for name in VALUES:
        keys = re.findall(r"(\w+) += ", outputs[name].partition("value ")[2].partition("{")[2])
        assert keys
        assert set(keys) <= {*values[name]}, name
