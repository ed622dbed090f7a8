"""Makes in Postgres the users of the servers and a database for each: ``python3 roles.py OWNER SECRET...``

Each argument is a Secret, mounted as ``logins.py`` says. OWNER has the login that may make users and databases; it need
not be a superuser. The others have the logins to be made: after it each user has the password of its Secret, owns its
database, may nothing else, and nobody but it is let into that database. Everything is looked up first, so it may run
again, and twice at once. Ends with a sentence and status 1 where something cannot be.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg2
from logins import Login, LoginError, check_authority, eventually, libpq, parser, read, with_psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection, cursor, encrypt_password

ONE_AT_A_TIME = 7_294_210
"""Number of the lock in the owner's database that keeps a second run waiting."""


def main() -> int:
    """Make what the Secrets named on the command line say."""
    options = parser()
    options.add_argument("secrets", nargs="+", metavar="SECRET")
    given = options.parse_args()
    try:
        check_authority()
        owner, *wanted = (read(given.folder / secret) for secret in given.secrets)
        apply(owner, wanted, given.patience)
    except LoginError as error:
        sys.stderr.write(f"trainyard: {error}\n")
        return 1
    return 0


def apply(owner: Login, wanted: Sequence[Login], patience: float) -> None:
    """Make users and databases, and log in as each of them. Raises ``LoginError`` at the first that cannot be."""
    check_apart(owner, wanted)
    eventually(owner, with_psycopg2, patience)
    with alone(owner) as server:
        for login in wanted:
            try:
                make(server, login)
            except psycopg2.Error as error:
                said = " ".join(str(error).split())
                raise LoginError(
                    f"{owner.username} cannot make the user {login.username} and its database at {owner.address}"
                    f" ({said}): the Secret {owner.secret} must name one that may make users and databases."
                ) from error
    for login in wanted:
        eventually(login, with_psycopg2, patience)
        print(f"user {login.username} owns the database {login.database}, and logs in", flush=True)


def check_apart(owner: Login, wanted: Sequence[Login]) -> None:
    """Two servers in one database would write over each other. Raises ``LoginError``."""
    logins = (owner, *wanted)
    for what in ("username", "database"):
        for name in {getattr(login, what) for login in logins}:
            same = [login.secret for login in logins if getattr(login, what) == name]
            if len(same) > 1:
                raise LoginError(
                    f"the Secrets {' and '.join(same)} have the same {what}, {name}: each login takes one of its own."
                )


@contextmanager
def alone(owner: Login) -> Iterator[connection]:
    """A connection of the owner's, while no other run has one."""
    server = psycopg2.connect(**libpq(owner))
    server.autocommit = True
    try:
        server.cursor().execute("select pg_advisory_lock(%s)", (ONE_AT_A_TIME,))
        yield server
    finally:
        server.close()


def make(server: connection, login: Login) -> None:
    """Make a user and its database, or bring them to what is wanted. Raises ``LoginError`` where they are another's."""
    with server.cursor() as ask:
        make_user(server, ask, login)
        user, database = sql.Identifier(login.username), sql.Identifier(login.database)
        ask.execute(sql.SQL("grant {} to current_user").format(user))  # who makes a database over must be in its owner
        try:
            make_database(ask, login)
            ask.execute(sql.SQL("set role {}").format(user))
            ask.execute(sql.SQL("revoke all on database {} from public").format(database))
        finally:
            ask.execute("reset role")
            ask.execute(sql.SQL("revoke {} from current_user").format(user))


def make_user(server: connection, ask: cursor, login: Login) -> None:
    """Make a user without a right, with its password; what is sent is the password's verifier, not the password."""
    ask.execute("select rolsuper or rolreplication or rolbypassrls from pg_roles where rolname = %s", (login.username,))
    found = ask.fetchone()
    if found and found[0]:
        raise LoginError(
            f"the user {login.username} is there and is a superuser, replicates or goes past row security: name"
            f" another user in the Secret {login.secret}."
        )
    verifier = encrypt_password(login.password, login.username, scope=server, algorithm="scram-sha-256")
    ask.execute(
        sql.SQL("{} role {} login nocreatedb nocreaterole password {}").format(
            sql.SQL("alter" if found else "create"), sql.Identifier(login.username), sql.Literal(verifier)
        )
    )


def make_database(ask: cursor, login: Login) -> None:
    """Make a database that the user owns."""
    ask.execute("select pg_get_userbyid(datdba) from pg_database where datname = %s", (login.database,))
    found = ask.fetchone()
    if not found:
        names = map(sql.Identifier, (login.database, login.username))
        ask.execute(sql.SQL("create database {} owner {}").format(*names))
    elif found[0] != login.username:
        raise LoginError(
            f"the database {login.database} is there and belongs to {found[0]}, not to {login.username}: hand it over"
            f" (alter database … owner to …), or name another in the Secret {login.secret}."
        )


if __name__ == "__main__":
    sys.exit(main())
