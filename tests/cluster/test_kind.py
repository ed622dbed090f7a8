"""The verbs of the kind cluster: what they leave, what they refuse, what they leave alone, what they say."""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops import deploy as deploying
from ops.deploy import NotDeployed
from ops.kind import __main__ as verbs
from ops.kind import access, images
from ops.kind import cluster as kind
from ops.kind.tools import CommandFailed, run
from ops.kind.up import up
from tests.cluster.platform import TRAP, Platform, steps

pytestmark = pytest.mark.timeout(900)

AGAIN = 180.0
"""Seconds a second `make kind-up` may take on a busy machine; it loads nothing."""
SERVERS = "--selector=app.kubernetes.io/component in (prefect, worker, mlflow, minio)"


@pytest.fixture
def as_cloned(cluster: Platform) -> Iterator[Platform]:
    """The clone is put back afterwards, and deployed as it was."""
    commit = cluster.git("rev-parse", "HEAD").strip()
    yield cluster
    cluster.git("reset", "--quiet", "--hard", commit)
    cluster.git("clean", "--quiet", "--force", "-d")
    cluster.deploy(unless_deployed=True)


@pytest.fixture
def make(
    cluster: Platform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], str]:
    """What a verb prints that finds the suite's cluster, and the clone, as those of the checkout."""
    monkeypatch.setattr(verbs, "ROOT", cluster.root)
    monkeypatch.setattr(kind, "of", lambda _: cluster.place)

    def run(verb: str) -> str:
        monkeypatch.setattr(sys, "argv", ["kind", verb])
        status = verbs.main()
        said = capsys.readouterr()
        assert status == 0, said.err
        return said.out

    return run


def test_the_users_kubeconfig_is_neither_read_nor_changed(cluster: Platform, users_kubeconfig: Path) -> None:
    cluster.kubectl("config", "view")
    cluster.place.helm("list")

    assert users_kubeconfig.read_text() == TRAP  # kubectl and helm fail where they read this
    assert [path.name for path in users_kubeconfig.parent.iterdir()] == ["config"]
    assert cluster.place.kubeconfig.stat().st_mode & 0o077 == 0


def test_whoever_reads_the_users_kubeconfig_would_fail_here(users_kubeconfig: Path) -> None:
    env = {**os.environ, "KUBECONFIG": str(users_kubeconfig)}

    done = subprocess.run(
        ["kubectl", "config", "current-context"], env=env, capture_output=True, text=True, check=False
    )

    assert done.returncode != 0
    assert str(users_kubeconfig) in done.stderr


def test_a_second_kind_up_repairs_what_is_gone_and_keeps_passwords_and_data(
    cluster: Platform, say: Callable[[str], None]
) -> None:
    cluster.lake("kept").put_new("it", b"still here")
    with cluster.disturbing():
        cluster.kubectl("delete", "deployment", "trainyard-mlflow", "git")
        began = time.monotonic()

        again = up(cluster.place, cluster.root, steps(say), say)

        took = time.monotonic() - began

    assert took < AGAIN
    assert again == cluster.access
    assert cluster.lake("kept").get("it") == b"still here"
    assert {pod["status"]["phase"] for pod in cluster.get("pods", "--selector=app.kubernetes.io/component!=job")} <= {
        "Running",
        "Succeeded",
    }


def test_the_namespace_refuses_a_pod_that_may_be_root(cluster: Platform) -> None:
    with pytest.raises(CommandFailed, match='violates PodSecurity "restricted'):
        cluster.kubectl("run", "rooted", "--image=debian:trixie-slim", "--dry-run=server")


def test_every_deployment_of_the_pool_names_image_and_commit_literally(cluster: Platform) -> None:
    names = deploying.deployments(cluster.root, deploying.POOL)
    found = [cluster.deployment(name).job_variables for name in names]

    head = cluster.git("rev-parse", "HEAD").strip()
    assert len(found) >= 3
    assert {(each["image"], each["commit"]) for each in found} == {(images.own(cluster.root)["flows"], head)}


def test_a_deploy_of_what_is_deployed_does_nothing(cluster: Platform) -> None:
    before = cluster.deployment("monthly/trip-duration").updated

    text = cluster.deploy(unless_deployed=True)

    assert text.endswith("is deployed")
    assert cluster.deployment("monthly/trip-duration").updated == before


def test_kind_deploy_says_which_commit_is_deployed_in_which_image(
    cluster: Platform, make: Callable[[str], str]
) -> None:
    head = cluster.git("rev-parse", "HEAD").strip()

    said = make("deploy")

    pair = f"commit {head[:12]} in {images.own(cluster.root)['flows']}"
    assert re.search(f"^(Deployed|Nothing to change:) {re.escape(pair)}", said, re.MULTILINE)


def test_kind_status_names_the_pods_and_where_the_platform_is_to_be_seen(
    cluster: Platform, make: Callable[[str], str]
) -> None:
    said = {*make("status").split()}

    pods = {pod["metadata"]["name"] for pod in cluster.get("pods", SERVERS)}
    assert len(pods) >= 4
    assert pods <= said
    assert {cluster.access.prefect, cluster.access.mlflow, cluster.access.s3, cluster.place.name} <= said


def test_what_kind_env_prints_leads_a_shell_to_the_platform(
    cluster: Platform, make: Callable[[str], str], users_kubeconfig: Path
) -> None:
    said = make("env")

    lines = [line.removeprefix("export ").partition("=") for line in said.splitlines()]
    assert {name: shlex.split(value) for name, _, value in lines} == {
        name: [value] for name, value in cluster.access.settings(cluster.place).items()
    }
    looks = f"{said}kubectl --namespace trainyard get deployments --output name"
    assert "deployment.apps/trainyard-prefect" in run(
        ["bash", "-euc", looks], env={**os.environ, "KUBECONFIG": str(users_kubeconfig)}
    )


def test_a_new_commit_is_deployed_in_the_same_image(as_cloned: Platform) -> None:
    before = as_cloned.deployment("retrain/trip-duration").job_variables
    made = as_cloned.commit({"flows/ml/README.md": "Plain code.\n"}, push=False)

    as_cloned.deploy()

    after = as_cloned.deployment("retrain/trip-duration").job_variables
    assert after == {**before, "commit": made}
    assert before["commit"] != made


def test_a_tree_that_differs_from_its_commit_is_refused_with_the_files(as_cloned: Platform) -> None:
    (as_cloned.root / "flows" / "new.py").write_text("")
    (as_cloned.root / "prefect.yaml").open("a").write("# one more line\n")

    with pytest.raises(NotDeployed, match=r"2 files differ .*prefect\.yaml, flows/new\.py"):
        as_cloned.deploy()


def test_a_commit_that_pods_could_not_clone_is_refused(as_cloned: Platform) -> None:
    made = as_cloned.commit({"flows/ml/README.md": "Not pushed.\n"}, push=False)
    image, repository = images.own(as_cloned.root)["flows"], access.git_url(as_cloned.place)

    with pytest.raises(NotDeployed, match=f"does not give out commit {made}. Push it there first"):
        deploying.deploy(as_cloned.root, image, repository)


def serves(cluster: Platform) -> bool:
    """Whether the git server answers at all, whatever it has. It may be gone in the middle of an answer."""
    try:
        run(["git", "ls-remote", "--quiet", access.git_url(cluster.place)], timeout=10)
    except CommandFailed:
        return False
    return True


def test_what_was_pushed_survives_the_git_servers_pod(cluster: Platform) -> None:
    with cluster.disturbing():
        cluster.kubectl("delete", "pods", "--selector=app.kubernetes.io/name=git", "--wait")
        deadline = time.monotonic() + 60
        while not serves(cluster) and time.monotonic() < deadline:
            time.sleep(1)

    deploying.require_published(cluster.git("rev-parse", "HEAD").strip(), access.git_url(cluster.place))
