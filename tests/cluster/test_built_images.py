"""The images as built: what is in them, what is not, and that they run as a cluster runs them."""

import hashlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ops import image_facts, images
from ops.image_facts import CONFINED, IMPORTS

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("flows", "server", "mlflow")
MEGABYTE = 1e6
SIZES = image_facts.kept()
"""Of the user who runs the suite, which gives itself another home."""
LIMITS = {"flows": (300, 900), "server": (200, 550), "mlflow": (350, 1100)}
"""Megabytes, compressed and unpacked."""
PROGRAMS = {
    "flows": IMPORTS,
    "server": "import prefect.server.api.server, prefect_kubernetes, prefect_aws, asyncpg, yaml",
    "mlflow": "import mlflow.server.auth, mlflow.server.fastapi_app, boto3, psycopg2",
}
SERVERS = {
    "server": ("prefect server start --host 0.0.0.0", "http://127.0.0.1:4200/api/health", "http://127.0.0.1:4200/"),
    "mlflow": (
        "mlflow server --app-name basic-auth --workers 1 --backend-store-uri sqlite:////tmp/mlflow.db",
        "http://127.0.0.1:5000/health",
        "http://127.0.0.1:5000/health",
    ),
}
SETTINGS = (
    "--env=PREFECT_SERVER_ANALYTICS_ENABLED=false",
    "--env=MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false",
    "--env=MLFLOW_FLASK_SERVER_SECRET_KEY=a-key-of-this-test",
    "--env=MLFLOW_AUTH_ADMIN_PASSWORD=a-password-of-this-test",
)
BARE = ("--rm", "--interactive", "--read-only", "--user=0", "--network=none")
"""How an image is looked through: as it is, with the eyes of its root."""
ASK = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).status)"
STALE = """

import pathlib, sys
files = [pathlib.Path(getattr(module, "__file__", None) or "") for module in list(sys.modules.values())]
ours = [file for file in files if file.is_relative_to("/opt/trainyard") and file.suffix == ".py"]
assert len(ours) > 50, len(ours)
compiled = [file.parent / "__pycache__" / f"{file.stem}.{sys.implementation.cache_tag}.pyc" for file in ours]
print([str(file) for file in compiled if file.read_bytes()[4] != 1])  # PEP 552: 1 is never compared with the source
"""
FIND = """
import hashlib, os, sys, json
wanted = set(json.load(sys.stdin))
for top, folders, files in os.walk("/"):
    folders[:] = [one for one in folders if os.path.join(top, one) not in ("/proc", "/sys", "/dev")]
    for name in files:
        path = os.path.join(top, name)
        if os.path.isfile(path) and os.access(path, os.R_OK):
            if hashlib.sha256(open(path, "rb").read()).hexdigest() in wanted:
                print(path)
"""
LEFT = """
for name in pip pip3 uv gcc cc make ld strip perldoc; do command -v $name; done
find / -xdev -type d -name pip -path '*-packages*' 2>/dev/null
find /var/lib/apt/lists /var/cache/apt /var/log /tmp /var/tmp /home -type f 2>/dev/null
find / -xdev -type f -path '*/.cache/*' 2>/dev/null
find /opt/trainyard -type d -name tests
find / -xdev -name requirements.txt 2>/dev/null
true
"""
CLONE = """
git init -q origin && cd origin && mkdir flows docs && echo 1 >flows/a && echo 2 >docs/b && git add .
git -c user.name=a -c user.email=b commit -qm first && git config uploadpack.allowFilter true
cd .. && python - "$(git -C origin rev-parse HEAD)" <<END
import asyncio, pathlib, sys
from prefect.runner.storage import GitRepository
storage = GitRepository(url="file:///tmp/origin", commit_sha=sys.argv[1], directories=["flows"], name="clone")
storage.set_base_path(pathlib.Path("/tmp"))
asyncio.run(storage.pull_code())
END
find clone -path clone/.git -prune -o -type f -print
"""


try:
    images.engine()
except images.ImageError as error:
    pytest.skip(f"the images cannot be built here: {error}", allow_module_level=True)


@pytest.fixture(scope="module")
def built() -> dict[str, str]:
    wanted = images.images(ROOT)
    images.build(ROOT, wanted, print)
    return {image.name: image.reference for image in wanted}


def docker(*arguments: str, stdin: str | None = None) -> str:
    done = subprocess.run(["docker", *arguments], input=stdin, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def confined(reference: str, *command: str, options: tuple[str, ...] = (), stdin: str | None = None) -> str:
    return docker("run", "--interactive", *CONFINED, *options, reference, *command, stdin=stdin)


def configuration(reference: str) -> dict:
    return json.loads(docker("image", "inspect", "--format", "{{json .Config}}", reference))


@contextmanager
def running(reference: str, *command: str) -> Iterator[str]:
    """A container that runs as in a cluster, its network its own loopback."""
    options = [option for option in CONFINED if option != "--rm"]
    container = docker("run", "--detach", *options, *SETTINGS, reference, *command).strip()
    try:
        yield container
    finally:
        docker("rm", "--force", container)


def wait_until(container: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, docker("logs", container)
        time.sleep(0.5)


def answers(container: str, url: str) -> bool:
    asked = ["docker", "exec", container, "python", "-c", ASK, url]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def stopped(container: str) -> tuple[float, int]:
    """Seconds until the container has ended of a polite signal (30 where it had to be killed), and its exit status."""
    began = time.monotonic()
    docker("stop", "--time", "30", container)
    return time.monotonic() - began, int(docker("inspect", "--format", "{{.State.ExitCode}}", container))


@pytest.mark.parametrize("name", NAMES)
def test_an_image_says_where_it_comes_from_and_runs_as_nobody(built, name) -> None:
    found = configuration(built[name])

    labels = {name.rpartition(".")[2]: value for name, value in found["Labels"].items()}
    assert {"source", "revision", "version"} <= set(labels)
    assert all(labels.values())
    assert found["User"] == "10001:10001"
    assert found["Entrypoint"] == ["tini", "--"]
    assert not found.get("Cmd") or found["Cmd"] == ["bash"]  # the base's; the chart says what runs


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_not_heavier_than_promised(built, name) -> None:
    found = image_facts.sizes("docker", built[name], SIZES)

    compressed, unpacked = LIMITS[name]
    assert found.compressed <= compressed * MEGABYTE
    assert found.unpacked <= unpacked * MEGABYTE


def test_make_images_prints_of_each_its_tag_and_weights_and_of_the_flows_the_seconds_of_their_imports(
    built: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_facts, "kept", lambda: SIZES)

    head, *lines = images.table(images.images(ROOT))

    found = {name: words for name, *words in map(str.split, lines)}
    seconds = found["flows"][-2:]
    assert head.split() == ["image", "tag", "compressed", "unpacked", "imports"]
    assert {name: words[:5] for name, words in found.items()} == {name: printed(built[name]) for name in NAMES}
    assert [len(found[name]) for name in NAMES] == [7, 5, 5]
    assert float(seconds[0]) > 0.1
    assert seconds[1] == "s"


def printed(reference: str) -> list[str]:
    """The words on an image's tag and weights."""
    weight = image_facts.sizes("docker", reference, SIZES)
    return [reference.rpartition(":")[2], f"{weight.compressed / 1e6:.0f}", "MB", f"{weight.unpacked / 1e6:.0f}", "MB"]


@pytest.mark.parametrize("name", NAMES)
def test_its_packages_import_on_a_read_only_root_by_bytecode_that_is_never_stale(built, name) -> None:
    said = confined(built[name], "python", "-c", PROGRAMS[name] + STALE)

    assert said.strip().splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_built_it_is_left(built, name) -> None:
    assert docker("run", *BARE, built[name], "sh", "-c", LEFT) == ""


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_the_repository_is_inside(built, name) -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [ROOT / file for file in tracked.stdout.split("\0") if file != "LICENSE"]  # Debian has the same text
    contents = {file.read_bytes() for file in files if file.is_file()}
    digests = json.dumps([hashlib.sha256(data).hexdigest() for data in contents if data.strip()])

    assert docker("run", *BARE, built[name], "python", "-c", FIND, stdin=digests) == ""


def test_the_search_for_the_repositorys_files_would_find_one(built) -> None:
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    planted = {f"/{folder}/planted" for folder in ("opt", "root", "tmp")}
    mounted = [f"--volume={ROOT / 'LICENSE'}:{path}:ro" for path in planted]

    found = docker("run", *BARE, *mounted, built["server"], "python", "-c", FIND, stdin=json.dumps([digest]))

    assert planted <= {*found.splitlines()}


def test_the_flows_import_in_their_image(built) -> None:
    mounted = (f"--volume={ROOT / 'flows'}:/code/flows:ro", "--workdir=/code")

    said = confined(built["flows"], "python", "-c", "import flows.monthly; print('imported')", options=mounted)

    assert said.splitlines()[-1] == "imported"


def test_the_pull_step_clones_a_part_of_a_commit(built) -> None:
    said = confined(built["flows"], "bash", "-euc", CLONE)

    assert said.splitlines()[-1] == "clone/flows/a"


@pytest.mark.parametrize("name", NAMES)
def test_a_signal_ends_a_program_that_has_no_handler_yet(built, name) -> None:
    with running(built[name], "sh", "-c", "echo started; exec sleep 300") as container:
        wait_until(container, lambda: "started" in docker("logs", container))
        seconds, status = stopped(container)

    assert seconds < 10
    assert status == 128 + 15


@pytest.mark.parametrize("name", [*SERVERS])
def test_a_server_serves_from_a_read_only_root_and_ends_politely(built, name) -> None:
    command, ready, page = SERVERS[name]
    with running(built[name], *command.split()) as container:
        wait_until(container, lambda: answers(container, ready))
        answer = docker("exec", container, "python", "-c", ASK, page).strip()
        seconds, status = stopped(container)

    assert answer == "200"
    assert seconds < 20
    assert status in (0, 128 + 15)  # uvicorn cleans up, then ends of the signal it got
