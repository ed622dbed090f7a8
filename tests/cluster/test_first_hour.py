"""The platform engineer's first hour, as its page has it: a second installation with Secrets and an S3 of its own.

The page's blocks are run as they stand, but for the names of one's own in them.
"""

import base64
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import boto3
import pytest

from ops.s3_servers import free_ports
from tests.cluster.pages import blocks, script
from tests.cluster.platform import Platform

pytestmark = pytest.mark.timeout(900)

NAMESPACE = "first-hour"
SMALL = "resources: {requests: {cpu: 10m}}"
"""What a server reserves, so that there is room beside the suite's platform."""
CODE = "https://git.example.org/me/trainyard.git"
ELSEWHERE = ("python -m ops.images --registry registry.example.org/trainyard\n", "for image in")
"""Lines that build and push images: they are on the node already."""
LATER = 'eval "$(python -m ops.images --registry trainyard --tags)"'
"""What a shell has kept from the first section when it comes to the others."""
ASK = """
import os, requests, time
pair = os.environ["MLFLOW_AUTH_ADMIN_USERNAME"], os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"]
def ask(what, asked, pair=pair):
    address, deadline = "http://trainyard-mlflow:5000/api/2.0/mlflow/experiments/" + what, time.monotonic() + 30
    while True:
        try:
            return requests.post(address, json=asked, auth=pair)
        except requests.ConnectionError:  # a Service leads to a new pod a moment after it is ready
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
"""
"""Code with which MLflow is asked from its own pod, as the user of the Secret unless another is given."""
SEARCH = 'ask("search", {"max_results": 9})'


@dataclass(frozen=True)
class Shell:
    """Runs what the page says, in a namespace of its own beside the suite's platform."""

    platform: Platform
    port: int

    def run(self, heading: str, only: str = "") -> str:
        """What the blocks under a heading print, those that have ``only`` in them. They are one script."""
        chosen = [block for block in blocks(heading) if only in block]
        assert chosen, f"{heading} has no block with {only}"
        return self.script("\n".join([LATER, *map(self.own, chosen)]))

    def own(self, block: str) -> str:
        """A block with this cluster's names in place of the examples."""
        kept = "".join(line for line in block.splitlines(keepends=True) if not line.startswith(ELSEWHERE))
        names = {
            'apply --image "$flows"': 'apply --trust-image --image "$flows"',  # it is on the node, in no registry
            CODE: "git://git.trainyard.svc/trainyard.git",
            "https://s3.example.org": "http://trainyard-minio.trainyard.svc:9000",
            "registry.example.org/": "",
            "my-bucket": NAMESPACE,
            "namespace trainyard": f"namespace {NAMESPACE}",
            'cpuRequest: "1", cpuLimit: "4", memory: 8Gi': "cpuRequest: 10m, cpuLimit: 1, memory: 512Mi",
            "AuthSecret: prefect-auth}": f"AuthSecret: prefect-auth, {SMALL}}}",
            "AuthSecret: mlflow-auth}": f"AuthSecret: mlflow-auth, {SMALL}}}\nworker: {{{SMALL}}}",
            "trainyard-prefect 4200": f"trainyard-prefect {self.port}:4200",
            "127.0.0.1:4200": f"127.0.0.1:{self.port}",
        }
        for example, own in names.items():
            kept = kept.replace(example, own)
        return kept

    def script(self, text: str) -> str:
        """What a script prints. The test fails with its last words where it fails."""
        return script(self.platform.root, text)

    def secret(self, name: str, key: str) -> str:
        """A value of a Secret."""
        found = self.script(f"kubectl --namespace {NAMESPACE} get secret {name} --output jsonpath='{{.data.{key}}}'")
        return base64.b64decode(found).decode()

    def prefect(self, command: str) -> str:
        """What a command of Prefect prints in the worker, which has the server's password from the Secret."""
        return self.script(f"kubectl --namespace {NAMESPACE} exec deployment/trainyard-worker -- prefect {command}")

    def mlflow(self, code: str) -> str:
        """What code prints in MLflow's pod, ``pair`` being the user and password of the Secret."""
        where = f"kubectl --namespace {NAMESPACE} exec --stdin deployment/trainyard-mlflow -- python3 -"
        return self.script(f"{where} <<'EOF'\n{ASK}{code}\nEOF").strip()


@pytest.fixture(scope="module")
def shell(cluster: Platform) -> Iterator[Shell]:
    client = boto3.client("s3")
    with suppress(client.exceptions.BucketAlreadyOwnedByYou):  # the cluster was kept
        client.create_bucket(Bucket=NAMESPACE)
    yield Shell(cluster, free_ports(1)[0])
    cluster.place.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")


@pytest.fixture(scope="module")
def installed(shell: Shell) -> str:
    """What the commands of the installation print. Its code is that of the suite's git server."""
    with shell.platform.undisturbed():
        return shell.run("On a Kubernetes of your own")


def test_the_page_installs_a_platform_whose_own_test_passes_and_deploys_to_it(installed: str) -> None:
    assert "Phase:          Succeeded" in installed
    assert "Deployed commit" in installed


def test_passwords_are_rotated_and_the_old_ones_are_refused(shell: Shell, installed: str) -> None:
    before = shell.secret("prefect-auth", "auth-string"), shell.secret("mlflow-auth", "password")

    shell.run("Rotate passwords", only="work-pool pause")
    paused = shell.prefect("work-pool inspect kubernetes")
    for only in ("secret prefect-auth", "secret mlflow-auth", "work-pool resume"):
        shell.run("Rotate passwords", only)

    after = shell.secret("prefect-auth", "auth-string"), shell.secret("mlflow-auth", "password")
    assert "is_paused=True" in paused
    assert "is_paused=True" not in shell.prefect("work-pool inspect kubernetes")
    assert not set(before) & set(after)
    assert shell.mlflow(f"print({SEARCH}.status_code)") == "200"
    assert shell.mlflow(f'pair = "admin", "{before[1]}"; print(ask("search", {{}}, pair).status_code)') == "401"


def test_a_lost_password_of_mlflow_is_replaced_by_the_one_of_the_secret(shell: Shell, installed: str) -> None:
    other = '{"stringData": {"password": "nobody-told-mlflow"}}'
    shell.script(f"kubectl --namespace {NAMESPACE} patch secret mlflow-auth --patch '{other}'")

    shell.run("Rotate passwords", only="rm /data/users.db")

    assert shell.secret("mlflow-auth", "password") == "nobody-told-mlflow"
    assert shell.mlflow(f"print({SEARCH}.status_code)") == "200"


def test_a_restored_backup_holds_what_was_there_and_nothing_later(shell: Shell, installed: str) -> None:
    shell.prefect("variable set before yes")
    shell.mlflow('ask("create", {"name": "before"}).raise_for_status()')
    shell.run("Back up and restore", only="../backup\n")
    shell.prefect("variable set after yes")
    shell.mlflow('ask("create", {"name": "after"}).raise_for_status()')

    shell.run("Back up and restore", only="kind: Pod")

    variables = shell.prefect("variable ls")
    assert "before" in variables
    assert "after" not in variables
    found = shell.mlflow(f'print(*[each["name"] for each in {SEARCH}.json()["experiments"]])')
    assert {"before", "after"} & set(found.split()) == {"before"}


def test_a_platform_installed_again_on_its_volumes_goes_on_where_it_was(shell: Shell, installed: str) -> None:
    shell.prefect("variable set kept yes")

    listed = shell.run("Uninstall and reinstall")
    shell.run("On a Kubernetes of your own", only="helm upgrade")

    assert "persistentvolumeclaim/trainyard-prefect" in listed
    assert "persistentvolumeclaim/trainyard-mlflow" in listed
    assert "kept" in shell.prefect("variable ls")
