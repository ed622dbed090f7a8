"""Postgres in a container, with TLS and an owner who is no superuser, as RDS has it."""

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.platform.supply_chain import require_docker

IMAGE = "postgres:17"
OWNER = {"database": "postgres", "username": "owner", "password": "owner-of-the-instance"}
SUPERUSER = "superuser-of-the-instance"


@dataclass(frozen=True)
class Postgres:
    """A server on loopback, whose certificate is for the name ``localhost``; ``authority`` has signed it."""

    port: int
    authority: Path

    def ask(self, statement: str, login: Mapping[str, str] | None = None) -> list[tuple[object, ...]]:
        """What a statement gives; asked by the superuser unless a login is given. Raises ``psycopg2.Error``."""
        given = login or {"username": "postgres", "password": SUPERUSER, "database": "postgres"}
        connection = psycopg2.connect(
            host="localhost",
            port=self.port,
            user=given["username"],
            password=given["password"],
            dbname=given["database"],
            sslmode="disable",
        )
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def secret(self, folder: Path, name: str, login: Mapping[str, str]) -> None:
        """A login as a pod has it: a folder with a file for each key."""
        (folder / name).mkdir(parents=True, exist_ok=True)
        for key, value in {"host": "localhost", "port": str(self.port), **login}.items():
            (folder / name / key).write_text(value)


@contextmanager
def running(folder: Path) -> Iterator[Postgres]:
    """A server of its own. Skips where there is no Docker, or no image."""
    docker = require_docker()
    if subprocess.run([docker, "image", "inspect", IMAGE], capture_output=True, check=False).returncode:
        pulled = subprocess.run([docker, "pull", "--quiet", IMAGE], capture_output=True, text=True, check=False)
        if pulled.returncode:
            pytest.skip(f"the image {IMAGE} is not here and cannot be pulled: {pulled.stderr.strip()[-200:]}")
    command = [docker, "run", "--detach", "--rm", "--publish", "127.0.0.1::5432"]
    command += ["--env", f"POSTGRES_PASSWORD={SUPERUSER}", IMAGE, "postgres"]
    command += ["-c", "log_statement=all", "-c", "fsync=off"]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    try:
        address = subprocess.run([docker, "port", name, "5432/tcp"], check=True, capture_output=True, text=True).stdout
        found = Postgres(int(address.splitlines()[0].rpartition(":")[2]), folder / "ca.crt")
        _await(found)
        _with_tls(docker, name, found)
        found.ask(f"create role owner login createdb createrole password '{OWNER['password']}'")
        yield found
    finally:
        subprocess.run([docker, "rm", "--force", name], check=True, capture_output=True)


def log(port: int) -> str:
    """All that the server on a port has logged, statements among it."""
    docker = require_docker()
    found = [docker, "ps", "--quiet", "--filter", f"publish={port}"]
    name = subprocess.run(found, check=True, capture_output=True, text=True).stdout.strip()
    said = subprocess.run([docker, "logs", name], check=True, capture_output=True, text=True)
    return said.stdout + said.stderr


def _await(server: Postgres) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            server.ask("select 1")
            return
        except psycopg2.OperationalError:
            assert time.monotonic() < deadline, "Postgres does not answer"
            time.sleep(0.2)


def _with_tls(docker: str, name: str, server: Postgres) -> None:
    """Give the server a certificate of an authority of its own."""
    authority, key, certificate = certificates()
    server.authority.write_bytes(authority)
    for file, content in (("server.key", key), ("server.crt", certificate)):
        write = f'umask 077 && cat > "$PGDATA/{file}"'
        command = [docker, "exec", "--interactive", "--user", "postgres", name, "sh", "-c", write]
        subprocess.run(command, input=content, check=True, capture_output=True)
    server.ask("alter system set ssl = on")
    server.ask("select pg_reload_conf()")
    deadline = time.monotonic() + 20
    while server.ask("show ssl") != [("on",)]:
        assert time.monotonic() < deadline, "Postgres does not take its certificate"
        time.sleep(0.1)


def certificates(host: str = "localhost") -> tuple[bytes, bytes, bytes]:
    """An authority's certificate; a key, and the certificate of the name ``host`` that it has signed. PEM."""
    own, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority of the tests")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    began, ended = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(days=1)

    def signed(name: x509.Name, key: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType) -> bytes:
        builder = x509.CertificateBuilder(issuer, name, key, x509.random_serial_number(), began, ended)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(own, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    identity = x509.SubjectKeyIdentifier.from_public_key(own.public_key())
    authority = signed(issuer, own.public_key(), x509.BasicConstraints(ca=True, path_length=None), identity)
    named = x509.SubjectAlternativeName([x509.DNSName(host)])
    known = x509.AuthorityKeyIdentifier.from_issuer_public_key(own.public_key())
    key = server.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return authority, key, signed(subject, server.public_key(), named, known)
