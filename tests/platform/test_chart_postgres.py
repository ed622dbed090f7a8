"""The chart on Postgres: what makes users, what tries logins, where passwords are, and what is left of SQLite."""

import json
from typing import Any

import pytest

from tests.platform import chart, pod_security
from tests.platform.chart import ON_POSTGRES, Object, Objects, requires_helm

pytestmark = requires_helm

LOGINS = set(ON_POSTGRES["postgres"].values()) - {"database-authority", "owner-login"}
HOOK = {
    "helm.sh/hook": "pre-install,pre-upgrade",
    "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
}


def pod(objects: Objects, name: str) -> Object:
    """The pod of a server."""
    spec: Object = objects.one("Deployment", f"-{name}")["spec"]["template"]["spec"]
    return spec


def first(objects: Objects, name: str) -> Any:
    """The first container of a server's pod."""
    return pod(objects, name)["initContainers"][0]


def without(**changed: str) -> Objects:
    """Everything on Postgres but for what is changed."""
    return chart.render({"postgres": {**ON_POSTGRES["postgres"], **changed}})


def test_users_are_made_before_everything_and_nothing_of_it_stays() -> None:
    objects = chart.case("on postgres")

    made = [each for each in objects if each["metadata"]["name"] == "trainyard-roles"]

    assert {each["kind"] for each in made} == {"ServiceAccount", "ConfigMap", "Job"}
    for each in made:
        assert each["metadata"]["annotations"].items() >= HOOK.items()
    weights = {each["kind"]: int(each["metadata"]["annotations"]["helm.sh/hook-weight"]) for each in made}
    assert max(weights["ServiceAccount"], weights["ConfigMap"]) < weights["Job"]


def test_the_job_is_told_of_the_owner_and_of_each_login_that_is_given() -> None:
    def told(objects: Objects) -> list[str]:
        args: list[str] = objects.one("Job", "-roles")["spec"]["template"]["spec"]["containers"][0]["args"]
        return args[2:]

    assert told(chart.case("on postgres")) == ["owner-login", "prefect-login", "mlflow-login", "users-login"]
    assert told(without(prefectSecret="")) == ["owner-login", "mlflow-login", "users-login"]
    assert told(without(mlflowSecret="", mlflowUsersSecret="")) == ["owner-login", "prefect-login"]


def test_without_an_owner_no_user_is_made() -> None:
    objects = without(ownerSecret="")

    assert not [each for each in objects if "roles" in each["metadata"]["name"]]


def test_the_owners_login_is_seen_by_the_job_alone() -> None:
    seen = {name for name, spec in chart.case("on postgres").pods() if "owner-login" in json.dumps(spec)}

    assert seen == {"Job/trainyard-roles"}


@pytest.mark.parametrize(
    ("server", "driver", "services"),
    [
        ("prefect", "asyncpg", ["prefect=prefect-login"]),
        ("mlflow", "psycopg2", ["mlflow=mlflow-login", "users=users-login"]),
    ],
)
def test_each_server_tries_its_logins_first_by_its_own_driver(server: str, driver: str, services: list[str]) -> None:
    container = first(chart.case("on postgres"), server)

    assert container["args"] == ["python3", "/etc/trainyard/logins.py", driver, *services]
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert container["image"] == chart.IMAGES["server" if server == "prefect" else server]


def test_no_argument_and_no_configuration_has_a_login() -> None:
    objects = chart.case("on postgres")
    addresses = [
        *(
            text
            for _, spec in objects.pods()
            for each in pod_security.containers(spec)
            for text in each.get("args", [])
        ),
        *(value for each in objects.of("ConfigMap") for value in each["data"].values()),
    ]

    databases = {word.strip("'\";") for text in addresses for word in text.split() if "postgresql" in word}

    assert databases == {"postgresql:///?service=mlflow", "postgresql:///?service=users"}


def test_prefect_is_given_its_login_by_reference() -> None:
    (server,) = pod(chart.case("on postgres"), "prefect")["containers"]
    env = {each["name"]: each.get("value") or each["valueFrom"]["secretKeyRef"] for each in server["env"]}

    assert env["PREFECT_SERVER_DATABASE_CONNECTION_URL"] == "postgresql+asyncpg://"
    assert {name: env[name] for name in env if name.startswith("PG")} == {
        **{
            f"PG{name}": {"name": "prefect-login", "key": key}
            for name, key in {
                "HOST": "host",
                "PORT": "port",
                "DATABASE": "database",
                "USER": "username",
                "PASSWORD": "password",
            }.items()
        },
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "/etc/postgres/ca.crt",
    }


def test_mlflows_logins_are_in_memory_and_only_its_first_container_writes_them() -> None:
    spec = pod(chart.case("on postgres"), "mlflow")
    (volume,) = [each for each in spec["volumes"] if each["name"] == "services"]

    mounts = {
        each["name"]: mount.get("readOnly", False)
        for each in pod_security.containers(spec)
        for mount in each["volumeMounts"]
        if mount["name"] == "services"
    }
    assert volume["emptyDir"]["medium"] == "Memory"
    assert mounts == {"logins": False, "migrate": True, "migrate-users": True, "server": True}


def test_a_secret_that_is_not_there_is_left_for_the_first_container_to_name() -> None:
    for name, spec in chart.case("on postgres").pods():
        for volume in spec["volumes"]:
            if volume.get("secret", {}).get("secretName") in LOGINS:
                assert volume["secret"]["optional"], name


@pytest.mark.parametrize("mode", ["require", "disable"])
def test_every_login_is_believed_as_it_is_said(mode: str) -> None:
    objects = without(sslMode=mode, caConfigMap="")

    said = {
        (name, each["name"]): {one["name"]: one.get("value") for one in each.get("env", [])}.get("PGSSLMODE")
        for name, spec in objects.pods()
        for each in pod_security.containers(spec)
        if name.rpartition("-")[2] in {"prefect", "mlflow", "roles"}
    }

    assert set(said.values()) == {mode}
    assert "PGSSLROOTCERT" not in json.dumps([spec for _, spec in objects.pods()])


def test_nothing_of_sqlite_is_left_but_the_volume_of_prefects_leases() -> None:
    objects = chart.case("on postgres")

    assert "sqlite" not in json.dumps(list(objects.pods()))
    assert {each["metadata"]["name"] for each in objects.of("PersistentVolumeClaim")} == {"trainyard-prefect"}


@pytest.mark.parametrize(
    ("left", "volumes"),
    [
        ({"prefectSecret": ""}, {"trainyard-prefect"}),
        ({"mlflowSecret": "", "mlflowUsersSecret": ""}, {"trainyard-prefect", "trainyard-mlflow"}),
    ],
)
def test_one_server_may_be_on_postgres_and_the_other_on_a_volume(left: dict[str, str], volumes: set[str]) -> None:
    objects = without(**left)

    assert {each["metadata"]["name"] for each in objects.of("PersistentVolumeClaim")} == volumes
    on_sqlite = {name for name in ("prefect", "mlflow") if "sqlite" in json.dumps(pod(objects, name))}
    assert on_sqlite == {"prefect" if "prefectSecret" in left else "mlflow"}


def test_without_postgres_nothing_of_it_is_there() -> None:
    objects = chart.case("laptop")

    assert "postgres" not in json.dumps([spec for _, spec in objects.pods()])
    assert not [each for each in objects if each["metadata"]["name"].endswith(("-postgres", "-roles"))]
