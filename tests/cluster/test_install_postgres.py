"""The platform on Postgres, as its page has it: installed, upgraded, restored; and what it says where it cannot be.

The page's blocks are run as they stand, but for the names of one's own in them.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.kind import images
from tests.cluster import postgres
from tests.cluster.pages import DOCS, blocks, script
from tests.cluster.platform import Platform
from tests.cluster.postgres import PASSWORD, Postgres
from tests.cluster.release import HelmRefused, Release, namespace, release
from tests.integration.postgres import certificates

pytestmark = pytest.mark.timeout(900)

PAGE = DOCS / "postgres.md"
NAMESPACE = "on-postgres"
SECRETS = {"prefect": "database-prefect", "mlflow": "database-mlflow", "mlflow_users": "database-mlflow-users"}
SMALL = {
    **{part: {"resources": {"requests": {"cpu": "10m"}}} for part in ("prefect", "worker", "mlflow")},
    "jobs": {"cpuRequest": "10m", "memory": "512Mi", "scratch": "512Mi"},
}
SAID = 400.0
"""Seconds until a pod says what is wrong: it waits one minute for a server that does not answer."""
ELSEWHERE = {
    "minio.enabled": False,
    "lake.endpoint": "http://trainyard-minio.trainyard.svc:9000",
    "lake.existingSecret": "lake-keys",
    "worker.resources.requests.cpu": "64",  # it finds no node, and nothing is to be run
    "postgres.caConfigMap": "database-authority",
}
WRONG = "not-what-it-should-be"


@dataclass(frozen=True)
class Page:
    """Runs what the page says, in a namespace of its own beside the suite's platform."""

    platform: Platform
    database: Postgres
    folder: Path

    def run(self, heading: str, only: str = "") -> str:
        """What the blocks under a heading print, those that have ``only`` in them. They are one script."""
        chosen = [block for block in blocks(heading, PAGE) if only in block]
        assert chosen, f"{heading} has no block with {only}"
        return self.script("".join(map(self.own, chosen)))

    def own(self, block: str) -> str:
        """A block with this cluster's names in place of the examples."""
        names = {
            "--namespace trainyard": f"--namespace {NAMESPACE}",
            "db.example.org": self.database.host,
            "../": f"{self.folder}/",
        }
        for example, own in names.items():
            block = block.replace(example, own)
        return block

    def script(self, text: str) -> str:
        """What a script prints. The test fails with its last words where it fails."""
        env = {**self.platform.place.env(), "owner_password": PASSWORD}
        return script(self.platform.root, text, env)

    def kubectl(self, *argv: str) -> str:
        """Run kubectl in the namespace: what it printed."""
        return self.platform.place.kubectl(*argv, namespace=NAMESPACE)

    def names(self, kind: str) -> set[str]:
        """The names of the objects of a kind."""
        return {name.partition("/")[2] for name in self.kubectl("get", kind, "--output=name").split()}

    def passwords(self) -> dict[str, str]:
        """The password of each user, from its Secret."""
        made = Release(self.platform, NAMESPACE, "trainyard", {})
        return {user: made.secret(secret)["password"] for user, secret in SECRETS.items()}

    def prefect(self, command: str) -> str:
        """What a command of Prefect prints in the worker."""
        return self.kubectl("exec", "deployment/trainyard-worker", "--", "prefect", *command.split())


@pytest.fixture(scope="module")
def page(cluster: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A namespace with a Postgres, and what the page takes for granted: an authority, values, keys of the lake."""
    folder = tmp_path_factory.mktemp("page")
    with namespace(cluster, NAMESPACE) as name:
        database = postgres.started(cluster, name)
        (folder / "authority.pem").write_bytes(database.authority)
        values = {
            **SMALL,
            "images": images.own(cluster.root),
            "lake": {"endpoint": ELSEWHERE["lake.endpoint"], "existingSecret": "lake-keys", "prefix": NAMESPACE},
            "git": {"repository": "git://git.trainyard.svc/trainyard.git"},
        }
        (folder / "my-values.yaml").write_text(json.dumps(values))
        keys = {name: cluster.access.keys[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        release(cluster, name).keep_secret("lake-keys", keys)
        yield Page(cluster, database, folder)


@pytest.fixture(scope="module")
def installed(page: Page) -> str:
    """What the commands of the page's first sections print."""
    return page.run("Logins") + page.run("Install")


def test_the_page_installs_a_platform_whose_own_test_passes(page: Page, installed: str) -> None:
    said = page.platform.place.helm("test", "trainyard", f"--namespace={NAMESPACE}", "--logs", "--timeout=8m")

    assert "ended Completed: bucket trainyard keeps objects" in said
    assert f"kubectl --namespace {NAMESPACE} delete secret database-owner" in installed
    assert int(page.database.ask("prefect", "select count(*) from flow_run")) >= 1
    assert int(page.database.ask("mlflow", "select count(*) from experiments")) >= 1
    assert page.database.ask("mlflow_users", "select username from users") == "admin"


def test_nothing_of_the_making_of_users_is_left(page: Page, installed: str) -> None:
    assert not {name for kind in ("jobs", "serviceaccounts", "configmaps") for name in page.names(kind)} & {
        "trainyard-roles"
    }
    assert "database-owner" not in page.names("secrets")
    assert page.names("persistentvolumeclaims") == {"trainyard-prefect"}


def test_each_user_is_let_into_its_own_database_and_no_other(page: Page, installed: str) -> None:
    let_in = {
        (user, database)
        for user, password in page.passwords().items()
        for database in SECRETS
        if page.database.takes(user, password, database)
    }

    assert let_in == {(user, user) for user in SECRETS}


def test_no_password_is_in_a_manifest_or_a_log(page: Page, installed: str) -> None:
    seen = page.kubectl("get", "pods,deployments,configmaps,jobs", "--output=yaml")
    for pod in page.names("pods") - {"database"}:
        seen += page.kubectl("logs", pod, "--all-containers", "--tail=-1")
    seen += page.platform.place.helm("get", "all", "trainyard", f"--namespace={NAMESPACE}")

    assert [user for user, password in {**page.passwords(), "owner": PASSWORD}.items() if password in seen] == []


def test_passwords_are_rotated_with_everything_kept_and_the_old_ones_refused(page: Page, installed: str) -> None:
    page.prefect("variable set kept yes")
    before = page.passwords()

    page.run("Rotate the databases' passwords")

    assert not set(before.values()) & set(page.passwords().values())
    assert [user for user, password in before.items() if page.database.takes(user, password, user)] == []
    assert "kept" in page.prefect("variable ls")


def test_an_upgrade_without_the_owner_leaves_users_as_they_are(page: Page, installed: str) -> None:
    upgrade = (
        f"helm upgrade trainyard infra/helm/trainyard --namespace {NAMESPACE} --values {page.folder}/my-values.yaml"
        f" --values {page.folder}/postgres.yaml --set worker.concurrency=3 --wait --timeout 5m"
    )

    said = page.script(upgrade)

    assert "Users and databases in Postgres are left as they were: there is no Secret database-owner." in said
    assert "kubernetes" in page.prefect("work-pool inspect kubernetes")


def test_a_restored_backup_holds_what_was_there_and_nothing_later(page: Page, installed: str) -> None:
    page.prefect("variable set before yes")
    page.run("Back up and restore", only="pg_dump")
    page.prefect("variable set after yes")

    page.run("Back up and restore", only="pg_restore")

    variables = page.prefect("variable ls")
    assert "before" in variables
    assert "after" not in variables


@pytest.fixture(scope="module")
def bad(page: Page, installed: str) -> Mapping[str, Release]:
    """Releases that come up with a fault each, begun at once; the Secrets beside them have it."""
    right = Release(page.platform, NAMESPACE, "trainyard", {})
    names = ("refused", "away", "unknown", "users-refused")
    made = {name: release(page.platform, NAMESPACE, name) for name in names}
    login = right.secret("database-prefect")
    right.keep_secret("wrong-prefect", {**login, "password": WRONG})
    right.keep_secret("away-prefect", {**login, "host": "nowhere.example.org"})
    right.keep_secret("wrong-users", {**right.secret("database-mlflow-users"), "password": WRONG})
    right.keep_secret("wrong-owner", {**login, "database": "postgres", "username": "postgres", "password": WRONG})
    other = certificates()[0].decode()
    page.kubectl("create", "configmap", "other-authority", f"--from-literal=ca.crt={other}")
    wanted: dict[str, dict[str, Any]] = {
        "refused": {"postgres.prefectSecret": "wrong-prefect"},
        "away": {"postgres.prefectSecret": "away-prefect"},
        "unknown": {"postgres.prefectSecret": "database-prefect", "postgres.caConfigMap": "other-authority"},
        "users-refused": {"postgres.mlflowSecret": "database-mlflow", "postgres.mlflowUsersSecret": "wrong-users"},
    }
    for name, values in wanted.items():
        made[name].apply("install", values={**ELSEWHERE, **values})
    return made


@pytest.mark.parametrize(
    ("name", "server", "sentence"),
    [
        ("refused", "prefect", 'password authentication failed for user "prefect"). Correct the Secret wrong-prefect;'),
        ("away", "prefect", "trainyard: Postgres at nowhere.example.org:5432 does not answer ("),
        ("unknown", "prefect", "is not to be believed ("),
        ("users-refused", "mlflow", "refuses the login of mlflow_users to the database mlflow_users ("),
    ],
)
def test_a_login_that_cannot_be_is_a_sentence_and_the_last_word_of_the_pod(
    bad: Mapping[str, Release], name: str, server: str, sentence: str
) -> None:
    said = last_words(bad[name], server, sentence)

    assert sentence in said
    assert "Traceback" not in said
    assert WRONG not in said


def test_a_secret_that_was_taken_away_is_named(bad: Mapping[str, Release]) -> None:
    made = bad["refused"]
    made.kubectl("delete", "secret", "wrong-prefect")
    made.kubectl("delete", "pods", made.ours("prefect"), "--grace-period=1")

    assert "trainyard: the Secret wrong-prefect has no host" in last_words(made, "prefect", "has no host")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"postgres.prefectSecret": "none"},
            'postgres.prefectSecret names the Secret "none", which is not in namespace on-postgres.',
        ),
        (
            {"postgres.prefectSecret": "lake-keys"},
            'postgres.prefectSecret: the Secret "lake-keys" in namespace on-postgres has no value under "host".',
        ),
        (
            {"postgres.prefectSecret": "database-prefect", "postgres.caConfigMap": "none"},
            'postgres.caConfigMap names the ConfigMap "none", which is not in namespace on-postgres',
        ),
        ({"postgres.mlflowSecret": "database-mlflow"}, "postgres.mlflowSecret and postgres.mlflowUsersSecret belong"),
    ],
)
def test_what_is_not_there_is_refused_by_helm(page: Page, installed: str, values: dict[str, Any], said: str) -> None:
    with pytest.raises(HelmRefused) as refused:
        release(page.platform, NAMESPACE, "absent").apply("install", values={**ELSEWHERE, **values})

    assert said in str(refused.value)


def test_an_owner_whose_password_is_wrong_ends_the_installation_with_the_sentence(
    page: Page, bad: Mapping[str, Release]
) -> None:
    made = release(page.platform, NAMESPACE, "no-owner")
    values = {"postgres.prefectSecret": "database-prefect", "postgres.ownerSecret": "wrong-owner"}

    with pytest.raises(HelmRefused, match="failed pre-install"):
        made.apply("install", values={**ELSEWHERE, **values})

    said = page.kubectl("logs", "job/no-owner-roles")
    assert "refuses the login of postgres to the database postgres (" in said
    assert "Correct the Secret wrong-owner;" in said
    assert made.get("deployments") == []


def last_words(made: Release, component: str, sentence: str) -> str:
    """What the check of the logins in a pod ended with, once it holds a sentence or time is up."""
    deadline, said = time.monotonic() + SAID, ""
    while sentence not in said and time.monotonic() < deadline:
        states = [
            state["terminated"].get("message", "")
            for pod in made.get("pods", component)
            for each in pod["status"].get("initContainerStatuses", [])
            if each["name"] == "logins"
            for state in (each["state"], each.get("lastState", {}))
            if "terminated" in state
        ]
        said = max(states, default="", key=lambda text: sentence in text)
        time.sleep(1)
    return said
