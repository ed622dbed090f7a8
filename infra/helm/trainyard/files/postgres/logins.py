"""Makes sure, before a server starts, that Postgres takes its logins: ``python3 logins.py DRIVER SERVICE=SECRET...``

Each Secret is mounted as a folder of its name in ``/etc/logins``, with the files ``host``, ``port``, ``database``,
``username`` and ``password``. ``PGSSLMODE`` and ``PGSSLROOTCERT`` say how the server is believed. DRIVER is the one of
the server that starts: asyncpg or psycopg2. With ``PGSERVICEFILE`` the logins are written there as libpq's services.
Ends with a sentence and status 1 where one does not answer, is not to be believed, or refuses.
"""

import argparse
import asyncio
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIMEOUT = 10
"""Seconds of one attempt."""


class LoginError(Exception):
    """What is wrong, and what to do about it."""


class NotYet(Exception):
    """A server that may still be starting; the sentence says what to do if it never answers."""


@dataclass(frozen=True)
class Login:
    """A login to a database, and the Secret it is from."""

    secret: str
    host: str
    port: int
    database: str
    username: str
    password: str = field(repr=False)

    @property
    def address(self) -> str:
        """Where the server is."""
        return f"{self.host}:{self.port}"


def main() -> int:
    """Check the logins named on the command line, and write them as services where a file is named."""
    options = parser()
    options.add_argument("driver", choices=DRIVERS)
    options.add_argument("named", nargs="+", metavar="SERVICE=SECRET")
    given = options.parse_args()
    try:
        check_authority()
        pairs = (each.partition("=") for each in given.named)
        logins = {service: read(given.folder / secret) for service, _, secret in pairs}
        for login in logins.values():
            eventually(login, DRIVERS[given.driver], given.patience)
            print(f"Postgres at {login.address} takes the login of {login.username}", flush=True)
    except LoginError as error:
        sys.stderr.write(f"trainyard: {error}\n")
        return 1
    if file := os.environ.get("PGSERVICEFILE"):
        write_services(Path(file), logins)
    return 0


def parser() -> argparse.ArgumentParser:
    """The options: where Secrets are mounted, and the seconds a server is given to answer."""
    made = argparse.ArgumentParser()
    made.add_argument("--folder", type=Path, default="/etc/logins")
    made.add_argument("--patience", type=float, default=60)  # as long as a standby takes to take over
    return made


def check_authority() -> None:
    """Find the certificates that Postgres is to be believed by. Raises ``LoginError`` where they are not there."""
    file = os.environ.get("PGSSLROOTCERT")
    if file and not Path(file).is_file():
        raise LoginError(
            "there is no certificate of an authority to believe Postgres by: the ConfigMap of postgres.caConfigMap must"
            f" be there and hold it under {Path(file).name}."
        )


def read(folder: Path) -> Login:
    """The login in a Secret, mounted as a folder. Raises ``LoginError`` where it has none that can be one."""
    values, secret = {}, folder.name
    for key in ("host", "port", "database", "username", "password"):
        path = folder / key
        value = path.read_text("utf-8") if path.exists() else ""
        if not value or not value.isprintable() or value != value.strip():
            raise LoginError(
                f"the Secret {secret} has no {key}, or one with white space around it or a line break in it: make it"
                " anew (kubectl create secret --from-file keeps the line break at a file's end)."
            )
        values[key] = value
    if not values["port"].isdecimal():
        raise LoginError(f"the Secret {secret} has a port that is no number: make it anew.")
    port = int(values.pop("port"))
    return Login(secret=secret, port=port, **values)


def eventually(login: Login, connect: Callable[[Login], None], patience: float) -> None:
    """Log in as soon as the server answers. Raises ``LoginError``."""
    deadline = time.monotonic() + patience
    while True:
        try:
            reach(login)
            return connect(login)
        except NotYet as error:
            if time.monotonic() > deadline:
                raise LoginError(str(error)) from error
            print(f"waiting: {error}", flush=True)
            time.sleep(2)


def reach(login: Login) -> None:
    """Find out whether anything answers at the address. Raises ``NotYet``."""
    try:
        socket.create_connection((login.host, login.port), timeout=TIMEOUT).close()
    except OSError as error:
        raise NotYet(
            f"Postgres at {login.address} does not answer ({error}): see the database and what lets the nodes through"
            f" to it, or correct host and port in the Secret {login.secret}."
        ) from error


def with_asyncpg(login: Login) -> None:
    """Log in as Prefect does. Raises ``LoginError``."""
    import asyncpg  # type: ignore[import-untyped, unused-ignore]

    async def attempt() -> None:
        connection = await asyncpg.connect(
            host=login.host,
            port=login.port,
            user=login.username,
            password=login.password,
            database=login.database,
            timeout=TIMEOUT,
        )
        await connection.close()

    try:
        asyncio.run(attempt())
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise refusal(login, error) from error


def with_psycopg2(login: Login) -> None:
    """Log in as MLflow does. Raises ``LoginError``."""
    import psycopg2

    try:
        psycopg2.connect(**libpq(login)).close()
    except psycopg2.Error as error:
        raise refusal(login, error) from error


def libpq(login: Login) -> dict[str, Any]:
    """The login by libpq's own names."""
    return {
        "host": login.host,
        "port": str(login.port),
        "dbname": login.database,
        "user": login.username,
        "password": login.password,
        "connect_timeout": str(TIMEOUT),
    }


DRIVERS = {"asyncpg": with_asyncpg, "psycopg2": with_psycopg2}


def refusal(login: Login, error: Exception) -> LoginError:
    """The sentence for a server that answers and takes no login."""
    said = " ".join(str(error).split()) or type(error).__name__
    if any(word in said.lower() for word in ("certificate", "ssl")):
        return LoginError(
            f"Postgres at {login.address} is not to be believed ({said}): postgres.caConfigMap must hold the"
            f" certificate of the server's authority, and host in the Secret {login.secret} be a name in the server's"
            " own. postgres.sslMode says how it is looked at."
        )
    return LoginError(
        f"Postgres at {login.address} refuses the login of {login.username} to the database {login.database} ({said})."
        f" Correct the Secret {login.secret}; or let users, databases and passwords be made as it says, by an upgrade"
        " with the Secret of postgres.ownerSecret there."
    )


def write_services(path: Path, logins: dict[str, Login]) -> None:
    """Write the logins for libpq, readable by its own user alone."""
    parts = [
        "\n".join([f"[{service}]", *(f"{key}={value}" for key, value in libpq(login).items())])
        for service, login in logins.items()
    ]
    path.touch(mode=0o600)
    path.write_text("\n\n".join(parts) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
