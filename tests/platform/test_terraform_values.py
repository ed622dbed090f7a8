"""The values file that Terraform's outputs become, and the chart rendered from it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops import database_secrets, terraform
from tests.platform import chart
from tests.platform.terraform import ROOT

ROLE = "arn:aws:iam::111122223333:role/trainyard-staging"
REGISTRY = "111122223333.dkr.ecr.us-east-1.amazonaws.com/trainyard-staging"
MADE: dict[str, Any] = {
    "cluster": "trainyard-staging",
    "registry": REGISTRY,
    "git": {"repository": "https://github.com/acme/trainyard.git"},
    "lake": {"bucket": "trainyard-staging-lake-111122223333", "region": "us-east-1"},
    "jobs": {"serviceAccountAnnotations": {"eks.amazonaws.com/role-arn": f"{ROLE}-jobs"}},
    "deploy": {
        "environment": "staging",
        "serviceAccountAnnotations": {"eks.amazonaws.com/role-arn": f"{ROLE}-deploys"},
    },
    "reconcile": {"serviceAccountAnnotations": {"eks.amazonaws.com/role-arn": f"{ROLE}-reconcile"}},
    "mlflow": {"serviceAccountAnnotations": {"eks.amazonaws.com/role-arn": f"{ROLE}-mlflow"}},
    "postgres": {
        "prefectSecret": "trainyard-database-prefect",
        "mlflowSecret": "trainyard-database-mlflow",
        "mlflowUsersSecret": "trainyard-database-mlflow-users",
        "ownerSecret": "trainyard-database-owner",
        "caConfigMap": "trainyard-database-authority",
    },
    "database": {
        "host": "trainyard-staging.example.us-east-1.rds.amazonaws.com",
        "port": 5432,
        "owner_secret_arn": "arn:owner",
        "user_secret_arns": {user: f"arn:{user}" for user in ("mlflow", "mlflow_users", "prefect")},
    },
}


def test_values_are_the_outputs_and_the_images_of_the_checkout_in_the_registry() -> None:
    values = terraform.values(ROOT, MADE)

    assert {name: values[name] for name in terraform.VALUES} == {name: MADE[name] for name in terraform.VALUES}
    assert {name: reference.rpartition(":")[0] for name, reference in values["images"].items()} == {
        name: f"{REGISTRY}/{name}" for name in ("flows", "server", "mlflow")
    }


@chart.requires_helm
def test_the_chart_renders_from_the_values() -> None:
    objects = chart.render(terraform.values(ROOT, MADE))

    accounts = {
        each["metadata"]["name"]: each["metadata"].get("annotations", {}) for each in objects.of("ServiceAccount")
    }
    assert accounts["trainyard-jobs"] == {"eks.amazonaws.com/role-arn": f"{ROLE}-jobs"}
    assert accounts["trainyard-deploy"] == {"eks.amazonaws.com/role-arn": f"{ROLE}-deploys"}
    assert accounts["trainyard-reconcile"] == {"eks.amazonaws.com/role-arn": f"{ROLE}-reconcile"}
    assert accounts["trainyard-mlflow"] == {"eks.amazonaws.com/role-arn": f"{ROLE}-mlflow"}
    assert objects.one("ConfigMap", "-deploy")["data"]["environment"] == "staging"
    assert objects.one("ConfigMap", "-lake")["data"] == {"AWS_DEFAULT_REGION": "us-east-1"}
    assert not [each for each in objects.of("Secret") if each["metadata"]["name"].endswith("-lake")]
    roles = objects.one("Job", "-roles")["spec"]["template"]["spec"]["containers"][0]
    assert roles["args"][2:] == [
        f"trainyard-database-{name}" for name in ("owner", "prefect", "mlflow", "mlflow-users")
    ]
    assert {"name": "PGSSLMODE", "value": "verify-full"} in roles["env"]


def test_the_file_is_named_after_the_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    printed = json.dumps({name: {"value": value} for name, value in MADE.items()})
    monkeypatch.setattr(terraform, "run", lambda *arguments, **options: printed)
    monkeypatch.setattr(terraform, "images", lambda root, registry: ())

    path = terraform.write(tmp_path)

    assert path == tmp_path / ".trainyard" / "values-trainyard-staging.yaml"
    assert yaml.safe_load(path.read_text())["lake"] == MADE["lake"]


def test_a_root_that_was_not_applied_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terraform, "run", lambda *arguments, **options: "{}")

    with pytest.raises(terraform.TerraformError, match=r"has no output .*: apply it first \(docs/aws.md\)"):
        terraform.outputs(ROOT)


def test_without_terraform_the_verb_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terraform, "terraform", lambda: None)

    status = terraform.main()

    assert status == 1
    assert capsys.readouterr().err == f"trainyard: {terraform.MISSING}\n"


def test_each_login_becomes_a_secret_of_its_own() -> None:
    login = {"host": "db.example.org", "port": "5432", "database": "mlflow_users", "username": "mlflow_users"}

    (secret,) = database_secrets.manifest({"mlflow_users": login})["items"]

    assert secret["metadata"] == {"name": "trainyard-database-mlflow-users"}
    assert secret["stringData"] == login


def test_the_secrets_are_those_that_the_chart_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"username": "someone", "password": "made-by-aws", "engine": "postgres"}
    monkeypatch.setattr(database_secrets, "_given", lambda made, arns: dict.fromkeys(arns, kept))

    made = database_secrets.manifest({**database_secrets.read(MADE), **database_secrets.read_owner(MADE)})["items"]

    secrets = {each["metadata"]["name"]: each["stringData"] for each in made}
    told = terraform.values(ROOT, MADE)["postgres"]
    assert set(secrets) == {name for key, name in told.items() if key.endswith("Secret")}
    assert secrets["trainyard-database-owner"] == {
        "host": MADE["database"]["host"],
        "port": "5432",
        "database": "postgres",
        "username": "someone",
        "password": "made-by-aws",
    }


def test_the_output_of_the_root_has_the_names_that_are_tested_here() -> None:
    text = (ROOT / terraform.FOLDER / "outputs.tf").read_text()

    block = text.split('output "postgres" {')[1].split("\n}\n")[0]

    assert dict(re.findall(r'(\w+) += "(trainyard-[\w-]+)"', block)) == MADE["postgres"]
