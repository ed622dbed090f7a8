"""moto, a server of AWS's API on loopback, and what it holds. Started as a program it serves the port it is given."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket, FakeDeleteMarker
from moto.server import main

from ops.s3_servers import free_ports

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "123456789012"
"""The account of everything in moto."""
REGION = "us-east-1"
LOGIN = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "not-a-secret-of-anyone"}


@contextmanager
def running(log: Path) -> Iterator[str]:
    """A server with nothing in it but the policies that AWS writes; its address. Raises ``TimeoutError``."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", __name__, str(port)]
    with log.open("wb") as output:
        env = {**os.environ, "MOTO_IAM_LOAD_MANAGED_POLICIES": "true"}
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, env=env)
    try:
        _wait(url)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


def environment(url: str) -> dict[str, str]:
    """What leads a client of AWS to the server, to no configuration of the user's, and to nowhere else."""
    foreign = ("AWS_", "TF_VAR_", "TF_CLI_ARGS", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(foreign)}
    nowhere = {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }
    services = {f"AWS_ENDPOINT_URL{suffix}": url for suffix in ("", "_S3", "_STS", "_IAM")}
    return {**kept, **LOGIN, **nowhere, **services, "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "4"}


def client(url: str, service: str) -> Any:
    """A client of one service of the server."""
    keys = {name.lower(): value for name, value in LOGIN.items()}
    return boto3.session.Session(region_name=REGION, **keys).client(service, endpoint_url=url)  # type: ignore[call-overload]


def inventory(url: str) -> dict[str, list[str]]:
    """The names of what the server holds, by kind. A key that waits for its end is gone."""
    return {kind: sorted(names(client(url, kind.split()[0]))) for kind, names in KINDS.items()}


def _keys(kms: Any) -> list[str]:
    found = [kms.describe_key(KeyId=each["KeyId"])["KeyMetadata"] for each in kms.list_keys()["Keys"]]
    return [each["KeyId"] for each in found if each["KeyState"] != "PendingDeletion"]


def _named(answer: Mapping[str, Any], kind: str, name: str) -> list[str]:
    return [each[name] if name else each for each in answer[kind]]


def _kept(found: list[dict[str, Any]], name: str) -> list[str]:
    """Those that are not merely remembered."""
    return [each[name] for each in found if each["State"] != "deleted"]


KINDS: dict[str, Callable[[Any], list[str]]] = {
    "ec2 networks": lambda ec2: _named(ec2.describe_vpcs(), "Vpcs", "VpcId"),
    "ec2 subnets": lambda ec2: _named(ec2.describe_subnets(), "Subnets", "SubnetId"),
    "ec2 groups": lambda ec2: _named(ec2.describe_security_groups(), "SecurityGroups", "GroupId"),
    "ec2 routes": lambda ec2: _named(ec2.describe_route_tables(), "RouteTables", "RouteTableId"),
    "ec2 gateways": lambda ec2: _named(ec2.describe_internet_gateways(), "InternetGateways", "InternetGatewayId"),
    "ec2 addresses": lambda ec2: _named(ec2.describe_addresses(), "Addresses", "AllocationId"),
    "ec2 ways out": lambda ec2: _kept(ec2.describe_nat_gateways()["NatGateways"], "NatGatewayId"),
    "ec2 endpoints": lambda ec2: _kept(ec2.describe_vpc_endpoints()["VpcEndpoints"], "VpcEndpointId"),
    "ec2 templates": lambda ec2: _named(ec2.describe_launch_templates(), "LaunchTemplates", "LaunchTemplateName"),
    "s3 buckets": lambda s3: _named(s3.list_buckets(), "Buckets", "Name"),
    "ecr repositories": lambda ecr: _named(ecr.describe_repositories(), "repositories", "repositoryName"),
    "eks clusters": lambda eks: _named(eks.list_clusters(), "clusters", ""),
    "rds instances": lambda rds: _named(rds.describe_db_instances(), "DBInstances", "DBInstanceIdentifier"),
    "rds snapshots": lambda rds: _named(rds.describe_db_snapshots(), "DBSnapshots", "DBSnapshotIdentifier"),
    "rds subnets": lambda rds: _named(rds.describe_db_subnet_groups(), "DBSubnetGroups", "DBSubnetGroupName"),
    "iam roles": lambda iam: _named(iam.list_roles(), "Roles", "RoleName"),
    "iam providers": lambda iam: _named(iam.list_open_id_connect_providers(), "OpenIDConnectProviderList", "Arn"),
    "kms keys": _keys,
    "kms aliases": lambda kms: _named(kms.list_aliases(), "Aliases", "AliasName"),
    "logs groups": lambda logs: _named(logs.describe_log_groups(), "logGroups", "logGroupName"),
    "secretsmanager secrets": lambda secrets: _named(secrets.list_secrets(), "SecretList", "Name"),
}


def _wait(url: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"{url}/moto-api/", timeout=5):
                return
        except OSError as error:
            if time.monotonic() > end:
                raise TimeoutError(f"moto does not answer at {url}") from error
            time.sleep(0.2)


def serve(port: str) -> None:
    """Serve until the process is ended, with two faults of moto's made good.

    It takes every condition of a bucket's policy for one that does not hold, and refuses the request where it must
    not: so it asks no bucket's policy here. And it fails at a key that is emptied with the mark of a deletion on it.
    """
    FakeBucket.get_permission = lambda bucket, action, resource: PermissionResult.NEUTRAL  # type: ignore[method-assign]
    FakeDeleteMarker.dispose = lambda marker: None  # type: ignore[attr-defined]
    main(["--host", "127.0.0.1", "--port", port])


if __name__ == "__main__":
    serve(sys.argv[1])
