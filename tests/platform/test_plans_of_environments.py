"""The shipped environments, each of its own .tfvars: what they hold is protected, no role may do more than it must."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.platform.terraform import ROOT, Document, requires_terraform
from tests.platform.terraform_made import Made, make, pretend
from tests.platform.test_terraform_root import ENVIRONMENTS

pytestmark = [requires_terraform, pytest.mark.timeout(600)]

ACTIONS = yaml.safe_load((ROOT / "tests/platform/terraform_actions.yaml").read_text())
DOCUMENT = ".data.aws_iam_policy_document"
ELSEWHERE = re.compile(r"^module\.(lake|state)\.|\.module\.key\.|\.trust\b|\.github$")
"""Policies of buckets and keys, and whom a role believes: other tests are about these."""
SUBJECTS = {
    "module.addons.module.autoscaler": "system:serviceaccount:kube-system:cluster-autoscaler",
    "module.addons.module.ebs_csi": "system:serviceaccount:kube-system:ebs-csi-controller-sa",
    "module.identity": "repo:acme/trainyard:environment:{environment}",
    "module.identity.module.deploys": "system:serviceaccount:trainyard:trainyard-deploy",
    "module.identity.module.jobs": "system:serviceaccount:trainyard:trainyard-jobs",
    "module.identity.module.mlflow": "system:serviceaccount:trainyard:trainyard-mlflow",
    "module.identity.module.reconcile": "system:serviceaccount:trainyard:trainyard-reconcile",
}


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(request.param, tmp_path_factory.mktemp("terraform") / request.param)


def statements(made: Made) -> Iterator[tuple[str, Document]]:
    """Every statement of every policy that is written here, with the address of its document."""
    for address, values in made.of("aws_iam_policy_document").items():
        for each in values["statement"]:
            yield address.replace(DOCUMENT, ""), each


def test_production_alone_outlives_a_destroy_and_has_a_standby(made: Made) -> None:
    database, production = made.one("aws_db_instance"), made.environment == "production"

    assert database["multi_az"] is database["deletion_protection"] is production
    assert database["skip_final_snapshot"] is database["delete_automated_backups"] is not production
    assert {each["force_destroy"] for each in made.of("aws_s3_bucket").values()} == {not production}
    assert {each["force_delete"] for each in made.of("aws_ecr_repository").values()} == {not production}


def test_every_bucket_has_all_that_the_module_of_buckets_gives(made: Made) -> None:
    buckets = {address.removesuffix(".aws_s3_bucket.this") for address in made.of("aws_s3_bucket")}

    assert buckets == {"module.lake.module.bucket", "module.lake.module.logs", "module.state.module.bucket"}


def test_what_the_platform_keeps_is_encrypted_by_keys_of_its_own(made: Made) -> None:
    (lake,) = made.of("aws_s3_bucket_server_side_encryption_configuration")[
        "module.lake.module.bucket.aws_s3_bucket_server_side_encryption_configuration.this"
    ]["rule"]
    database = made.one("aws_db_instance")
    secrets = made.of("aws_secretsmanager_secret").values()

    keys = {each["arn"] for each in made.of("aws_kms_key").values()}
    assert {
        lake["apply_server_side_encryption_by_default"][0]["kms_master_key_id"],
        made.one("aws_eks_cluster")["encryption_config"][0]["provider"][0]["key_arn"],
        database["kms_key_id"],
        database["master_user_secret_kms_key_id"],
        *(each["kms_key_id"] for each in secrets),
    } == keys
    assert database["storage_encrypted"]


def test_the_database_is_reached_through_the_group_of_the_nodes_alone(made: Made) -> None:
    group, rule = made.one("aws_security_group"), made.one("aws_vpc_security_group_ingress_rule")
    (network,) = made.one("aws_eks_cluster")["vpc_config"]

    assert made.one("aws_db_instance")["vpc_security_group_ids"] == [group["id"]]
    assert (group["ingress"], rule["security_group_id"]) == ([], group["id"])
    assert rule["referenced_security_group_id"] == network["cluster_security_group_id"]


def test_each_role_may_do_what_is_listed_and_nothing_more(made: Made) -> None:
    found: dict[str, dict[str, list[str]]] = {}
    for address, each in statements(made):
        if not ELSEWHERE.search(address):
            found.setdefault(address, {})[each["sid"]] = sorted(each["actions"])

    assert found == ACTIONS


def test_a_role_is_believed_of_one_subject_word_for_word(made: Made) -> None:
    federated = {
        address.rpartition(".")[0]: each["condition"]
        for address, each in statements(made)
        if any(who["type"] == "Federated" for who in each["principals"])
    }

    assert {each["test"] for conditions in federated.values() for each in conditions} == {"StringEquals"}
    found = {
        address: {each["variable"].rpartition(":")[2]: each["values"] for each in conditions}
        for address, conditions in federated.items()
    }
    assert found == {
        address: {"aud": ["sts.amazonaws.com"], "sub": [subject.format(environment=made.environment)]}
        for address, subject in SUBJECTS.items()
    }


def test_the_root_refuses_variables_that_its_modules_do_not_know(tmp_path: Path) -> None:
    pretend("refused", "staging", tmp_path / "terraform")
