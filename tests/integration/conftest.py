"""Real servers, each started once for all tests that want it."""

import contextlib
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from flows.ml.lake import Lake, connect
from flows.retrain import retrain
from ops.go_programs import cache_folder
from ops.minio import MinioMissing, find
from ops.s3_servers import REGION, SEAWEEDFS_PORTS, Server, find_weed, free_ports, make_bucket, running, seaweedfs
from tests.integration import home as homes
from tests.integration import monitored, reconciling, scored
from tests.integration.disturbed import Table
from tests.integration.servers import ROOT, prefect_and_mlflow
from tests.integration.warm import Warm

ACCESS_KEY = "trainyard-tests"
SECRET_KEY = "not-a-secret-of-anyone"
BUCKET = "lake"


@pytest.fixture(autouse=True)
def modules_are_found_as_before() -> Iterator[None]:
    """The code of models that a test loads is no longer where Python looks: MLflow puts each in front, and takes none
    away, while each of its requests looks everywhere for modules that are not there."""
    before = [*sys.path]
    yield
    sys.path[:] = before


@pytest.fixture(scope="session")
def s3_session() -> boto3.Session:
    """The credentials both S3 servers know."""
    return boto3.Session(aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name=REGION)


@pytest.fixture(scope="session")
def seaweedfs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """SeaweedFS with a bucket ``lake``."""
    folder = tmp_path_factory.mktemp("seaweedfs")
    server = seaweedfs(find_weed(), folder, free_ports(SEAWEEDFS_PORTS), ACCESS_KEY, SECRET_KEY)
    with running(server, folder / "log"):
        make_bucket(server.url, BUCKET, ACCESS_KEY, SECRET_KEY)
        yield server


@pytest.fixture(scope="session")
def minio_server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    """MinIO with a bucket ``lake``; tests that want it are skipped, with the reason, where there is none."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{line}")

    try:
        found = find(cache_folder(os.environ), say)
    except MinioMissing as missing:
        pytest.skip(str(missing))
    folder = tmp_path_factory.mktemp("minio")
    server = found.server(folder, free_ports(1)[0], ACCESS_KEY, SECRET_KEY)
    with running(server, folder / "log"):
        make_bucket(server.url, BUCKET, ACCESS_KEY, SECRET_KEY)
        yield server


@pytest.fixture(scope="session", params=["minio", "seaweedfs"])
def s3(request: pytest.FixtureRequest) -> Server:
    """Every S3 server in turn."""
    server: Server = request.getfixturevalue(f"{request.param}_server")
    return server


@pytest.fixture
def lake(s3: Server, s3_session: boto3.Session) -> Lake:
    """An empty lake on every S3 server in turn."""
    return connect(BUCKET, f"tests/{uuid.uuid4().hex}", s3_session, s3.url)


@pytest.fixture(scope="session")
def platform(minio_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a Prefect and an MLflow server beside MinIO."""
    folder = tmp_path_factory.mktemp("platform")
    with prefect_and_mlflow(folder, minio_server, ACCESS_KEY, SECRET_KEY) as env:
        yield env


@pytest.fixture
def home(platform: dict[str, str], tmp_path: Path) -> Iterator[homes.Home]:
    """A lake, a registry and a folder of published months, all empty; the environment leads there."""
    with homes.home(platform, tmp_path) as own:
        yield own


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """Where runs of flows begin that are to be killed."""
    with contextlib.closing(Warm(tmp_path_factory.mktemp("warm"))) as found:
        yield found


@pytest.fixture
def calm(home: homes.Home) -> Iterator[homes.Home]:
    """A home on whose Prefect no run is under way, but for those that the test begins."""
    with reconciling.unwatched():
        reconciling.close_all()
        yield home
        reconciling.close_all()


@pytest.fixture
def alarming(home: homes.Home, request: pytest.FixtureRequest) -> homes.Home:
    """A home where version 1, trained on 2023-01, is in service, and 2023-03 drifts: a zone is closed, or as asked."""
    home.land("2023-01", "2023-02")
    assert homes.run(retrain, model=homes.MODEL).name == "Promoted"
    home.land(monitored.MONTH, rows=monitored.DRIFTS[getattr(request, "param", "a closed zone")])
    return home


@pytest.fixture(scope="module")
def kept_home(platform: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[homes.Home]:
    """A home where version 1, trained on 2023-01, is in service; all tests of a module share it."""
    with homes.home(platform, tmp_path_factory.mktemp("home")) as own:
        own.land("2023-01", "2023-02")
        assert homes.run(retrain, model=homes.MODEL, until="2023-02").name == "Promoted"
        yield own


@pytest.fixture
def served(kept_home: homes.Home) -> homes.Home:
    """That home, where 2023-03 is there to be scored and was not yet."""
    kept_home.land(scored.MONTH)
    scored.clear(kept_home)
    return kept_home


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    """What became of the flows that a module disturbs; printed, and kept beside the reports of the tests."""
    found = Table()
    yield found
    name = str(request.module.__name__).rpartition("test_")[2].replace("_", "-")
    (folder := ROOT / ".trainyard" / "tests").mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(found.text())
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{found.text()}", file=sys.stderr)  # the standard output of a worker of xdist is not shown
