"""The logins of the database as Kubernetes Secrets, from Secrets Manager: ``make database-secrets``.

With ``--owner`` the login of the owner is among them, which makes users and databases and is then taken away again.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

import boto3
import yaml
from botocore.exceptions import BotoCoreError, ClientError

from ops.command import says_errors
from ops.environment import here
from ops.terraform import TerraformError, outputs

MAINTENANCE = "postgres"
"""The database that every Postgres has, to log in to where there is no other yet."""


def manifest(logins: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """A list of Secrets, one a user: host, port, database, username and password."""
    return {"apiVersion": "v1", "kind": "List", "items": [_secret(user, login) for user, login in logins.items()]}


def read(made: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The login of each user, from where Terraform keeps it. Raises ``TerraformError`` where AWS does not give it."""
    return _given(made, made["database"]["user_secret_arns"])


def read_owner(made: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The login of the owner, from where RDS keeps it. Raises ``TerraformError`` where AWS does not give it."""
    database = made["database"]
    (login,) = _given(made, {"owner": database["owner_secret_arn"]}).values()
    place = {"host": database["host"], "port": str(database["port"]), "database": MAINTENANCE}
    return {"owner": {**place, **{key: login[key] for key in ("username", "password")}}}


def _given(made: Mapping[str, Any], arns: Mapping[str, str]) -> dict[str, dict[str, str]]:
    client: Any = boto3.session.Session().client("secretsmanager", region_name=made["lake"]["region"])
    try:
        return {
            user: json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
            for user, arn in sorted(arns.items())
        }
    except (BotoCoreError, ClientError) as error:
        raise TerraformError(
            f"Secrets Manager does not give the database's logins ({error}). It takes credentials of the environment's"
            " account that may read them."
        ) from error


def _secret(user: str, login: Mapping[str, str]) -> dict[str, Any]:
    name = f"trainyard-database-{user.replace('_', '-')}"
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": dict(login)}


@says_errors
def main() -> int:
    """Print the Secrets for kubectl to make; an error is a sentence and exit status 1."""
    options = argparse.ArgumentParser(description="Print the logins of the database as Kubernetes Secrets.")
    options.add_argument("--owner", action="store_true", help="that of the owner as well")
    wanted, made = options.parse_args(), outputs(here().root)
    logins = {**read(made), **(read_owner(made) if wanted.owner else {})}
    print(yaml.safe_dump(manifest(logins)), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
