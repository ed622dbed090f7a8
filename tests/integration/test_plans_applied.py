"""Terraform makes an account that moto pretends to be, by the commands of docs/aws.md, and takes all of it away again.

What moto does not know is left out by the files of tests/integration/moto_overrides, laid upon a copy of the root.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops import database_secrets, terraform
from tests.integration import moto_server
from tests.platform import chart
from tests.platform.terraform import ROOT, faults, policies, requires_terraform

pytestmark = [requires_terraform, pytest.mark.timeout(900)]

OVERRIDES = ROOT / "tests/integration/moto_overrides"
PAGE = ROOT / "docs/aws.md"
EXAMPLE_ACCOUNT = "111122223333"
ROLES = {"jobs": "jobs", "mlflow": "mlflow", "deploy": "deploys", "reconcile": "reconcile"}
"""The roles by the service accounts that have them."""
TIDIED = {"raw", "quarantine", "candidates", "decisions", "predictions"}
"""The folders of the lake in which a reconcile may delete."""
BACKEND = "use_path_style = true\nskip_region_validation = true\n"


@dataclass(frozen=True)
class Account:
    """An account in moto with a checkout whose Terraform leads there; what it held before; what was applied."""

    url: str
    root: Path
    env: dict[str, str]
    before: dict[str, list[str]]

    def bash(self, script: str) -> str:
        """What commands printed that a person would type in the checkout."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.root,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout

    def plan(self, *options: str) -> subprocess.CompletedProcess[str]:
        """A plan of staging; its status is 2 where something would change."""
        command = ["terraform", "plan", "-no-color", "-input=false", "-detailed-exitcode", "-var-file=staging.tfvars"]
        return subprocess.run(
            [*command, *options],
            cwd=self.root / terraform.FOLDER,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )


def commands(heading: str) -> str:
    """The commands under a heading of the page."""
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"```\n(.*?)```", section, re.DOTALL))


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An account in moto, to which the page's commands were applied."""
    folder = tmp_path_factory.mktemp("account")
    terraform.initialise(ROOT)
    checkout(folder)
    with moto_server.running(folder / "moto.log") as url:
        providers = Path(terraform.checking(ROOT)["TF_DATA_DIR"]) / "providers"
        env = moto_server.environment(url) | {
            "CHECKPOINT_DISABLE": "1",
            "TF_CLI_ARGS": "-no-color",
            "TF_CLI_ARGS_apply": "-auto-approve -input=false",
            "TF_CLI_ARGS_destroy": "-auto-approve -input=false",
            "TF_CLI_ARGS_init": f"-force-copy -input=false -plugin-dir={providers}",
        }
        made = Account(url, folder, env, moto_server.inventory(url))
        made.bash(commands("The state's own bucket"))
        made.bash(commands("The account"))
        yield made


def checkout(folder: Path) -> None:
    """What the commands need of the repository, with the account's number where a person would put it."""
    ignored = shutil.ignore_patterns(".terraform", "*.tfstate*", "first_override.tf")
    shutil.copytree(ROOT / terraform.FOLDER, folder / terraform.FOLDER, ignore=ignored)
    shutil.copytree(OVERRIDES, folder / terraform.FOLDER, dirs_exist_ok=True)
    shutil.copytree(ROOT / "docker", folder / "docker")
    (folder / "flows").mkdir()
    shutil.copy(ROOT / "flows/requirements.txt", folder / "flows")
    for name in ("staging.tfvars", "staging.tfbackend"):
        path = folder / terraform.FOLDER / name
        path.write_text(path.read_text().replace(EXAMPLE_ACCOUNT, moto_server.ACCOUNT))
    with (folder / terraform.FOLDER / "staging.tfbackend").open("a") as backend:
        backend.write(BACKEND)


@pytest.fixture(scope="module")
def made(account: Account) -> dict[str, Any]:
    """The outputs."""
    printed = json.loads(account.bash("terraform -chdir=infra/terraform output -json"))
    return {name: output["value"] for name, output in printed.items()}


@pytest.fixture(scope="module")
def second(account: Account) -> dict[str, Any]:
    """The plan that follows the apply, which changes nothing."""
    done = account.plan("-out=second.plan")
    assert done.returncode == 0, done.stdout + done.stderr
    plan: dict[str, Any] = json.loads(account.bash("cd infra/terraform && terraform show -json second.plan"))
    return plan


@pytest.fixture(scope="module")
def logins(account: Account, made: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The logins of the database, read as the verb reads them."""
    secrets = moto_server.client(account.url, "secretsmanager")
    arns = made["database"]["user_secret_arns"]
    return {user: json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"]) for user, arn in arns.items()}


def test_a_second_plan_is_empty(second: dict[str, Any]) -> None:
    changed = [each["address"] for each in second["resource_changes"] if each["change"]["actions"] != ["no-op"]]

    assert [address for address in changed if ".data." not in address and not address.startswith("data.")] == []


def test_every_policy_names_what_it_allows(second: dict[str, Any]) -> None:
    found = {address: faults(document) for address, document in policies(second)}

    assert {address: wrong for address, wrong in found.items() if wrong} == {}


def test_every_statement_that_is_written_was_read(second: dict[str, Any]) -> None:
    texts = [path.read_text() for path in (ROOT / terraform.FOLDER).rglob("*.tf")]
    written = {name for text in texts for name in re.findall(r'^ +sid += "(\w+)"$', text, re.MULTILINE)}

    read = {statement.get("Sid") for _, document in policies(second) for statement in document["Statement"]}

    assert read == written


def test_policies_of_aws_are_attached_to_the_clusters_own_roles_alone(second: dict[str, Any]) -> None:
    attached = set(re.findall(r'arn:aws:iam::aws:policy/([\w/-]+)"', json.dumps(second["prior_state"])))

    assert {name.rpartition("/")[2] for name in attached} == {
        "AmazonEBSCSIDriverPolicy",
        "AmazonEC2ContainerRegistryPullOnly",
        "AmazonEKSClusterPolicy",
        "AmazonEKSWorkerNodePolicy",
        "AmazonEKS_CNI_Policy",
    }


def test_flow_runs_mlflow_and_deploys_write_no_folder_of_each_other(second: dict[str, Any]) -> None:
    found = dict(policies(second))

    def objects(role: str, policy: str, action: str = "s3:GetObject") -> set[str]:
        document = found[f'module.identity.module.{role}.aws_iam_role_policy.own["{policy}"].policy']
        resources = json.dumps([each["Resource"] for each in document["Statement"] if action in each["Action"]])
        return set(re.findall(r"lake-\d+/(\w+)/\*", resources))

    for action in ("s3:GetObject", "s3:PutObject"):
        assert objects("mlflow", "artifacts", action) == {"mlflow"}
        assert objects("deploys", "records", action) == {"deploys"}
    assert objects("reconcile", "lake") == {*TIDIED, "ledger", "marks", "deploys"}
    assert objects("reconcile", "lake", "s3:DeleteObject") == TIDIED
    assert objects("jobs", "lake", "s3:DeleteObject") == {"smoke"}
    assert objects("jobs", "lake") - objects("jobs", "lake", "s3:PutObject") == {"deploys"}
    assert objects("jobs", "lake", "s3:PutObject") == {
        "raw",
        "quarantine",
        "candidates",
        "decisions",
        "ledger",
        "results",
        "smoke",
        "marks",
        "monitoring",
        "predictions",
    }


def test_each_user_of_the_database_has_a_password_of_its_own(logins: dict[str, dict[str, str]]) -> None:
    assert {user: login["username"] for user, login in logins.items()} == {
        user: user for user in ("prefect", "mlflow", "mlflow_users")
    }
    assert len({login["password"] for login in logins.values()}) == 3
    assert all(len(login["password"]) == 40 for login in logins.values())


def test_no_password_is_in_state_or_plan(
    account: Account, made: dict[str, Any], second: dict[str, Any], logins: dict[str, dict[str, str]]
) -> None:
    state = (
        moto_server.client(account.url, "s3").get_object(Bucket=made["state"], Key="trainyard.tfstate")["Body"].read()
    )

    assert b"secret_string_wo" in state
    for login in logins.values():
        assert login["password"] not in state.decode()
        assert login["password"] not in json.dumps(second)


def test_the_verb_reads_the_logins_for_the_cluster(
    account: Account, made: dict[str, Any], logins: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in account.env.items():
        monkeypatch.setenv(name, value)

    secrets = database_secrets.manifest(database_secrets.read(made))["items"]

    assert {each["metadata"]["name"]: each["stringData"] for each in secrets} == {
        f"trainyard-database-{user.replace('_', '-')}": login for user, login in logins.items()
    }


def test_the_owners_login_is_whole_where_it_is_asked_for(
    account: Account, made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in account.env.items():
        monkeypatch.setenv(name, value)

    login = database_secrets.read_owner(made)["owner"]

    database = made["database"]
    assert (login["host"], login["port"], login["database"]) == (database["host"], str(database["port"]), "postgres")
    assert set(login) == {"host", "port", "database", "username", "password"}


def test_logins_that_are_not_given_out_end_in_a_sentence(
    account: Account, made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in account.env.items():
        monkeypatch.setenv(name, value)
    gone = {
        **made,
        "database": {"user_secret_arns": {"prefect": made["database"]["user_secret_arns"]["prefect"] + "x"}},
    }

    with pytest.raises(terraform.TerraformError, match="Secrets Manager does not give the database's logins"):
        database_secrets.read(gone)


def test_the_values_file_is_written_from_the_outputs(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in account.env.items():
        monkeypatch.setenv(name, value)

    path = terraform.write(account.root)

    text = path.read_text()
    assert path.name == "values-trainyard-staging.yaml"
    assert f"bucket: trainyard-staging-lake-{moto_server.ACCOUNT}" in text
    assert f"{moto_server.ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/trainyard-staging/flows:" in text


@chart.requires_helm
def test_the_chart_renders_from_what_was_made(account: Account, made: dict[str, Any]) -> None:
    objects = chart.render(terraform.values(account.root, made), release=made["release"])

    accounts = {
        each["metadata"]["name"]: each["metadata"].get("annotations", {}) for each in objects.of("ServiceAccount")
    }
    role = "eks.amazonaws.com/role-arn"
    roles = {name: said[role].rpartition("/")[2] for name, said in accounts.items() if role in said}
    assert roles == {f"trainyard-{each}": f"trainyard-staging-{role}" for each, role in ROLES.items()}


def test_a_second_apply_at_once_is_refused_by_the_lock(account: Account, made: dict[str, Any]) -> None:
    s3 = moto_server.client(account.url, "s3")
    lock = {"ID": "1", "Operation": "OperationTypeApply", "Info": "", "Who": "another", "Version": "", "Path": ""}
    s3.put_object(Bucket=made["state"], Key="trainyard.tfstate.tflock", Body=json.dumps(lock).encode())
    try:
        done = account.plan()
    finally:
        s3.delete_object(Bucket=made["state"], Key="trainyard.tfstate.tflock")

    assert done.returncode == 1
    assert "Error acquiring the state lock" in done.stderr


def test_bad_input_is_refused_with_a_sentence_each(account: Account) -> None:
    bad = ("environment=test", "account_id=12", "region=moon", "github_repository=acme/*", 'zones=["us-east-1a"]')

    done = account.plan(*(option for each in bad for option in ("-var", each)))

    said = " ".join(re.sub(r"[│╷╵\s]+", " ", done.stderr).split())
    assert done.returncode == 1
    assert "environment must be staging or production" in said
    assert "account_id must be the 12 digits of an AWS account" in said
    assert "region must be a region of AWS" in said


@pytest.mark.parametrize(
    ("variable", "sentence"),
    [
        ("network_cidr=10.0.0.0/28", "network_cidr must be an IPv4 range of /16 to /20"),
        ("kept_images=1", "kept_images must be a whole number of 10 or more"),
        ("quarantine_days=1", "quarantine_days must be 30 or more"),
        ("database={postgres_version=17,instance_class=\"db.t4g.small\",storage_gib=20,standby=false,backup_days=7,"
         "password_version=0}", "database.password_version must be a whole number from 1 on"),
    ],
)  # fmt: skip
def test_a_variable_out_of_range_is_refused_by_its_module(account: Account, variable: str, sentence: str) -> None:
    done = account.plan("-var", variable)

    assert done.returncode == 1
    assert sentence in " ".join(re.sub(r"[│╷╵\s]+", " ", done.stderr).split())


def test_nothing_that_a_destroy_takes_is_allowed_in_production(account: Account) -> None:
    done = account.plan("-var", "environment=production")

    assert done.returncode == 1
    assert "disposable must be false in production" in " ".join(done.stderr.split())


def test_credentials_of_another_account_are_refused(account: Account) -> None:
    done = account.plan("-var", f"account_id={EXAMPLE_ACCOUNT}")

    assert done.returncode == 1
    assert f"AWS account ID not allowed: {moto_server.ACCOUNT}" in done.stderr


def test_a_destroy_leaves_nothing(account: Account, made: dict[str, Any]) -> None:
    there = moto_server.inventory(account.url)

    printed = account.bash(commands("To remove an environment"))

    assert all(len(there[kind]) > len(account.before[kind]) for kind in there if kind != "rds snapshots")
    assert re.search(r"Destroy complete! Resources: \d+ destroyed", printed)
    assert moto_server.inventory(account.url) == account.before
