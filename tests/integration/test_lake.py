"""What the lake says, and leaves behind, when S3 does not do what it should."""

import hashlib
import socket
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from flows.ml.lake import (
    BucketMissing,
    CredentialsRefused,
    DigestMismatch,
    Lake,
    LakeError,
    LakeUnreachable,
    ObjectMissing,
    Truncated,
    connect,
)
from ops.s3_servers import REGION, Server

SECRET = "a-secret-that-no-one-may-read"


@pytest.fixture
def weed_lake(seaweedfs_server: Server, s3_session: boto3.Session) -> Lake:
    """An empty lake on SeaweedFS, which every machine has."""
    return connect("lake", f"tests/{uuid.uuid4().hex}", s3_session, seaweedfs_server.url)


@pytest.fixture
def secret_session() -> boto3.Session:
    """Credentials that no server knows."""
    return boto3.Session(aws_access_key_id="someone", aws_secret_access_key=SECRET, region_name=REGION)


@contextmanager
def fake_s3(answer: bytes | None) -> Iterator[str]:
    """The address of a server that gives every request the same bytes and hangs up, for None never a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            held = []
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                if answer is None:
                    held.append(connection)
                    continue
                with connection:
                    connection.recv(65_536)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def refused() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def everything(lake: Lake, file: Path) -> dict[str, Callable[[], Any]]:
    """Every request the lake can make, by name."""
    return {
        "check": lake.check,
        "get": lambda: lake.get("key"),
        "find": lambda: lake.find("key"),
        "put_new": lambda: lake.put_new("key", b""),
        "replace": lambda: lake.replace("key", b"", '"etag"'),
        "upload_new": lambda: lake.upload_new("key", file),
        "upload_new in parts": lambda: replace(lake, single=1).upload_new("key", file),
        "download": lambda: lake.download("key", file.with_name("copy")),
        "keys": lambda: list(lake.keys()),
        "folders": lake.folders,
        "uploads": lake.uploads,
        "delete": lambda: lake.delete("key"),
    }


def failures(lake: Lake, folder: Path) -> dict[str, LakeError]:
    """What every request of the lake fails with, after a look that it left no file."""
    (folder / "file").write_bytes(b"ab")
    errors = {}
    for name, request in everything(lake, folder / "file").items():
        with pytest.raises(LakeError) as caught:
            request()
        errors[name] = caught.value
        assert [path.name for path in folder.iterdir()] == ["file"]
    return errors


def test_wrong_credentials_are_refused_by_name_and_the_secret_stays_out_of_it(
    seaweedfs_server: Server, secret_session: boto3.Session, tmp_path: Path
) -> None:
    lake = connect("lake", "", secret_session, seaweedfs_server.url)

    for name, error in failures(lake, tmp_path).items():
        assert isinstance(error, CredentialsRefused), name
        assert seaweedfs_server.url in str(error)
        assert "Check the access key" in str(error)
        assert SECRET not in "".join(traceback.format_exception(error))


def test_no_credentials_at_all_is_said_with_where_they_are_looked_for(
    refused: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    with pytest.raises(CredentialsRefused, match="AWS_SHARED_CREDENTIALS_FILE"):
        connect("lake", endpoint=refused).check()


def test_a_bucket_that_does_not_exist_is_named(
    seaweedfs_server: Server, s3_session: boto3.Session, tmp_path: Path
) -> None:
    lake = connect("nowhere", "", s3_session, seaweedfs_server.url)

    for name, error in failures(lake, tmp_path).items():
        assert isinstance(error, BucketMissing), name
        assert "there is no bucket 'nowhere'" in str(error)


def test_an_endpoint_where_nobody_listens_is_named_within_ten_seconds(
    refused: str, secret_session: boto3.Session, tmp_path: Path
) -> None:
    lake = connect("lake", "", secret_session, refused)
    start = time.monotonic()
    with pytest.raises(LakeUnreachable):
        lake.get("key")
    seconds = time.monotonic() - start

    assert seconds < 10
    for name, error in failures(replace(lake, client=lake.probe), tmp_path).items():
        assert isinstance(error, LakeUnreachable), name
        assert refused in str(error)
        assert SECRET not in str(error)


def test_an_endpoint_that_never_answers_is_named_in_about_ten_seconds(secret_session: boto3.Session) -> None:
    with fake_s3(None) as url:
        start = time.monotonic()
        with pytest.raises(LakeUnreachable, match=url):
            connect("lake", "", secret_session, url).check()

        assert time.monotonic() - start < 12


def test_a_server_that_fails_is_unreachable_by_name(secret_session: boto3.Session) -> None:
    answer = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n"

    with fake_s3(answer) as url, pytest.raises(LakeUnreachable, match="cannot serve"):
        connect("lake", "", secret_session, url).check()


def test_an_address_of_the_endpoint_keeps_its_password_to_itself(secret_session: boto3.Session, refused: str) -> None:
    with pytest.raises(LakeError) as caught:
        connect("lake", "", secret_session, refused.replace("//", f"//user:{SECRET}@")).check()

    assert SECRET not in str(caught.value)


def test_an_endpoint_that_is_no_address_is_named() -> None:
    with pytest.raises(LakeError, match="AWS_ENDPOINT_URL"):
        connect("lake", endpoint="nonsense")


def test_a_download_that_ends_early_is_named_and_leaves_the_old_file(
    secret_session: boto3.Session, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with fake_s3(b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 100\r\n\r\nonly this') as url:
        lake = connect("lake", "", secret_session, url)
        with pytest.raises(Truncated, match="Run again"):
            lake.download("key", tmp_path / "file")
        with pytest.raises(Truncated):
            lake.get("key")

    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.parametrize("name", ["check", "find", "keys", "folders", "uploads", "get", "put_new"])
def test_an_answer_cut_within_its_headers_is_not_taken_for_one_that_there_is_nothing(
    secret_session: boto3.Session, tmp_path: Path, name: str
) -> None:
    with fake_s3(b"HTTP/1.1 200 OK\r\nServer: S3\r\nContent-Ty") as url:
        lake = connect("lake", "", secret_session, url)

        with pytest.raises(LakeUnreachable, match=r"only a part of an answer .*Run again"):
            everything(lake, tmp_path / "file")[name]()


@pytest.mark.parametrize("promise", [{"sha256": hashlib.sha256(b"other").hexdigest()}, {"size": 3}, {"size": 0}])
def test_an_object_that_is_not_the_promised_one_is_named_and_leaves_nothing(
    weed_lake: Lake, tmp_path: Path, promise: dict[str, Any]
) -> None:
    weed_lake.put_new("key", b"data")

    with pytest.raises(DigestMismatch, match=hashlib.sha256(b"data").hexdigest()):
        weed_lake.download("key", tmp_path / "file", **promise)
    assert list(tmp_path.iterdir()) == []


def test_the_promised_object_is_kept_and_its_progress_told(weed_lake: Lake, tmp_path: Path) -> None:
    counts: list[int] = []
    weed_lake.put_new("key", b"data")

    weed_lake.download("key", tmp_path / "file", hashlib.sha256(b"data").hexdigest(), 4, counts.append)

    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert sum(counts) == 4


def test_a_missing_object_is_named_and_leaves_nothing(weed_lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(ObjectMissing, match="months/missing"):
        weed_lake.download("months/missing", tmp_path / "file")

    assert list(tmp_path.iterdir()) == []


def test_an_object_that_is_no_json_is_named(weed_lake: Lake) -> None:
    weed_lake.put_new("good", b'{"rows": 3}')
    weed_lake.put_new("bad", b"{")

    assert weed_lake.get_json("good") == {"rows": 3}
    with pytest.raises(LakeError, match=r"bad.*not JSON"):
        weed_lake.get_json("bad")


def test_a_write_whose_answer_was_lost_counts_as_won(weed_lake: Lake) -> None:
    class Lossy:
        """A client that sends every write twice, as boto3 does when it hears nothing of the first."""

        def __getattr__(self, name: str) -> Any:
            return getattr(weed_lake.client, name)

        def put_object(self, **request: Any) -> Any:
            weed_lake.client.put_object(**request)
            return weed_lake.client.put_object(**request)

    lossy = replace(weed_lake, client=Lossy())

    assert lossy.put_new("key", b"first")
    assert not lossy.put_new("key", b"second")
    lossy.replace("key", b"third", weed_lake.read("key")[1])
    assert weed_lake.get("key") == b"third"


def test_lakes_in_one_bucket_do_not_see_each_other(weed_lake: Lake) -> None:
    other = replace(weed_lake, prefix=f"{weed_lake.prefix}x")
    weed_lake.put_new("key", b"data")

    assert list(other.keys()) == []
    assert other.find("key") is None
    assert weed_lake.uri("key") == f"s3://lake/{weed_lake.prefix}/key"
