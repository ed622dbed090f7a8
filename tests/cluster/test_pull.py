"""The pull step in a pod: what it says of code that cannot be had, and that nobody sees the token of a repository."""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from types import MappingProxyType

import pytest
import yaml
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun

from ops import chart
from ops.kind import demo as demonstration
from ops.kind import images, install
from ops.kind.cluster import RELEASE
from tests.cluster.platform import Platform

pytestmark = pytest.mark.timeout(600)

HERE = Path(__file__).parent
INGEST = "ingest/green-trips"
TOKEN = "hush-nobody-may-read-this"
PRIVATE = "http://private-git:8080/trainyard.git"
AWAY = "git://nowhere.trainyard.svc/trainyard.git"
NEVER = "0" * 40
LAKE = "pull"
"""The prefix of the lake the runs work in: the main job has one of its own beside them."""
TOLD = 300.0
"""Seconds within which a run has ended whose code cannot be had: the repository is tried four times."""


@pytest.fixture(scope="module")
def ended(cluster: Platform) -> dict[str, FlowRun]:
    """The runs whose code cannot be had, all at once, once they have ended."""
    faults = {
        "no commit": {"env": {"TRAINYARD_GIT_SHA": "main"}},
        "unknown commit": {"commit": NEVER},
        "repository away": {"env": {"GIT_REPOSITORY": AWAY}},
    }
    with cluster.undisturbed():
        runs = {name: ingest(cluster, **variables) for name, variables in faults.items()}
        return {name: cluster.wait(run, TOLD) for name, run in runs.items()}


def test_what_is_no_commit_is_refused_with_a_sentence(ended: dict[str, FlowRun]) -> None:
    assert said(ended["no commit"]) == (
        "Failed",
        "TRAINYARD_GIT_SHA is 'main', not the 40 hex digits of a commit. Deploy again.",
    )


def test_a_commit_that_nobody_pushed_is_told(ended: dict[str, FlowRun]) -> None:
    state, sentence = said(ended["unknown commit"])

    assert state == "Failed"
    assert f"trainyard.git has no commit {NEVER}. Push it" in sentence


def test_a_repository_that_is_away_is_told(ended: dict[str, FlowRun]) -> None:
    state, sentence = said(ended["repository away"])

    assert state == "Failed"
    assert f"could not be fetched from {AWAY}" in sentence
    assert "See that pods reach it" in sentence


def test_a_private_repository_gives_its_code_to_who_has_the_token_and_the_token_is_seen_nowhere(
    cluster: Platform, undisturbed: None, private: None
) -> None:
    demonstration.publish(cluster.access, cluster.root)
    run = cluster.wait(ingest(cluster, env={"GIT_REPOSITORY": PRIVATE}), 480)

    seen = {place: text for place, text in visible(cluster, run).items() if text}
    secrets = [TOKEN, *(base64.b64encode(text.encode()).decode() for text in (TOKEN, f"x-access-token:{TOKEN}"))]
    assert said(run)[0] in ("Landed", "Unchanged")
    assert len(seen) == 5
    assert [place for place, text in seen.items() if "private-git" in text] == ["run", "job", "pod"]
    assert not [(place, secret) for place, text in seen.items() for secret in secrets if secret in text]


def test_a_private_repository_tells_a_run_without_a_token_what_to_do(
    cluster: Platform, undisturbed: None, repository: None
) -> None:
    state, sentence = said(cluster.wait(ingest(cluster, env={"GIT_REPOSITORY": PRIVATE}), 480))

    assert state == "Failed"
    assert "refuses access. Set GIT_TOKEN to a token that may read it" in sentence


@pytest.fixture(scope="module")
def repository(cluster: Platform) -> Iterator[None]:
    """A private repository with what the cluster's git server holds; its token is in the Secret ``private-git``."""
    manifest = Template((HERE / "private-git.yaml").read_text())
    objects = manifest.safe_substitute(image=images.own(cluster.root)["flows"])
    cluster.kubectl("create", "secret", "generic", "private-git", f"--from-literal=token={TOKEN}")
    cluster.kubectl("create", "configmap", "private-git", f"--from-file={HERE / 'private_git.py'}")
    cluster.kubectl("apply", "--filename=-", stdin=objects)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/private-git", "--timeout=300s")
    yield
    cluster.kubectl("delete", "secret/private-git", "configmap/private-git", "pod/private-git", "service/private-git")


@pytest.fixture
def private(cluster: Platform, repository: None, tmp_path: Path) -> Iterator[None]:
    """The work pool as the chart makes it where ``git.tokenSecret`` is set."""
    values = tmp_path / "values.json"
    values.write_text(cluster.place.helm("get", "values", RELEASE, "--output=json"))
    only = ("--set=git.tokenSecret=private-git", "--show-only=templates/bootstrap/configmap.yaml")
    only += (f"--kube-version={chart.oldest_kubernetes(cluster.root)}",)
    rendered = cluster.place.helm("template", RELEASE, str(cluster.root / install.CHART), f"--values={values}", *only)
    wanted = yaml.safe_load(yaml.safe_load(rendered)["data"]["configuration.yaml"])["pool"]
    with cluster.client() as client:
        before = client.read_work_pool(wanted["name"]).base_job_template
        client.update_work_pool(wanted["name"], WorkPoolUpdate(base_job_template=wanted["base_job_template"]))
        yield
        client.update_work_pool(wanted["name"], WorkPoolUpdate(base_job_template=before))


def ingest(cluster: Platform, env: Mapping[str, str] = MappingProxyType({}), **variables: str) -> FlowRun:
    """A run of ``ingest`` with job variables, of the commit and the image of HEAD whatever is deployed meanwhile."""
    parameters = {"dataset": "green-trips", "month": "2023-01", "source": cluster.source}
    pair = {"commit": cluster.git("rev-parse", "HEAD").strip(), "image": images.own(cluster.root)["flows"]}
    own = {**pair, "env": {"TRAINYARD_LAKE_PREFIX": LAKE, **env}, **variables}
    return cluster.start(INGEST, parameters, job_variables=own)


def said(run: FlowRun) -> tuple[str, str]:
    """The name and the sentence of the state a run is in."""
    assert run.state
    return str(run.state.name), str(run.state.message)


def visible(cluster: Platform, run: FlowRun) -> dict[str, str]:
    """All that is to be seen of a run, as text, by place."""
    [pod], only = cluster.pods(run), f"--selector=prefect.io/flow-run-id={run.id}"
    with cluster.client() as client:
        logs = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id])))
        return {
            "run": client.read_flow_run(run.id).model_dump_json()
            + client.read_deployment(run.deployment_id).model_dump_json(),
            "log": " ".join(log.message for log in logs),
            "job": json.dumps(cluster.get("jobs", only)),
            "pod": json.dumps(pod),
            "output": cluster.kubectl("logs", pod["metadata"]["name"]),
        }
