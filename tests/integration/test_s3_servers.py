"""How the S3 servers behave as programs."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import boto3
import psutil
import pytest

from flows.ml.lake import Lake, LakeUnreachable, connect
from ops.s3_servers import (
    SEAWEEDFS_PORTS,
    Server,
    ServerError,
    find_weed,
    free_ports,
    make_bucket,
    minio,
    running,
    seaweedfs,
)
from tests.unit import stand_ins

KEYS = ("trainyard-tests", "not-a-secret-of-anyone")


def listeners(pid: int) -> set[tuple[str, int]]:
    """Where a program listens."""
    found = psutil.Process(pid).net_connections("inet")
    return {(each.laddr.ip, each.laddr.port) for each in found if each.status == psutil.CONN_LISTEN}


def lake_on(server: Server, session: boto3.Session) -> Lake:
    """A lake on a server that was just started."""
    make_bucket(server.url, "lake", *KEYS)
    return connect("lake", "", session, server.url)


def patiently(read: Callable[[], bytes], seconds: float = 30) -> bytes:
    """SeaweedFS answers some seconds before its volumes are found again after a kill; the flows try again as well."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return read()
        except LakeUnreachable:
            if time.monotonic() > deadline:
                raise


def test_seaweedfs_keeps_its_data_over_a_kill_and_a_change_of_ports(tmp_path: Path, s3_session: boto3.Session) -> None:
    first = seaweedfs(find_weed(), tmp_path, free_ports(SEAWEEDFS_PORTS), *KEYS)
    big = os.urandom(9 << 20)
    with running(first, tmp_path / "log") as process:
        lake = lake_on(first, s3_session)
        lake.put_new("big", big)
        lake.put_new("small", b"small")
        process.kill()

    second = seaweedfs(find_weed(), tmp_path, free_ports(SEAWEEDFS_PORTS), *KEYS)
    with running(second, tmp_path / "log"):
        lake = lake_on(second, s3_session)

        assert patiently(lambda: lake.get("big")) == big
        assert lake.get("small") == b"small"
        assert not lake.put_new("small", b"other")
        assert lake.put_new("after", b"after")
        assert lake.get("after") == b"after"


def test_seaweedfs_listens_where_it_was_told_and_leaves_nothing_outside_its_folder(tmp_path: Path) -> None:
    server = seaweedfs(find_weed(), tmp_path, free_ports(SEAWEEDFS_PORTS), *KEYS)
    with running(server, tmp_path / "log") as process:
        found = listeners(process.pid)
        debris = [path for path in server.debris if path.exists()]

    assert found == {("127.0.0.1", port) for port in server.ports}
    assert len(debris) == len(server.debris)
    assert not any(path.exists() for path in server.debris)


def test_seaweedfs_takes_little_disk_and_hides_its_secret(tmp_path: Path) -> None:
    server = seaweedfs(find_weed(), tmp_path, free_ports(SEAWEEDFS_PORTS), *KEYS)
    with running(server, tmp_path / "log") as process:
        make_bucket(server.url, "lake", *KEYS)
        command = " ".join(psutil.Process(process.pid).cmdline())
    used = sum(path.stat().st_blocks * 512 for path in tmp_path.rglob("*"))

    assert used < 20 << 20
    assert KEYS[1] not in command
    assert KEYS[1] not in (tmp_path / "log").read_text()
    assert (tmp_path / "s3.json").stat().st_mode & 0o777 == 0o600


def test_minio_listens_on_one_port_of_loopback(minio_server: Server) -> None:
    found = [each.laddr for each in psutil.net_connections("inet") if each.status == psutil.CONN_LISTEN]
    places = {address.ip for address in found if address.port in minio_server.ports}

    assert len(minio_server.ports) == 1
    assert "127.0.0.1" in places
    assert places <= {"127.0.0.1", "::1"}


def test_a_server_that_does_not_start_is_named_with_the_last_it_said(tmp_path: Path) -> None:
    program = stand_ins.put(tmp_path, "minio", "echo the disk is gone\nexit 1")
    server = minio(program, tmp_path, free_ports(1)[0], *KEYS)

    with pytest.raises(ServerError, match="the disk is gone"), running(server, tmp_path / "log"):
        pass
