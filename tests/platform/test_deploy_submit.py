"""What becomes of a deploy in the cluster whose pod does not start, is killed or falls silent; and of a way back."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ops.deploy import __main__ as commands
from ops.deploy import checkout, job
from ops.deploy.errors import NotDeployed
from tests.platform.chart import ROOT
from tests.unit import stand_ins

CONTAINER = {"name": "deploy", "image": "the chart's", "env": []}
RUNNING = {"phase": "Running"}
KUBECTL = """
cd {folder}
echo "$*" >>told
if [ -e created ] && [ -e away ]; then
  echo "no route to the API" >&2
  [ -e away/for-good ] || rmdir away
  exit 1
fi
case "$1 $3" in
  "get configmap/"*) cat configmap ;;
  create*) cat >created; echo job.batch/deploy-1 ;;
  "get pods") cat pods; [ ! -e later ] || mv later pods ;;
  "get job/"*) cat job ;;
  logs*) . ./log ;;
esac
"""


class Cluster:
    """kubectl, as if a cluster were there: what it tells of the pod and the Job."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        stand_ins.put(folder, "kubectl", KUBECTL.format(folder=folder))
        self.template(CONTAINER)
        (folder / "log").write_text("echo working")
        self.ends("Complete")

    def template(self, container: dict[str, Any], **said: str) -> None:
        """The Job as the chart has it, and what it says beside it."""
        manifest = {"spec": {"template": {"spec": {"containers": [container]}}}}
        (self.folder / "configmap").write_text(json.dumps({"data": {"job.yaml": json.dumps(manifest), **said}}))

    @property
    def made(self) -> dict[str, Any]:
        """The container of the Job that was made."""
        (container,) = json.loads((self.folder / "created").read_text())["spec"]["template"]["spec"]["containers"]
        found: dict[str, Any] = container
        return found

    def pod(self, status: dict[str, Any] | None, *, later: bool = False) -> None:
        """The pod's status, or that it is gone; ``later``: from the second question on."""
        items = [{"metadata": {"name": "deploy-1-x"}, "status": status}] if status else []
        (self.folder / ("later" if later else "pods")).write_text(json.dumps({"items": items}))

    def ends(self, kind: str, **said: str) -> None:
        """How the Job ends; an empty kind: not at all."""
        conditions = [{"type": kind, "status": "True", **said}] if kind else []
        (self.folder / "job").write_text(json.dumps({"status": {"conditions": conditions}}))

    def away(self, *, for_good: bool = False) -> None:
        """The API refuses the next question after the Job was made; ``for_good``: all of them."""
        (self.folder / "away").mkdir()
        if for_good:
            (self.folder / "away" / "for-good").touch()

    @property
    def told(self) -> str:
        """What kubectl was told."""
        return (self.folder / "told").read_text()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    stand_ins.first_on_path(tmp_path, monkeypatch)
    monkeypatch.setattr(job, "POLL", 0.0)
    monkeypatch.setattr(checkout, "require_clean", lambda _: None)  # whoever changes the code has a tree that is not
    made = Cluster(tmp_path)
    made.pod(RUNNING)
    return made


def submit(said: list[str]) -> int:
    return job.submit(job.Namespace(), ROOT, "flows@sha256:1", "c0ffee", ["apply"], said.append)


def expanded(text: str, variables: dict[str, str]) -> str:
    """A text as Kubernetes hands it to a container: ``$$`` is ``$``, and ``$(NAME)`` a variable it knows."""

    def put(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else variables.get(found[1], found[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", put, text)


def ended(status: int, reason: str) -> dict[str, Any]:
    """The status of a pod whose container has ended."""
    return {"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"exitCode": status, "reason": reason}}}]}


def test_a_deploy_that_succeeds_is_followed_to_its_end(cluster: Cluster) -> None:
    said: list[str] = []

    assert submit(said) == 0
    assert said[1:] == ["working"]


def test_a_deploy_that_ends_itself_has_said_why(cluster: Cluster) -> None:
    cluster.pod(ended(1, "Error"), later=True)
    cluster.ends("Failed", reason="BackoffLimitExceeded")

    assert submit([]) == 1


@pytest.mark.parametrize("condition", ["Failed", "FailureTarget"])
@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (ended(137, "OOMKilled"), "OOMKilled, exit status 137"),
        (ended(143, "Error"), "Error, exit status 143"),
        ({"phase": "Failed", "reason": "Evicted", "message": "low on disk"}, "Evicted low on disk"),
        (None, "DeadlineExceeded too long"),
    ],
    ids=["out of memory", "told to stop", "evicted", "gone"],
)
def test_a_deploy_that_was_killed_is_a_sentence(
    cluster: Cluster, condition: str, status: dict[str, Any] | None, sentence: str
) -> None:
    cluster.pod(status, later=True)
    cluster.ends(condition, reason="DeadlineExceeded", message="too long")

    with pytest.raises(NotDeployed, match=rf"^the deploy was killed: {sentence}\. Run this again"):
        submit([])


def test_the_verb_ends_with_the_sentence_and_status_1(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.pod(ended(137, "OOMKilled"), later=True)
    cluster.ends("Failed")
    monkeypatch.setattr("sys.argv", ["deploy", "submit", "smoke", "--image", "flows:1", "--trust-image"])

    assert commands.main() == 1
    assert capsys.readouterr().err.startswith("trainyard: the deploy was killed: OOMKilled")


@pytest.mark.parametrize("reason", sorted(job.HOPELESS))
def test_an_image_that_cannot_be_had_is_not_waited_for_and_its_job_is_taken_away(cluster: Cluster, reason: str) -> None:
    waiting = {"reason": reason, "message": "no such image"}
    cluster.pod({"phase": "Pending", "containerStatuses": [{"state": {"waiting": waiting}}]})

    with pytest.raises(
        NotDeployed, match=rf"did not start: {reason} no such image\. Its Job deploy-1 was taken away\."
    ):
        submit([])

    assert "delete --namespace=trainyard job/deploy-1 --wait=false" in cluster.told


def test_a_pod_that_no_node_takes_is_waited_for_as_long_as_is_said(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    unplaced = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room"}
    cluster.pod({"phase": "Pending", "conditions": [unplaced]})
    monkeypatch.setattr(job, "START", 0.2)

    with pytest.raises(NotDeployed, match=r"did not start: Unschedulable no room\."):
        submit([])

    assert "delete --namespace=trainyard job/deploy-1" in cluster.told


def test_an_api_that_is_away_for_a_moment_does_not_end_a_deploy_that_starts(cluster: Cluster) -> None:
    cluster.away()

    assert submit([]) == 0
    assert cluster.told.count("get --namespace=trainyard pods") == 2


def test_a_job_that_cannot_be_taken_away_is_told(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.away(for_good=True)
    monkeypatch.setattr(job, "START", 0.2)

    with pytest.raises(
        NotDeployed, match=r"(?s)did not start: .*no route to the API.* deploy-1 is still there, and may"
    ):
        submit([])


def test_a_log_that_never_ends_is_left_once_the_job_must_have_ended(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cluster.folder / "log").write_text("exec sleep 3600")
    cluster.pod(None, later=True)
    cluster.ends("Failed", reason="DeadlineExceeded")
    monkeypatch.setattr(job, "RUN", 0.2)

    with pytest.raises(NotDeployed, match="the deploy was killed: DeadlineExceeded"):
        submit([])


def test_a_job_that_does_not_end_though_its_log_has_is_not_waited_for_for_ever(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.ends("")
    monkeypatch.setattr(job, "END", 0.2)

    with pytest.raises(NotDeployed, match=r"log of pod deploy-1-x has ended, and that Job deploy-1 has is not told"):
        submit([])


@pytest.mark.parametrize("verb", ["rollback", "smoke"])
def test_a_way_back_needs_no_image_of_the_checkout(
    cluster: Cluster, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["deploy", "submit", verb, "--registry", "127.0.0.1:1/where-nobody-answers"])

    assert commands.main() == 0
    assert cluster.made["image"] == "the chart's"
    assert "--image" not in cluster.made["args"]


def test_an_image_that_is_named_is_the_one_it_runs_in(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["deploy", "submit", "rollback", "--image", "flows:1", "--trust-image"])

    assert commands.main() == 0
    assert cluster.made["image"] == "flows:1"


def test_a_chart_of_before_that_names_no_image_is_a_sentence(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.template({**CONTAINER, "image": ""})
    monkeypatch.setattr("sys.argv", ["deploy", "submit", "rollback"])

    assert commands.main() == 1
    assert "the installed chart names no image for this. Upgrade it: make chart-upgrade" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["$(SECRET)", "$$(SECRET)", "$$$(SECRET)", "a $ b $$ c$", "$x ${SECRET} `$(SECRET)`"])
def test_kubernetes_puts_no_variable_into_what_a_job_is_told(text: str) -> None:
    template = json.dumps({"spec": {"template": {"spec": {"containers": [CONTAINER]}}}})

    made = job.manifest(template, text, "flows:1", "c0ffee", [text])["spec"]["template"]["spec"]["containers"][0]

    given = [expanded(each, {"SECRET": "told"}) for each in made["args"]]
    assert given == ["sh", "-euc", job.SCRIPT, "deploy", text]
    assert {each["name"]: expanded(each["value"], {"SECRET": "told"}) for each in made["env"]}["PULL"] == text


@pytest.mark.parametrize("to", ["$(PREFECT_API_AUTH_STRING)", "main", "", "C0FFEE0"])
def test_a_way_back_to_what_is_no_commit_is_refused_before_a_job_is_made(
    cluster: Cluster, to: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["deploy", "submit", "rollback", "--to", to])

    assert commands.main() == 1
    assert f"{to!r} is neither `previous` nor 7 to 40 hex digits of a commit" in capsys.readouterr().err
    assert not (cluster.folder / "created").exists()


@pytest.mark.parametrize("verb", ["apply", "plan", "rollback", "smoke"])
def test_an_environment_that_the_cluster_is_not_is_refused_before_a_job_is_made(
    cluster: Cluster, verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.template(CONTAINER, environment="staging")
    monkeypatch.setattr("sys.argv", ["deploy", "submit", verb, "--environment", "production", "--trust-image"])

    assert commands.main() == 1
    assert "the kubeconfig leads to staging, and this is meant for production." in capsys.readouterr().err
    assert not (cluster.folder / "created").exists()


@pytest.mark.parametrize("verb", ["apply", "plan"])
def test_a_tree_that_differs_from_its_commit_is_refused_before_a_job_is_made(
    cluster: Cluster, verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its image would be that of its locks, and its commit another."""

    def refuse(_: Path) -> None:
        raise NotDeployed("1 files differ from the commit")

    monkeypatch.setattr(checkout, "require_clean", refuse)
    monkeypatch.setattr("sys.argv", ["deploy", "submit", verb, "--image", "flows:1", "--trust-image"])

    assert commands.main() == 1
    assert capsys.readouterr().err == "trainyard: 1 files differ from the commit\n"
    assert not (cluster.folder / "created").exists()


@pytest.mark.parametrize("said", [{"environment": "staging"}, {"environment": ""}, {}])
def test_an_environment_that_the_cluster_is_or_does_not_name_is_taken(
    cluster: Cluster, said: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.template(CONTAINER, **said)
    monkeypatch.setattr("sys.argv", ["deploy", "submit", "smoke", "--environment", "staging"])

    assert commands.main() == 0
