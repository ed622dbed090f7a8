"""One kind cluster for a whole suite, with the platform of HEAD on it, made as ``make kind-up`` makes it.

Where pytest has several workers, the first makes it and the last removes it. With KEEP_CLUSTER=1 it stays, and the next
session with it upgrades that one: for whoever writes tests. When a test fails, logs and events of everything are kept
in a folder of its module below ``.trainyard/tests/cluster``, until that module fails again or all suites are run.
"""

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Generator, Iterator
from functools import cache
from pathlib import Path
from unittest import mock

import pytest

from ops.kind import access, tools
from ops.kind import cluster as kind
from ops.kind.cluster import Cluster
from ops.kind.deploy import deploy
from ops.kind.up import up
from tests.cluster import faults, lanes, scenarios, sharing
from tests.cluster.delivery import Delivery, delivered
from tests.cluster.faults import Again, How
from tests.cluster.platform import TRAP, Platform, keep_evidence, steps
from tests.integration.servers import at

ROOT = Path(__file__).resolve().parents[2]
EVIDENCE = ROOT / ".trainyard" / "tests" / "cluster"
PLACE = pytest.StashKey[Cluster]()
KEPT = pytest.StashKey[set[Path]]()
WORKER = "PYTEST_XDIST_WORKER" in os.environ
"""Whether this is one of several processes of the suite."""


def pytest_configure(config: pytest.Config) -> None:
    """Lay the tests in lanes."""
    config.pluginmanager.register(lanes.Lanes(Path(__file__).parent))


def pytest_itemcollected(item: pytest.Item) -> None:
    """A machine without the tools skips the suite, with the reason."""
    if reason := _lacking():
        item.add_marker(pytest.mark.skip(reason=reason))


@cache
def _lacking() -> str:
    try:
        tools.require()
    except tools.ToolMissing as missing:
        return str(missing).replace("\n", " ")
    return ""


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Tells whoever waits for the suite."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(line, flush=True, file=sys.stderr if WORKER else sys.stdout)  # a worker's output is not shown

    return say


@pytest.fixture(scope="session")
def users_kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose kubeconfig is a trap, for as long as the suite runs; Docker's own configuration is still found."""
    home = tmp_path_factory.mktemp("home")
    path = home / ".kube" / "config"
    path.parent.mkdir()
    path.write_text(TRAP)
    docker = os.environ.get("DOCKER_CONFIG", str(Path.home() / ".docker"))
    with mock.patch.dict(os.environ, {"HOME": str(home), "KUBECONFIG": str(path), "DOCKER_CONFIG": docker}):
        yield path


@pytest.fixture(scope="session")
def clone(common: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository at HEAD, clean: what is not committed is not in it, and tests may commit to it.

    All processes take the same commit, whatever is committed meanwhile.
    """
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git repository: there is no commit to deploy")
    if subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=ROOT, check=False).returncode:
        warnings.warn("the cluster runs HEAD: what is not committed is not tested", stacklevel=1)
    root = tmp_path_factory.mktemp("clone") / "trainyard"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(root)], check=True)
    head = common / "head"
    with sharing.once(head) as first:
        if first:
            head.write_text(tools.run(["git", "-C", str(root), "rev-parse", "HEAD"]))
    tools.run(["git", "-C", str(root), "reset", "--quiet", "--hard", head.read_text().strip()])
    return root


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this session that all its processes have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if WORKER else own


@pytest.fixture(scope="session")
def place(common: Path, users_kubeconfig: Path) -> Iterator[Cluster]:
    """The suite's cluster by name and state folder, not made yet; gone when the last process is done with it."""
    name = f"{kind.of(ROOT).name}-tests"
    if os.environ.get("KEEP_CLUSTER"):
        yield kind.of(ROOT, name, EVIDENCE.with_name("cluster-state"))
        return
    found = kind.of(ROOT, name, common / "kind")
    with sharing.used(common / "cluster.users") as last:
        yield found
        if last():
            kind.delete(found)
            shutil.rmtree(found.state, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep logs and events of the cluster at the first failure of each module: what it is about is still there."""
    report = yield
    folder = EVIDENCE / item.path.stem
    if report.failed and PLACE in item.config.stash and folder not in item.config.stash.setdefault(KEPT, set()):
        item.config.stash[KEPT].add(folder)
        keep_evidence(item.config.stash[PLACE], folder)
        report.sections.append(("cluster", f"its logs and events are in {folder.relative_to(ROOT)}"))
    return report


@pytest.fixture(scope="session")
def cluster(
    place: Cluster, clone: Path, common: Path, say: Callable[[str], None], request: pytest.FixtureRequest
) -> Iterator[Platform]:
    """The platform on the suite's cluster, HEAD deployed; the environment of this process leads to it."""
    request.config.stash[PLACE] = place
    with sharing.once(common / "cluster.made") as first:
        if first:
            _make(place, clone, say)
    found = access.find(place)
    with at(found.environment(place, clone)):
        yield Platform(place, clone, found)


def _make(place: Cluster, clone: Path, say: Callable[[str], None]) -> None:
    if not os.environ.get("KEEP_CLUSTER"):
        kind.delete(place)
    up(place, clone, steps(say), say)
    # What these reserve and do not use is room for installations beside the platform, on a node of two cores.
    place.kubectl("set", "resources", "deployments", "--all", "--requests=cpu=10m", namespace="kube-system")
    deploy(place, clone)
    found = access.find(place)
    with at(found.environment(place, clone)):
        Platform(place, clone, found).unschedule()


@pytest.fixture(scope="module")
def delivery(cluster: Platform) -> Iterator[Delivery]:
    """What is delivered to the platform by a module, which leaves it as it was."""
    with delivered(cluster) as found:
        yield found


@pytest.fixture
def undisturbed(cluster: Platform) -> Iterator[None]:
    """The whole platform is there while the test lasts: those that take a part of it away wait."""
    with cluster.undisturbed():
        yield


@pytest.fixture(scope="session")
def lab(
    cluster: Platform, tmp_path_factory: pytest.TempPathFactory, say: Callable[[str], None]
) -> Iterator[faults.Lab]:
    """Where faults are made, with room for many runs at once. What became of them is shown at the end, and kept."""
    made = faults.prepare(cluster, scenarios.MODELS, tmp_path_factory.mktemp("months"))
    with cluster.client() as client:
        queue = client.read_work_queue_by_name("default", work_pool_name="kubernetes")
        client.update_work_queue(queue.id, concurrency_limit=16)
    yield made
    with cluster.client() as client:
        client.update_work_queue(queue.id, concurrency_limit=queue.concurrency_limit)
    if made.ended:
        text = faults.table(made.ended)
        EVIDENCE.with_name("cluster-faults.md").write_text(text)
        say(f"\n{text}")


@pytest.fixture(scope="session")
def never_started(lab: faults.Lab) -> Iterator[How]:
    """Runs whose pods never start. They wait for minutes, so they begin before all other faults."""
    with faults.begun(lab, scenarios.NEVER_STARTED) as found:
        yield found


@pytest.fixture(scope="session")
def lost_pods(lab: faults.Lab) -> Iterator[How]:
    """Runs whose pods are lost, begun when no part of the platform is taken away any more."""
    with faults.begun(lab, scenarios.PODS) as found:
        yield found


@pytest.fixture(scope="session")
def lost_pods_again(lab: faults.Lab, lost_pods: How) -> Iterator[Again]:
    """The same runs once more."""
    with faults.begun_again(lab, dict.fromkeys(scenarios.PODS, lost_pods)) as found:
        yield found
