"""What the lake relies on, held against every S3 server it is run on."""

import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from flows.ml.lake import Conflict, Lake, ObjectMissing
from ops.s3_servers import Server

WRITERS = 16
MIB = 1 << 20


@pytest.fixture
def parted(lake: Lake) -> Lake:
    """The lake that sends files in parts, the smallest S3 knows."""
    return replace(lake, single=5 * MIB, part=5 * MIB)


@pytest.fixture
def big_file(tmp_path: Path) -> Path:
    """A file of three parts, the last of one byte."""
    path = tmp_path / "big"
    path.write_bytes(os.urandom(10 * MIB + 1))
    return path


def at_once(write: Callable[[int], Any]) -> list[Any]:
    """What each of the writers came back with, all let go at the same moment."""
    gate = threading.Barrier(WRITERS)

    def enter(number: int) -> Any:
        gate.wait()
        return write(number)

    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(enter, range(WRITERS)))


def files_of_writers(folder: Path) -> list[Path]:
    """A file of two parts for each writer, unlike those of the others."""
    files = [folder / str(number) for number in range(WRITERS)]
    for number, file in enumerate(files):
        file.write_bytes(bytes([number]) * (5 * MIB + 1))
    return files


def test_of_16_writers_of_a_new_object_one_wins_and_its_bytes_stay(lake: Lake) -> None:
    won = at_once(lambda number: lake.put_new("ledger/1", b"writer %d" % number))

    assert won.count(True) == 1
    assert lake.get("ledger/1") == b"writer %d" % won.index(True)


def test_of_16_writers_that_replace_what_they_read_one_wins(lake: Lake) -> None:
    lake.put_new("manifest", b"before")
    _, etag = lake.read("manifest")

    def write(number: int) -> bool:
        try:
            lake.replace("manifest", b"writer %d" % number, etag)
        except Conflict:
            return False
        return True

    won = at_once(write)

    assert won.count(True) == 1
    assert lake.get("manifest") == b"writer %d" % won.index(True)


def test_of_16_uploads_of_a_file_one_wins_and_its_bytes_stay(lake: Lake, tmp_path: Path) -> None:
    files = files_of_writers(tmp_path)

    won = at_once(lambda number: lake.upload_new("big", files[number]))

    assert won.count(True) == 1
    assert lake.get("big") == files[won.index(True)].read_bytes()


def test_of_16_uploads_in_parts_that_end_at_once_one_stays_whole(parted: Lake, s3: Server, tmp_path: Path) -> None:
    last_part = threading.Barrier(WRITERS)
    files = files_of_writers(tmp_path)

    def together(count: int) -> None:
        if count == 1:
            last_part.wait(60)

    won = at_once(lambda number: parted.upload_new("big", files[number], together))

    kept = parted.get("big")
    assert kept in [file.read_bytes() for file, wins in zip(files, won, strict=True) if wins]
    assert not parted.upload_new("big", files[0])
    if s3.name == "minio":  # SeaweedFS tells several that they won: see flows/ml/lake.py
        assert won.count(True) == 1


def test_an_object_in_place_is_not_written_over(lake: Lake) -> None:
    assert lake.put_new("key", b"first")
    assert not lake.put_new("key", b"second")
    with pytest.raises(Conflict, match="Read it again"):
        lake.replace("key", b"third", None)
    assert lake.get("key") == b"first"


def test_a_replacement_needs_the_object_that_was_read(lake: Lake) -> None:
    first = lake.replace("key", b"first", None)
    second = lake.replace("key", b"second", first)

    with pytest.raises(Conflict):
        lake.replace("key", b"third", first)
    with pytest.raises(Conflict):
        lake.replace("other", b"third", second)
    assert lake.read("key") == (b"second", second)
    assert list(lake.keys()) == ["key"]


def test_a_file_in_parts_arrives_whole_and_is_not_seen_before(parted: Lake, big_file: Path, tmp_path: Path) -> None:
    seen = []
    sent = []

    def watch(count: int) -> None:
        seen.append((parted.find("big"), list(parted.keys())))
        sent.append(count)

    new = parted.upload_new("big", big_file, watch)
    digest = hashlib.sha256(big_file.read_bytes()).hexdigest()
    parted.download("big", tmp_path / "copy", digest, 10 * MIB + 1)

    assert new
    assert sent == [5 * MIB, 5 * MIB, 1]
    assert seen == [(None, [])] * 3
    assert (tmp_path / "copy").read_bytes() == big_file.read_bytes()
    assert not parted.upload_new("big", big_file)


def test_a_file_in_one_request_is_told_to_its_progress_once(lake: Lake, big_file: Path) -> None:
    sent: list[int] = []

    new = lake.upload_new("big", big_file, sent.append)

    assert new
    assert sum(sent) == 10 * MIB + 1
    assert lake.get("big") == big_file.read_bytes()


def test_an_upload_that_fails_half_way_leaves_nothing(parted: Lake, big_file: Path) -> None:
    def fail(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parted.upload_new("big", big_file, fail)

    full = parted.uri("big").removeprefix(f"s3://{parted.bucket}/")
    uploads = parted.client.list_multipart_uploads(Bucket=parted.bucket, Prefix=full)
    assert uploads.get("Uploads", []) == []
    assert parted.find("big") is None
    assert list(parted.keys()) == []
    assert parted.upload_new("big", big_file)


def test_an_empty_file_and_an_empty_object_are_objects(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    assert lake.upload_new("empty", tmp_path / "empty")
    lake.download("empty", tmp_path / "copy", hashlib.sha256().hexdigest(), 0)
    assert (tmp_path / "copy").read_bytes() == b""


@pytest.mark.parametrize(("wanted", "found"), [("0-3", b"0123"), ("8-100", b"89"), ("-3", b"789"), ("7-", b"789")])
def test_a_range_is_read_as_asked(lake: Lake, wanted: str, found: bytes) -> None:
    lake.put_new("key", b"0123456789")

    answer = raw_get(lake, "key", Range=f"bytes={wanted}")

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert answer["Body"].read() == found


def test_a_range_over_the_seam_of_two_parts_is_read_as_asked(parted: Lake, big_file: Path) -> None:
    parted.upload_new("big", big_file)

    answer = raw_get(parted, "big", Range=f"bytes={5 * MIB - 2}-{5 * MIB + 1}")

    assert answer["Body"].read() == big_file.read_bytes()[5 * MIB - 2 : 5 * MIB + 2]


def test_more_than_1000_keys_are_listed_each_once_in_order(lake: Lake) -> None:
    keys = [f"raw/2023-01/{number:04}" for number in range(1_003)]
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda key: lake.put_new(key, b""), keys))
    lake.put_new("raw/2023-02/0000", b"")

    assert list(lake.keys("raw/2023-01/")) == keys
    assert list(lake.keys("raw/2023-01/100")) == keys[1_000:]
    assert len(list(lake.keys())) == 1_004
    assert lake.folders("raw") == ["raw/2023-01/", "raw/2023-02/"]


def test_folders_are_those_right_under_a_folder(lake: Lake) -> None:
    for key in ("raw/green/2023-01/a", "raw/green/2023-02/b/c", "raw/green/readme", "raw/greenish/2023-03/d"):
        lake.put_new(key, b"")

    assert lake.folders("raw/green") == lake.folders("raw/green/") == ["raw/green/2023-01/", "raw/green/2023-02/"]
    assert lake.folders() == ["raw/"]
    assert lake.folders("nothing") == []


def test_a_body_that_is_not_what_its_checksum_says_is_refused(lake: Lake) -> None:
    with pytest.raises(ClientError):
        lake.client.put_object(**raw_names(lake, "md5"), Body=b"data", ContentMD5="AAAAAAAAAAAAAAAAAAAAAA==")
    with pytest.raises(ClientError):
        lake.client.put_object(**raw_names(lake, "sha"), Body=b"data", ChecksumSHA256="A" * 43 + "=")

    assert list(lake.keys()) == []


def test_a_client_with_the_checksums_boto3_adds_by_itself_reads_and_writes(
    lake: Lake, s3: Server, s3_session: boto3.Session
) -> None:
    client = s3_session.client("s3", endpoint_url=s3.url)
    client.put_object(**raw_names(lake, "key"), Body=b"data")

    assert client.get_object(**raw_names(lake, "key"))["Body"].read() == b"data"
    assert lake.get("key") == b"data"


def test_a_deleted_object_is_gone_and_its_key_free(lake: Lake) -> None:
    lake.put_new("key", b"first")
    lake.delete("key")
    lake.delete("key")

    assert lake.find("key") is None
    assert list(lake.keys()) == []
    with pytest.raises(ObjectMissing, match="key"):
        lake.get("key")
    assert lake.put_new("key", b"second")


def test_a_request_without_credentials_is_refused(lake: Lake, s3: Server, s3_session: boto3.Session) -> None:
    lake.put_new("key", b"data")
    anyone = s3_session.client("s3", endpoint_url=s3.url, config=Config(signature_version=UNSIGNED))

    requests: list[tuple[Callable[..., Any], dict[str, Any]]] = [
        (anyone.get_object, raw_names(lake, "key")),
        (anyone.put_object, raw_names(lake, "other") | {"Body": b""}),
        (anyone.list_objects_v2, {"Bucket": lake.bucket}),
        (anyone.list_buckets, {}),
    ]

    for send, request in requests:
        with pytest.raises(ClientError) as refusal:
            send(**request)
        assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def raw_names(lake: Lake, key: str) -> dict[str, Any]:
    """Bucket and key as the client itself wants them."""
    return {"Bucket": lake.bucket, "Key": f"{lake.prefix}/{key}"}


def raw_get(lake: Lake, key: str, **request: str) -> dict[str, Any]:
    """An object by the client itself."""
    answer: dict[str, Any] = lake.client.get_object(**raw_names(lake, key), **request)
    return answer
