"""No secret is to be seen anywhere but in a Secret: planted ones are searched for in everything that can be read."""

import base64
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

import pytest

from flows.ml.lake import connect
from ops import deploy as deploying
from tests.cluster import plants, seen
from tests.cluster.leaks import Text, leaks
from tests.cluster.platform import Platform
from tests.cluster.release import Release, namespace, release

pytestmark = pytest.mark.timeout(1200)

HERE = Path(__file__).parent
ODD = "+/=&%@:#?"
"""What is other in an address, in JSON, or in a shell."""
SECRETS = {
    "prefect.existingAuthSecret": "own-prefect",
    "mlflow.existingAuthSecret": "own-mlflow",
    "lake.existingSecret": "own-lake",
    "git.tokenSecret": "private-git",
    "images.pullSecrets": ["own-registry"],
    "prefect.noticeSecret": "own-notices",
    "reconcile.webhookSecret": "own-alerts",
}
KEPT_BY_PREFECT = {("canary/own-notices.url", "Prefect's block_documents", "canary")}
"""The one secret that is elsewhere on purpose: Prefect keeps the webhook of notices, encrypted, in a block, and gives
it out to whoever has its password and asks for secret fields."""
PRIVATE = "http://private-git.canary.svc:8080/trainyard.git"
NAMES = {"username", "AWS_ACCESS_KEY_ID"}
"""What stands in Secrets beside secrets: who one is."""


@dataclass(frozen=True)
class Searched:
    """What can be read of the whole cluster, what must not be in it, and what was planted in it to be found."""

    texts: list[Text]
    hidden: Mapping[str, str]
    planted: str


@pytest.fixture(scope="module")
def canary(cluster: Platform, say: Callable[[str], None]) -> Iterator[Release]:
    """A second installation whose every secret is planted, with a private repository; runs have used them all."""
    with namespace(cluster, "canary") as name:
        made = release(cluster, name)
        for secret, (kind, data) in canaries().items():
            made.keep_secret(secret, data, kind)
        with cluster.undisturbed():
            repository(made)
        seconds = made.apply("install", "--wait", "--timeout=8m", values={**SECRETS, "git.repository": PRIVATE})
        say(f"helm install --wait of HEAD on empty volumes: {seconds:.0f} s")
        yield made


@pytest.fixture(scope="module")
def searched(cluster: Platform, canary: Release, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """Everything, after runs that ended well and runs that did not, with a secret planted at each kind of place."""
    planted = f"planted-{secrets.token_hex(8)}{ODD}"
    hidden = {**hidden_in(canary), **hidden_in(release(cluster, "trainyard", "trainyard"))}
    with canary.reached("own-prefect", "own-mlflow", "own-lake"):
        use(canary)
        plants.in_servers(canary, planted)
        texts = [*seen.of_prefect("canary"), *seen.of_mlflow("canary"), *seen.of_lake("canary")]
    with cluster.undisturbed():
        texts += [*seen.of_prefect("platform"), *seen.of_mlflow("platform"), *seen.of_lake("platform")]
    plants.in_cluster(canary, planted, tmp_path_factory.mktemp("planted"))
    texts += [*seen.of_kubernetes(cluster.place), *seen.of_logs(cluster.place), *seen.of_helm(cluster.place)]
    return Searched(texts, hidden, planted)


def canaries() -> dict[str, tuple[str, dict[str, str]]]:
    """Secrets of one's own, by name: their type and what is in them."""

    def canary(name: str) -> str:
        return f"canary-{name}-{secrets.token_hex(8)}{ODD}"

    login = base64.b64encode(f"canary:{canary('registry')}".encode()).decode()
    registry = json.dumps({"auths": {"registry.example.org": {"auth": login}}})
    return {
        "own-prefect": ("Opaque", {"auth-string": f"canary:{canary('prefect')}"}),
        "own-mlflow": (
            "Opaque",
            {"username": "canary", "password": canary("mlflow"), "secret-key": canary("cookies")},
        ),
        "own-lake": ("Opaque", {"AWS_ACCESS_KEY_ID": "canary", "AWS_SECRET_ACCESS_KEY": canary("lake")}),
        "private-git": ("Opaque", {"token": f"canary-git-{secrets.token_hex(16)}"}),
        "own-registry": ("kubernetes.io/dockerconfigjson", {".dockerconfigjson": registry}),
        "own-notices": ("Opaque", {"url": f"http://hooks.invalid/canary-notices-{secrets.token_hex(16)}"}),
        "own-alerts": ("Opaque", {"url": f"http://hooks.invalid/canary-alerts-{secrets.token_hex(16)}"}),
    }


def hidden_in(made: Release) -> dict[str, str]:
    """What must not be seen of what is in the Secrets of a namespace; of ``user:password`` the password."""
    found = json.loads(made.kubectl("get", "secrets", "--output=json"))["items"]
    return {
        f"{made.namespace}/{each['metadata']['name']}.{key}": password(base64.b64decode(value).decode())
        for each in found
        if each["type"] != "helm.sh/release.v1"
        for key, value in each["data"].items()
        if key not in NAMES
    }


def password(value: str) -> str:
    """The secret part of what is in a Secret."""
    if value.startswith("{"):
        (login,) = json.loads(value)["auths"].values()
        value = base64.b64decode(login["auth"]).decode()
    return value.partition(":")[2] if value.startswith(("admin:", "canary:")) else value


def repository(made: Release) -> None:
    """A private repository with what the cluster's git server holds, which takes the planted token."""
    manifest = Template((HERE / "private-git.yaml").read_text()).safe_substitute(image=made.images()["flows"])
    made.kubectl("create", "configmap", "private-git", f"--from-file={HERE / 'private_git.py'}")
    made.kubectl("create", "--filename=-", stdin=manifest.replace("git://git/", "git://git.trainyard.svc/"))


def use(made: Release) -> None:
    """Runs that use every secret: two that end well, and one that does not find what it looks for."""
    made.helm("test", "--timeout=8m")
    platform = made.platform
    head = platform.git("rev-parse", "HEAD").strip()
    deploying.apply(platform.root, deploying.POOL, {"FLOWS_IMAGE": made.images()["flows"], "TRAINYARD_GIT_SHA": head})
    month = platform.root / "examples/tlc/green_tripdata_2023-01.parquet"
    connect("trainyard").upload_new("examples/tlc/2023-01.parquet", month)
    given = {"dataset": "green-trips", "month": "2023-01"}
    runs = [
        platform.start("ingest/green-trips", {**given, "source": f"s3://trainyard/examples/tlc/{name}.parquet"})
        for name in ("{month}", "not-there-{month}")
    ]
    ended = [platform.wait(run, 480).state for run in runs]
    assert [state.type.value for state in ended if state] == ["COMPLETED", "FAILED"]


def test_no_secret_is_seen_anywhere_but_in_a_secret(searched: Searched, say: Callable[[str], None]) -> None:
    found = leaks(searched.texts, searched.hidden)

    size = sum(len(each.text) for each in searched.texts) / 2**20
    say(f"searched {len(searched.texts)} texts, {size:.0f} MiB, for {len(searched.hidden)} secrets")
    assert {name.partition("/")[0] for name in searched.hidden} == {"canary", "trainyard"}
    assert len(searched.hidden) >= 10
    assert found == KEPT_BY_PREFECT


@pytest.mark.parametrize("kind", sorted(plants.PLACES))
def test_a_secret_that_is_planted_is_found(searched: Searched, kind: str) -> None:
    found = leaks(searched.texts, {"planted": searched.planted})

    assert kind in {where for _, where, _ in found}


def test_a_secret_that_is_written_in_another_form_is_found() -> None:
    secret = f"hush{ODD}"
    texts = [
        Text("place", "address", "http://user:hush%2B%2F%3D%26%25%40%3A%23%3F@host"),
        Text("place", "JSON of Go", json.dumps(secret).replace("&", r"\u0026")),
        *(
            Text("place", f"base64 {n}", base64.b64encode(b"x" * n + f"{secret}...".encode()).decode())
            for n in range(3)
        ),
        Text("place", "another", "hush"),
    ]

    found = {name for _, _, name in leaks(texts, {"secret": secret})}

    assert found == {each.name for each in texts} - {"another"}


def test_every_pod_of_the_namespace_gets_its_secrets_by_reference(canary: Release) -> None:
    (worker,) = canary.get("deployments", "worker")
    (container,) = worker["spec"]["template"]["spec"]["containers"]

    given = {each["name"]: each.get("valueFrom", {}).get("secretKeyRef", {}).get("name") for each in container["env"]}

    assert given["PREFECT_API_AUTH_STRING"] == "own-prefect"
    assert worker["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "own-registry"}]
    assert not [each["metadata"]["name"] for each in canary.get("secrets") if each["type"] == "Opaque"]
