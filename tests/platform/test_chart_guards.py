"""What the chart refuses: values that cannot be, each with the key and what to do; and what it says once installed."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.platform import chart
from tests.platform.chart import IMAGES, ON_POSTGRES, Refused, requires_helm

pytestmark = requires_helm

DIGEST = "registry.example.org/trainyard/flows@sha256:" + "0123456789abcdef" * 4


def images(**changed: str) -> dict[str, Any]:
    return {"images": {**IMAGES, **changed}}


def on_postgres(**changed: Any) -> dict[str, Any]:
    """Values with everything on Postgres; changed in that section, or in another by its name."""
    others = {section: value for section, value in changed.items() if isinstance(value, dict)}
    own = {key: value for key, value in changed.items() if key not in others}
    return {**others, "postgres": {**ON_POSTGRES["postgres"], **own}}


def refusal(values: Mapping[str, Any], profile: str = "default") -> str:
    """What Helm says of values that it does not take."""
    with pytest.raises(Refused) as refused:
        chart.render(values, profile)
    return str(refused.value)


@pytest.mark.parametrize(
    ("values", "key", "remedy"),
    [
        (images(flows=""), "images.flows", "`make images` builds the three"),
        (images(server="a b:1"), "images.server", "`make images` builds the three"),
        (images(mlflow="trainyard/mlflow:latest"), "images.mlflow", "Give it the tag that `make images` prints"),
        (images(flows="trainyard/flows"), "images.flows", "Give it the tag"),
        (images(flows="localhost:5001/flows"), "images.flows", "Give it the tag"),
        ({"minio": {"enabled": True, "image": "quay.io/minio/minio"}}, "minio.image", "Give it the tag"),
        (
            {"minio": {"enabled": True}, "lake": {"endpoint": "http://s3:9000"}},
            "minio.enabled and lake.endpoint",
            "Leave one of them out",
        ),
        ({"git": {"repository": ""}}, "git.repository", "Set it to the address of the repository"),
        (
            {"git": {"repository": "http://git.example.org/a.git", "tokenSecret": "t"}},
            "git.tokenSecret",
            "Use the https address",
        ),
        (
            {"git": {"repository": "http://git.svc.example.org/a.git", "tokenSecret": "t"}},
            "git.tokenSecret",
            "Use the https address",
        ),
        (
            {"mlflow": {"externalUrl": "https://m.example.org", "url": "https://n.example.org"}},
            "mlflow.url",
            "Leave mlflow.url out",
        ),
        ({"mlflow": {"externalUrl": "https://m.example.org"}}, "mlflow.externalUrl", "needs mlflow.existingAuthSecret"),
        (
            {"prefect": {"externalApiUrl": "https://p.example.org/api"}},
            "prefect.externalApiUrl",
            "needs prefect.existingAuthSecret",
        ),
        (
            on_postgres(mlflowUsersSecret=""),
            "postgres.mlflowSecret and postgres.mlflowUsersSecret belong together",
            "Set both, or neither",
        ),
        (on_postgres(mlflowSecret=""), "postgres.mlflowSecret and postgres.mlflowUsersSecret", "Set both, or neither"),
        (
            on_postgres(prefect={"externalApiUrl": "https://p.example.org/api", "existingAuthSecret": "p"}),
            "postgres.prefectSecret is for the Prefect that is installed here",
            "Leave one of them out",
        ),
        (
            on_postgres(mlflow={"externalUrl": "https://m.example.org", "existingAuthSecret": "m"}),
            "postgres.mlflowSecret is for the MLflow that is installed here",
            "Leave it and postgres.mlflowUsersSecret out, or the address",
        ),
        (
            {"postgres": {"ownerSecret": "owner-login"}},
            "postgres.ownerSecret makes the users that the other Secrets of postgres name, and none is named",
            "Set postgres.prefectSecret, or postgres.mlflowSecret and postgres.mlflowUsersSecret",
        ),
        (
            on_postgres(mlflowSecret="prefect-login"),
            "two of its Secrets are the same (prefect-login, prefect-login, users-login, owner-login)",
            "Each login has a user and a database of its own",
        ),
        (on_postgres(ownerSecret="users-login"), "two of its Secrets are the same", "Each login has a user"),
        (
            on_postgres(caConfigMap=""),
            "postgres.sslMode is verify-full and postgres.caConfigMap is empty",
            "set postgres.sslMode to require, which encrypts and believes anyone",
        ),
        (on_postgres(sslMode="disable"), "postgres.caConfigMap is set and postgres.sslMode is disable", "Leave one of"),
        ({"jobs": {"deadlineSeconds": 3600}}, "jobs.deadlineSeconds is 3600", "Set it above that"),
        ({"jobs": {"cpuRequest": "4"}}, "jobs.cpuRequest is 4 and jobs.cpuLimit 2", "Lower the one or raise the other"),
        ({"jobs": {"cpuRequest": "2100m"}}, "jobs.cpuRequest is 2100m and jobs.cpuLimit 2", "Lower the one"),
        ({"jobs": {"cpuLimit": "499m"}}, "jobs.cpuRequest is 500m and jobs.cpuLimit 499m", "Lower the one"),
        ({"jobs": {"cpuRequest": 1.5, "cpuLimit": "1.25"}}, "jobs.cpuRequest is 1.5 and", "Lower the one"),
    ],
)
def test_values_that_exclude_each_other_are_refused_with_the_key_and_the_remedy(
    values: Mapping[str, Any], key: str, remedy: str
) -> None:
    said = refusal(values)

    assert key in said
    assert remedy in said


@pytest.mark.parametrize(
    ("values", "place", "fault"),
    [
        ({"replicas": 2}, "''", "'replicas' not allowed"),
        ({"images": {"worker": "a:1"}}, "'/images'", "'worker' not allowed"),
        ({"lake": {"buckets": "a"}}, "'/lake'", "'buckets' not allowed"),
        ({"git": {"branch": "main"}}, "'/git'", "'branch' not allowed"),
        ({"prefect": {"replicas": 2}}, "'/prefect'", "'replicas' not allowed"),
        ({"prefect": {"storage": {"class": "fast"}}}, "'/prefect/storage'", "'class' not allowed"),
        ({"prefect": {"service": {"type": "LoadBalancer"}}}, "'/prefect/service'", "'type' not allowed"),
        ({"worker": {"resources": {"limit": {}}}}, "'/worker/resources'", "'limit' not allowed"),
        ({"worker": {"resources": {"limits": {"gpu": 1}}}}, "'/worker/resources/limits'", "'gpu' not allowed"),
        ({"jobs": {"memori": "1Gi"}}, "'/jobs'", "'memori' not allowed"),
        ({"mlflow": {"workers": 2}}, "'/mlflow'", "'workers' not allowed"),
        ({"minio": {"console": True}}, "'/minio'", "'console' not allowed"),
        ({"images": {"pullPolicy": "Sometimes"}}, "'/images/pullPolicy'", "must be one of"),
        ({"images": {"pullSecrets": ["Login"]}}, "'/images/pullSecrets/0'", "does not match"),
        ({"images": {"pullSecrets": "login"}}, "'/images/pullSecrets'", "want array"),
        ({"lake": {"bucket": "Acme_Lake"}}, "'/lake/bucket'", "does not match"),
        ({"lake": {"prefix": "/a/"}}, "'/lake/prefix'", "does not match"),
        ({"lake": {"endpoint": "s3.example.org:9000"}}, "'/lake/endpoint'", "does not match"),
        ({"lake": {"endpoint": "http://key:secret@s3:9000"}}, "'/lake/endpoint'", "does not match"),
        ({"lake": {"region": ""}}, "'/lake/region'", "does not match"),
        ({"lake": {"existingSecret": "lake keys"}}, "'/lake/existingSecret'", "does not match"),
        ({"git": {"repository": "git@example.org:team/a.git"}}, "'/git/repository'", "does not match"),
        ({"git": {"repository": "https://me:token@example.org/a.git"}}, "'/git/repository'", "does not match"),
        ({"prefect": {"url": "https://p.example.org/"}}, "'/prefect/url'", "does not match"),
        ({"prefect": {"externalApiUrl": "https://p.example.org"}}, "'/prefect/externalApiUrl'", "does not match"),
        ({"prefect": {"externalApiUrl": "https://a:b@p/api"}}, "'/prefect/externalApiUrl'", "does not match"),
        ({"prefect": {"concurrencyLimits": {"tlc": "two"}}}, "'/prefect/concurrencyLimits/tlc'", "want integer"),
        ({"prefect": {"concurrencyLimits": {"a/b": 1}}}, "'/prefect/concurrencyLimits'", "'a/b' not allowed"),
        ({"prefect": {"variables": {"Big Name": 1}}}, "'/prefect/variables'", "'Big Name' not allowed"),
        ({"prefect": {"rerunCrashed": "yes"}}, "'/prefect/rerunCrashed'", "want boolean"),
        ({"prefect": {"noticeSecret": "https://hooks.example.org/a"}}, "'/prefect/noticeSecret'", "does not match"),
        ({"prefect": {"silenceSeconds": 30}}, "'/prefect/silenceSeconds'", "want 60"),
        ({"prefect": {"pendingSeconds": 5}}, "'/prefect/pendingSeconds'", "want 30"),
        ({"prefect": {"service": {"nodePort": 80}}}, "'/prefect/service/nodePort'", "want 30,000"),
        ({"prefect": {"storage": {"size": "2 GB"}}}, "'/prefect/storage/size'", "does not match"),
        ({"prefect": {"storage": {"size": None}}}, "'/prefect/storage'", "missing property 'size'"),
        (
            {"prefect": {"resources": {"requests": {"memory": 512}}}},
            "'/prefect/resources/requests/memory'",
            "want string",
        ),
        ({"worker": {"concurrency": 0}}, "'/worker/concurrency'", "want 1"),
        ({"worker": {"pollSeconds": "often"}}, "'/worker/pollSeconds'", "want integer"),
        ({"worker": {"resources": {"limits": None}}}, "'/worker/resources'", "missing property 'limits'"),
        ({"jobs": {"memory": "2GB"}}, "'/jobs/memory'", "does not match"),
        ({"jobs": {"memory": None}}, "'/jobs'", "missing property 'memory'"),
        ({"jobs": {"cpuLimit": "two"}}, "'/jobs/cpuLimit'", "does not match"),
        ({"jobs": {"cpuLimit": 0}}, "'/jobs/cpuLimit'", "exclusiveMinimum"),
        ({"jobs": {"ttlSeconds": 1.5}}, "'/jobs/ttlSeconds'", "want integer"),
        (
            {"jobs": {"serviceAccountAnnotations": {"a b": "c"}}},
            "'/jobs/serviceAccountAnnotations'",
            "'a b' not allowed",
        ),
        ({"jobs": {"serviceAccountAnnotations": {"role": 1}}}, "'/jobs/serviceAccountAnnotations/role'", "want string"),
        ({"mlflow": {"externalUrl": "https://m.example.org/"}}, "'/mlflow/externalUrl'", "does not match"),
        ({"mlflow": {"externalUrl": "https://a:b@m.example.org"}}, "'/mlflow/externalUrl'", "does not match"),
        ({"mlflow": {"allowedHosts": ["*"]}}, "'/mlflow/allowedHosts/0'", "does not match"),
        ({"postgres": {"host": "db"}}, "'/postgres'", "'host' not allowed"),
        ({"postgres": {"prefectSecret": "postgres://a"}}, "'/postgres/prefectSecret'", "does not match"),
        ({"postgres": {"sslMode": "prefer"}}, "'/postgres/sslMode'", "must be one of"),
        ({"minio": {"enabled": "yes"}}, "'/minio/enabled'", "want boolean"),
    ],
)
def test_a_value_that_is_none_is_refused_at_its_place(values: Mapping[str, Any], place: str, fault: str) -> None:
    said = refusal(values)

    assert any(f"at {place}: " in line and fault in line for line in said.splitlines()), said


@pytest.mark.parametrize(
    "values",
    [
        images(flows=DIGEST),
        images(flows="registry.example.org:5000/trainyard/flows:1.2-a_b@sha256:" + "0" * 64),
        {"git": {"repository": "https://git.example.org:8443/team/a.git", "tokenSecret": "t"}},
        {"git": {"repository": "http://git.trainyard.svc:3000/a.git", "tokenSecret": "t"}},
        {"git": {"repository": "git://git.trainyard.svc/trainyard.git"}},
        {"mlflow": {"externalUrl": "https://example.org/mlflow", "existingAuthSecret": "m"}},
        {"prefect": {"externalApiUrl": "https://example.org/prefect/api", "existingAuthSecret": "p"}},
        {"jobs": {"cpuLimit": 2.5, "cpuRequest": "0.5", "memory": "1.5Gi"}},
        {"jobs": {"cpuLimit": "1000m", "cpuRequest": 1}},
        {"jobs": {"cpuLimit": 10, "cpuRequest": "9"}},
        {"prefect": {"variables": {"a": None, "b": [1], "c": {"d": "e"}}, "concurrencyLimits": {"tlc": 0}}},
        {"worker": {"resources": {"limits": {"cpu": 1}}}},
        on_postgres(ownerSecret=""),
        on_postgres(mlflowSecret="", mlflowUsersSecret=""),
        on_postgres(prefectSecret=""),
        on_postgres(sslMode="require", caConfigMap=""),
        on_postgres(sslMode="disable", caConfigMap=""),
    ],
)
def test_values_that_can_be_are_taken(values: Mapping[str, Any]) -> None:
    assert chart.render(values)


def test_a_kubernetes_that_is_too_old_is_refused() -> None:
    with pytest.raises(Refused, match=r"kubeVersion: >=1\.29\.0-0"):
        chart.template({}, "default", "--kube-version", "1.28.9")


@pytest.mark.parametrize("case", ["default", "laptop", "everything elsewhere"])
@pytest.mark.parametrize("done", ["installed", "upgraded"])
def test_after_an_installation_three_commands_are_named_that_can_be_typed(case: str, done: str) -> None:
    profile, values = chart.CASES[case]

    said = chart.notes(values, profile, *(["--is-upgrade"] if done == "upgraded" else []))

    commands = [line.strip() for line in said.splitlines() if line.startswith("  ")]
    assert said.startswith(f"Trainyard 0.1.0 is {done} in namespace trainyard.")
    assert len(commands) == 3
    assert commands[0].startswith("helm test trainyard --namespace trainyard")
    assert all(command.startswith("kubectl --namespace trainyard ") for command in commands[1:])
    assert all(named_there(case, word) for command in commands for word in command.split())
    assert ("for development" in said) is (case == "laptop")


def test_after_users_are_made_the_owners_login_is_to_be_taken_away() -> None:
    said = chart.notes(ON_POSTGRES)

    assert "kubectl --namespace trainyard delete secret owner-login" in said
    assert "owner" not in chart.notes(on_postgres(ownerSecret=""))


def named_there(case: str, word: str) -> bool:
    """Whether a word of a command, where it names an object of the release, names one that is installed."""
    installed = {each["metadata"]["name"] for each in chart.case(case)}
    return not word.rpartition("/")[2].startswith("trainyard-") or word.rpartition("/")[2] in installed
