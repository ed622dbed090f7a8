"""Terraform for the suites: the mark of tests that need it, and the policies it writes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops import terraform

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / terraform.FOLDER
REASONS = {
    "IamOfTheAccountDecides": "the policy of a key is about that key alone",
    "ListGroupsAndTypes": "AWS knows no resource for actions that list",
    "LogInToTheRegistry": "AWS knows no resource for the token of a registry",
}
"""The statements that name every resource, and why they must."""

NO_GRANT = {"aws_vpc_endpoint"}
"""What has a policy that lets nobody in: AWS's own, which lets everything through to where roles and buckets decide."""

requires_terraform = pytest.mark.skipif(terraform.terraform() is None, reason="terraform is not on PATH")

Document = dict[str, Any]


def policies(plan: dict[str, Any]) -> Iterator[tuple[str, Document]]:
    """Every policy in the state that a plan starts from, with the address of what has it."""
    for resource in resources(plan["prior_state"]["values"]["root_module"]):
        if resource["type"] in NO_GRANT:
            continue
        for name in ("policy", "assume_role_policy"):
            text = resource["values"].get(name)
            document = json.loads(text) if text and isinstance(text, str) else {}
            if resource["mode"] == "managed" and "Statement" in document:
                yield f"{resource['address']}.{name}", document


def resources(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every resource of a module and of those within it, as Terraform writes a state or a plan as JSON."""
    yield from module.get("resources", ())
    for child in module.get("child_modules", ()):
        yield from resources(child)


def faults(document: Document) -> list[str]:
    """What a policy allows too widely. What it denies may be as wide as it likes."""
    allowed = (each for each in listed(document["Statement"]) if each["Effect"] == "Allow")
    return [fault for statement in allowed for fault in _faults(statement)]


def _faults(statement: Document) -> Iterator[str]:
    name = statement.get("Sid") or "a statement without a name"
    if wide := [action for action in listed(statement.get("Action", "*")) if "*" in action]:
        yield f"{name} allows {', '.join(wide)}: name the actions"
    about = [] if "Principal" in statement and "Resource" not in statement else listed(statement.get("Resource", "*"))
    if (wide := [resource for resource in about if _is_wide(resource)]) and name not in REASONS:
        yield f"{name} is about {', '.join(wide)}, and no reason is stated"
    if "*" in json.dumps(statement.get("Principal", "")):
        yield f"{name} is for everyone"


def _is_wide(resource: str) -> bool:
    """Whether it names no bucket, or else nothing but a type: ``*``, ``arn:aws:s3:::*``, ``arn:aws:iam::1:role/*``."""
    of = resource.split(":", 5)
    name = of[-1].partition("/")[0] if "s3" in of else re.sub(r"^[\w-]+[:/]", "", of[-1])
    return re.search(r"\w", name) is None


def listed(found: Any) -> list[Any]:
    """A list, also of the one that JSON policies write without brackets."""
    return found if isinstance(found, list) else [found]
