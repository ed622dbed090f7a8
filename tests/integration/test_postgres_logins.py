"""What the chart does with a Postgres before its servers start: users and databases made, logins tried."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import pytest

from ops import chart
from ops.s3_servers import free_ports
from tests.integration import postgres
from tests.integration.postgres import OWNER, Postgres
from tests.integration.servers import ROOT

FILES = ROOT / chart.CHART / "files" / "postgres"
PROGRAMS = Path(sys.executable).parent
ODD = "p%40@:/ \\'\"#?&ü"
"""A password that would be something else in an address, a shell, a configuration or a statement."""
LOGINS = {
    "prefect-login": {"database": "prefect", "username": "prefect", "password": ODD},
    "mlflow-login": {"database": "mlflow", "username": "mlflow", "password": f"mlflow {ODD}"},
    "users-login": {"database": "mlflow_users", "username": "mlflow_users", "password": "of-the-users"},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres.running(tmp_path_factory.mktemp("postgres")) as found:
        yield found


@pytest.fixture
def secrets(server: Postgres, tmp_path: Path) -> Path:
    """The Secrets as a pod has them, on a server without any of the users; the environment says nothing of TLS."""
    for login in LOGINS.values():
        server.ask(f"drop database if exists {login['database']} with (force)")
        server.ask(f"drop role if exists {login['username']}")
    for name, login in {"owner-login": OWNER, **LOGINS}.items():
        server.secret(tmp_path, name, login)
    return tmp_path


def start(program: str, folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the chart, in the environment that its pod has."""
    command = [sys.executable, str(FILES / program), f"--folder={folder}", "--patience=1", *arguments]
    own = {"PATH": os.environ["PATH"], "HOME": str(folder), "PGSSLMODE": "disable", **env}
    return subprocess.run(command, env=own, capture_output=True, text=True, timeout=120, check=False)


def make(folder: Path, *secrets: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Make users and databases."""
    return start("roles.py", folder, "owner-login", *(secrets or LOGINS), **env)


def check(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Try logins."""
    return start("logins.py", folder, *arguments, **env)


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence of a program that ended with it: no password in it, no traceback beside it."""
    assert done.returncode == 1, done.stderr
    (said,) = done.stderr.splitlines()
    assert not [word for login in (OWNER, *LOGINS.values()) for word in [login["password"]] if word in said]
    return said.removeprefix("trainyard: ")


def test_every_user_owns_a_database_of_its_own_and_has_no_other_right(server: Postgres, secrets: Path) -> None:
    done = make(secrets)

    names = ("prefect", "mlflow", "mlflow_users")
    assert done.stdout == "".join(f"user {name} owns the database {name}, and logs in\n" for name in names)
    rights = "rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolcanlogin"
    for name in names:
        assert server.ask(f"select {rights} from pg_roles where rolname = '{name}'") == [(*[False] * 5, True)]
        owner = f"select pg_get_userbyid(datdba) from pg_database where datname = '{name}'"
        assert server.ask(owner) == [(name,)]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        server.ask("set role prefect", OWNER)  # who made them keeps no way into them


def test_no_user_is_let_into_the_database_of_another(server: Postgres, secrets: Path) -> None:
    make(secrets)

    for own in LOGINS.values():
        for other in {login["database"] for login in LOGINS.values()} - {own["database"]}:
            with pytest.raises(psycopg2.OperationalError, match="does not have CONNECT privilege"):
                server.ask("select 1", {**own, "database": other})
        assert server.ask("create table kept (n int); insert into kept values (1); select n from kept", own) == [(1,)]


def test_made_again_everything_is_as_it_was_with_what_is_in_it(server: Postgres, secrets: Path) -> None:
    make(secrets)
    server.ask("create table kept (n int)", LOGINS["mlflow-login"])

    again = make(secrets)

    assert again.returncode == 0, again.stderr
    assert server.ask("select count(*) from kept", LOGINS["mlflow-login"]) == [(0,)]


def test_two_at_once_make_it_once(server: Postgres, secrets: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: make(secrets), range(4)))

    assert [(each.returncode, each.stderr) for each in done] == [(0, "")] * 4
    assert server.ask("select count(*) from pg_database where datname in ('prefect', 'mlflow', 'mlflow_users')") == [
        (3,)
    ]


def test_a_new_password_in_a_secret_replaces_the_old_one(server: Postgres, secrets: Path) -> None:
    make(secrets)
    (secrets / "prefect-login" / "password").write_text("the-next")

    make(secrets)

    assert server.ask("select 1", {**LOGINS["prefect-login"], "password": "the-next"}) == [(1,)]
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        server.ask("select 1", LOGINS["prefect-login"])


def test_no_password_is_in_the_log_of_postgres(server: Postgres, secrets: Path) -> None:
    make(secrets)

    said = postgres.log(server.port)

    assert 'create role "prefect"' in said
    assert not [login for login in LOGINS.values() if login["password"] in said]


@pytest.mark.parametrize(
    ("secret", "change", "said"),
    [
        ("owner-login", {"password": "wrong"}, "refuses the login of owner to the database postgres (connection to"),
        (
            "owner-login",
            {"username": "nobody"},
            'password authentication failed for user "nobody"). Correct the Secret',
        ),
        ("owner-login", {"username": "postgres", "database": "none"}, "refuses the login of postgres to the database"),
        ("prefect-login", {"username": "owner"}, "the Secrets owner-login and prefect-login have the same username,"),
        ("mlflow-login", {"database": "prefect"}, "the Secrets prefect-login and mlflow-login have the same database,"),
        ("mlflow-login", {"username": "postgres"}, "the user postgres is there and is a superuser"),
        ("mlflow-login", {"database": "template1"}, "the database template1 is there and belongs to postgres, not to"),
        ("mlflow-login", {"password": "line\n"}, "the Secret mlflow-login has no password, or one with white space"),
        ("users-login", {"password": ""}, "the Secret users-login has no password, or one with white space around it"),
        ("users-login", {"port": "postgres"}, "the Secret users-login has a port that is no number: make it anew."),
    ],
)
def test_a_login_that_cannot_be_made_is_a_sentence(
    secrets: Path, secret: str, change: dict[str, str], said: str
) -> None:
    for key, value in change.items():
        (secrets / secret / key).write_text(value)

    assert said in sentence(make(secrets))


def test_an_owner_without_rights_is_a_sentence_and_leaves_nothing(server: Postgres, secrets: Path) -> None:
    server.ask("alter role owner nocreaterole")
    try:
        said = sentence(make(secrets))
    finally:
        server.ask("alter role owner createrole")

    assert said.startswith(f"owner cannot make the user prefect and its database at localhost:{server.port} (")
    assert said.endswith("the Secret owner-login must name one that may make users and databases.")
    assert server.ask("select 1 from pg_database where datname = 'prefect'") == []


def test_a_secret_that_is_not_there_is_named(secrets: Path) -> None:
    assert sentence(make(secrets, "absent")).startswith("the Secret absent has no host,")
    assert sentence(check(secrets, "asyncpg", "prefect=absent")).startswith("the Secret absent has no host,")


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg2"])
def test_a_login_that_is_taken_says_so(secrets: Path, server: Postgres, driver: str) -> None:
    make(secrets)

    done = check(secrets, driver, "prefect=prefect-login")

    assert done.stdout == f"Postgres at localhost:{server.port} takes the login of prefect\n", done.stderr


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg2"])
def test_a_wrong_password_is_refused_at_once_with_what_to_do(secrets: Path, driver: str) -> None:
    make(secrets)
    (secrets / "prefect-login" / "password").write_text("wrong")

    said = sentence(check(secrets, driver, "prefect=prefect-login"))

    assert 'password authentication failed for user "prefect"' in said
    assert "Correct the Secret prefect-login; or let users, databases and passwords be made as it says" in said


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg2"])
def test_a_server_that_does_not_answer_is_waited_for_and_then_named(secrets: Path, driver: str) -> None:
    (port,) = free_ports(1)
    (secrets / "prefect-login" / "port").write_text(str(port))

    done = check(secrets, driver, "prefect=prefect-login")

    assert f"waiting: Postgres at localhost:{port} does not answer" in done.stdout
    assert f"Postgres at localhost:{port} does not answer" in sentence(done)
    assert "correct host and port in the Secret prefect-login" in sentence(done)


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg2"])
def test_a_server_is_believed_by_its_certificate_and_its_name(secrets: Path, server: Postgres, driver: str) -> None:
    make(secrets)
    believed = {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(server.authority)}

    assert check(secrets, driver, "prefect=prefect-login", **believed).returncode == 0
    (secrets / "prefect-login" / "host").write_text("127.0.0.1")
    said = sentence(check(secrets, driver, "prefect=prefect-login", **believed))

    assert f"Postgres at 127.0.0.1:{server.port} is not to be believed (" in said
    assert "host in the Secret prefect-login be a name in the server's own" in said


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg2"])
def test_a_server_of_another_authority_is_not_believed(secrets: Path, tmp_path: Path, driver: str) -> None:
    make(secrets)
    other = tmp_path / "other.crt"
    other.write_bytes(postgres.certificates()[0])

    env = {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(other)}
    said = sentence(check(secrets, driver, "prefect=prefect-login", **env))

    assert "is not to be believed (" in said
    assert "postgres.caConfigMap must hold the certificate of the server's authority" in said


def test_an_authority_that_is_not_there_is_named(secrets: Path, tmp_path: Path) -> None:
    env = {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(tmp_path / "ca.crt")}

    for done in (check(secrets, "asyncpg", "prefect=prefect-login", **env), make(secrets, **env)):
        assert sentence(done).endswith("the ConfigMap of postgres.caConfigMap must be there and hold it under ca.crt.")


def test_roles_are_made_over_tls_as_well(secrets: Path, server: Postgres) -> None:
    done = make(secrets, PGSSLMODE="verify-full", PGSSLROOTCERT=str(server.authority))

    assert done.returncode == 0, done.stderr


def test_the_services_are_for_their_user_alone_and_are_what_psycopg2_logs_in_with(
    secrets: Path, tmp_path: Path
) -> None:
    make(secrets)
    file = tmp_path / "services"

    done = check(secrets, "psycopg2", "mlflow=mlflow-login", "users=users-login", PGSERVICEFILE=str(file))

    assert done.returncode == 0, done.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    program = "import psycopg2; print(psycopg2.connect('service=%s').info.user)"
    for service, user in (("mlflow", "mlflow"), ("users", "mlflow_users")):
        env, command = {"PGSERVICEFILE": str(file), "PGSSLMODE": "disable"}, [sys.executable, "-c", program % service]
        asked = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert asked.stdout == f"{user}\n", asked.stderr


def test_prefect_and_mlflow_bring_their_databases_to_their_schemas(
    secrets: Path, server: Postgres, tmp_path: Path
) -> None:
    """By the addresses and the environment that the chart gives them, over TLS."""
    make(secrets)
    tls = {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(server.authority)}
    services = {"PGSERVICEFILE": str(tmp_path / "services"), **tls}
    check(secrets, "psycopg2", "mlflow=mlflow-login", **services)
    prefect = {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql+asyncpg://",
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PGHOST": "localhost",
        "PGPORT": str(server.port),
        "PGUSER": "prefect",
        "PGDATABASE": "prefect",
        "PGPASSWORD": ODD,
        **tls,
    }
    commands = [
        (["prefect", "server", "database", "upgrade", "--yes"], prefect),
        (["mlflow", "db", "upgrade", "postgresql:///?service=mlflow"], services),
    ]

    for (program, *arguments), env in commands:
        own = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **env}
        done = subprocess.run(
            [str(PROGRAMS / program), *arguments], env=own, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        assert not [login for login in LOGINS.values() if login["password"] in done.stdout + done.stderr]
    assert server.ask("select count(*) from flow_run", LOGINS["prefect-login"]) == [(0,)]
    assert server.ask("select count(*) from runs", LOGINS["mlflow-login"]) == [(0,)]
