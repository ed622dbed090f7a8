"""A month's file from a URL, a path and a bucket, and what goes wrong on the way. Servers are on 127.0.0.1."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest

from flows.ml.source import (
    MonthNotPublished,
    Patience,
    SourceError,
    SourceUnreachable,
    fetch,
    published,
    resolve,
    shown,
)

MONTH = "2023-02"
QUICK = Patience(connect=0.2, read=0.2, attempts=3, pause=0.01)


def parquet() -> bytes:
    file = BytesIO()
    pl.DataFrame({"a": range(1_000)}).write_parquet(file)
    return file.getvalue()


CONTENT = parquet()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """Answers by the path asked for; ``asked`` are the paths so far."""

    url: str = ""
    asked: list[str] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.split("?")[0]
        self.asked.append(path)
        first = self.asked.count(path) < 2
        match path:
            case "/busy" if first:
                request.send_error(503)
            case "/slow" if first:
                threading.Event().wait(0.3)
            case "/cut":
                self.send(request, CONTENT[:500], len(CONTENT))
            case "/cut-once" if first:
                self.send(request, CONTENT[:500], len(CONTENT))
            case "/moved":
                request.send_response(302)
                request.send_header("Location", "/file")
                request.end_headers()
            case "/unsized":
                self.send(request, CONTENT, None)
            case "/loop":
                request.send_response(302)
                request.send_header("Location", "/loop")
                request.end_headers()
            case _ if path[1:].isdigit():
                request.send_error(int(path[1:]))
            case _:
                self.send(request, CONTENT, len(CONTENT))

    def send(self, request: BaseHTTPRequestHandler, body: bytes, size: int | None) -> None:
        request.send_response(200)
        if size is not None:
            request.send_header("Content-Length", str(size))
        request.end_headers()
        request.wfile.write(body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    answers = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers.answer(self)

        def log_message(self, *args: object) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    answers.url = f"http://127.0.0.1:{listener.server_port}"
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield answers
    listener.shutdown()
    thread.join()
    listener.server_close()


@pytest.mark.parametrize("path", ["/file", "/moved", "/busy", "/slow", "/cut-once", "/unsized"])
def test_a_file_arrives_whole_also_after_faults_that_pass(server, tmp_path, path):
    got = fetch(server.url + path, MONTH, tmp_path, patience=QUICK)

    assert got.path.read_bytes() == CONTENT
    assert (got.size, got.sha256, got.name) == (len(CONTENT), SHA256, server.url + path)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_file_the_server_does_not_have_is_a_month_not_published(server, tmp_path, status):
    with pytest.raises(MonthNotPublished, match=f"2023-02: not published at .*HTTP {status}"):
        fetch(f"{server.url}/{status}", MONTH, tmp_path, patience=QUICK)

    assert len(server.asked) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["/500", "/429", "/cut"])
def test_a_fault_that_does_not_pass_is_given_up_after_the_last_attempt(server, tmp_path, path):
    with pytest.raises(SourceUnreachable):
        fetch(server.url + path, MONTH, tmp_path, patience=QUICK)

    assert len(server.asked) == QUICK.attempts
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["/401", "/204", "/loop"])
def test_an_answer_that_will_not_change_is_not_asked_for_again(server, tmp_path, path):
    with pytest.raises(SourceError) as error:
        fetch(server.url + path, MONTH, tmp_path, patience=QUICK)

    assert not isinstance(error.value, SourceUnreachable)


def test_a_server_that_is_not_there_is_unreachable(tmp_path):
    with pytest.raises(SourceUnreachable, match="no whole answer"):
        fetch("http://127.0.0.1:9/file", MONTH, tmp_path, patience=QUICK)


@pytest.mark.parametrize("address", ["http://127.0.0.1:port/x?key=secret", "http://[::1/x?key=secret"])
def test_an_address_that_is_none_is_a_source_error_without_its_secrets(tmp_path, address):
    with pytest.raises(SourceError) as error:
        fetch(address, MONTH, tmp_path, patience=QUICK)

    assert "secret" not in str(error.value)


def test_secrets_of_an_address_are_neither_kept_nor_told(server, tmp_path):
    address = f"{server.url}/%s?signature=secret#secret".replace("//", "//user:secret@")

    got = fetch(address % "file", MONTH, tmp_path, patience=QUICK)
    with pytest.raises(MonthNotPublished) as error:
        fetch(address % "404", MONTH, tmp_path, patience=QUICK)

    assert got.name == f"{server.url}/file"
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://user:pass@host/a@b?x=1", "https://host/a@b"),
        ("s3://bucket/key", "s3://bucket/key"),
        ("months/50%?.parquet", "months/50%?.parquet"),
    ],
)
def test_what_is_shown_of_an_address(address, expected):
    assert shown(address) == expected


def test_a_promised_digest_is_held_to(server, tmp_path):
    assert fetch(server.url + "/file", MONTH, tmp_path, sha256=SHA256.upper()).sha256 == SHA256

    with pytest.raises(SourceError, match=f"sha256 is {SHA256}, promised was {'0' * 64}"):
        fetch(server.url + "/file", MONTH, tmp_path, sha256="0" * 64)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"P", "not a Parquet file"),
        (b"<!DOCTYPE html>", "not a Parquet file"),
        (CONTENT[:-100], "cut off"),
        (b"PAR1" + b"\0" * 100 + b"PAR1", "damaged"),
        (b"PAR1", "damaged"),
    ],
)
def test_what_is_no_whole_parquet_file_is_told_apart(tmp_path, content, says):
    source, folder = tmp_path / "source.parquet", tmp_path / "folder"
    source.write_bytes(content)
    folder.mkdir()

    with pytest.raises(SourceError, match=says):
        fetch(str(source), MONTH, folder)

    assert list(folder.iterdir()) == []


def test_a_local_file_is_copied_and_left_alone(tmp_path):
    source = tmp_path / f"{MONTH}.parquet"
    source.write_bytes(CONTENT)
    template = str(tmp_path / "{month}.parquet")

    got = fetch(resolve(template, "green-trips", MONTH), MONTH, tmp_path)

    assert got.path != source
    assert got.path.read_bytes() == source.read_bytes() == CONTENT


def test_a_missing_local_file_is_a_month_not_published(tmp_path):
    with pytest.raises(MonthNotPublished, match="no file"):
        fetch(str(tmp_path / "absent.parquet"), MONTH, tmp_path)


def test_a_folder_in_place_of_a_file_is_a_source_error(tmp_path):
    with pytest.raises(SourceError, match="Is a directory"):
        fetch(str(tmp_path), MONTH, tmp_path)


@dataclass(frozen=True)
class Object:
    size: int


@dataclass(frozen=True)
class Bucket:
    """A bucket of one object."""

    def find(self, key: str) -> Object | None:
        return Object(len(CONTENT)) if key == "trips/2023-02.parquet" else None

    def download(self, key: str, path: Path, *, size: int, progress) -> None:
        assert size == len(CONTENT)
        path.write_bytes(CONTENT)
        progress(size - 1)
        progress(1)


def test_an_object_comes_from_its_bucket(tmp_path):
    names, told = [], []
    address = resolve("s3://data/trips/{month}.parquet", "green-trips", MONTH)

    got = fetch(
        address,
        MONTH,
        tmp_path,
        buckets=lambda name: names.append(name) or Bucket(),
        progress=lambda *bytes_: told.append(bytes_),
    )

    assert (names, got.name, got.sha256) == (["data"], "s3://data/trips/2023-02.parquet", SHA256)
    assert told == [(len(CONTENT) - 1, len(CONTENT)), (len(CONTENT), len(CONTENT))]


def test_an_object_that_is_not_there_is_a_month_not_published(tmp_path):
    with pytest.raises(MonthNotPublished, match=r"s3://data/trips/2023-03\.parquet"):
        fetch("s3://data/trips/2023-03.parquet", "2023-03", tmp_path, buckets=lambda name: Bucket())


@pytest.mark.parametrize("address", ["s3://data", "s3://data/", "s3:///key"])
def test_an_s3_address_without_bucket_or_key_is_a_source_error(tmp_path, address):
    with pytest.raises(SourceError, match="s3://bucket/key"):
        fetch(address, MONTH, tmp_path, buckets=lambda name: Bucket())


def test_progress_ends_at_the_promised_size(server, tmp_path):
    told = []

    fetch(server.url + "/file", MONTH, tmp_path, progress=lambda *bytes_: told.append(bytes_))

    assert told[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize(("path", "expected"), [("/file", True), ("/busy", True), ("/404", False), ("/403", False)])
def test_whether_a_month_is_published_is_asked_of_the_server(server, path, expected):
    assert published(server.url + path, MONTH, patience=QUICK) is expected


def test_a_server_that_cannot_say_is_not_taken_for_a_month_not_published(server):
    with pytest.raises(SourceUnreachable):
        published(server.url + "/500", MONTH, patience=QUICK)


def test_whether_a_path_or_an_object_is_there(tmp_path):
    (tmp_path / "there.parquet").touch()

    assert published(str(tmp_path / "there.parquet"), MONTH)
    assert not published(str(tmp_path / "absent.parquet"), MONTH)
    assert published("s3://data/trips/2023-02.parquet", MONTH, buckets=lambda name: Bucket())
    assert not published("s3://data/trips/2023-03.parquet", "2023-03", buckets=lambda name: Bucket())


def test_dataset_and_month_are_filled_in():
    assert resolve("https://host/{dataset}/{month}.parquet", "green-trips", MONTH) == (
        "https://host/green-trips/2023-02.parquet"
    )


@pytest.mark.parametrize("template", ["https://host/{year}.parquet", "ftp://host/{month}"])
def test_a_template_that_cannot_be_read_is_a_source_error(template):
    with pytest.raises(SourceError, match=r"year|ftp"):
        resolve(template, "green-trips", MONTH)
