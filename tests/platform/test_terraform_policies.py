"""The check of policies finds what is too wide; that the shipped ones pass it is seen where they are applied."""

from typing import Any

import pytest

from tests.platform.terraform import FOLDER, REASONS, Document, faults, policies

RIGHT: Document = {
    "Sid": "ReadTheLake",
    "Effect": "Allow",
    "Action": ["s3:GetObject"],
    "Resource": ["arn:aws:s3:::lake/raw/*", "arn:aws:eks:r:1:nodegroup/trainyard/*"],
}


def test_a_policy_with_named_actions_and_resources_passes() -> None:
    assert faults({"Statement": [RIGHT]}) == []


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        ({"Action": "*"}, "ReadTheLake allows *: name the actions"),
        ({"Action": ["s3:GetObject", "s3:Put*"]}, "ReadTheLake allows s3:Put*: name the actions"),
        ({"Resource": "*"}, "ReadTheLake is about *, and no reason is stated"),
        ({"Resource": ["arn:aws:s3:::lake", "*"]}, "ReadTheLake is about *, and no reason is stated"),
        ({"Resource": "arn:aws:s3:::*"}, "ReadTheLake is about arn:aws:s3:::*, and no reason is stated"),
        ({"Resource": "arn:aws:s3:::*/raw"}, "ReadTheLake is about arn:aws:s3:::*/raw, and no reason is stated"),
        ({"Resource": "arn:aws:iam::1:role/*"}, "ReadTheLake is about arn:aws:iam::1:role/*, and no reason is stated"),
        ({"Resource": "arn:aws:rds:r:1:db:*"}, "ReadTheLake is about arn:aws:rds:r:1:db:*, and no reason is stated"),
        ({"Principal": {"AWS": "*"}}, "ReadTheLake is for everyone"),
    ],
)
def test_a_policy_broken_on_purpose_is_found(broken: dict[str, Any], fault: str) -> None:
    assert faults({"Statement": {**RIGHT, **broken}}) == [fault]


def test_what_a_policy_denies_may_be_wide() -> None:
    assert faults({"Statement": [{**RIGHT, "Effect": "Deny", "Action": "s3:*", "Resource": "*"}]}) == []


def test_policies_are_read_from_every_module_of_a_plan() -> None:
    role = {
        "address": "module.a.aws_iam_role.b",
        "type": "aws_iam_role",
        "mode": "managed",
        "values": {"assume_role_policy": '{"Statement": []}'},
    }
    lifecycle = {
        "address": "aws_ecr_lifecycle_policy.c",
        "type": "aws_ecr_lifecycle_policy",
        "mode": "managed",
        "values": {"policy": '{"rules": []}'},
    }
    endpoint = {
        "address": "aws_vpc_endpoint.d",
        "type": "aws_vpc_endpoint",
        "mode": "managed",
        "values": {"policy": '{"Statement": []}'},
    }
    module = {"resources": [lifecycle, endpoint], "child_modules": [{"resources": [role]}]}

    found = dict(policies({"prior_state": {"values": {"root_module": module}}}))

    assert found == {"module.a.aws_iam_role.b.assume_role_policy": {"Statement": []}}


def test_each_reason_is_that_of_a_statement() -> None:
    written = "".join(path.read_text() for path in FOLDER.rglob("*.tf"))

    assert all(f'"{name}"' in written for name in REASONS)
