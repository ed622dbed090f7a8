"""The kind cluster without one: its name and ports, what it is told of failures, the files that must agree."""

import base64
import io
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from string import Template

import pytest
import yaml
from rich.console import Console

from ops.kind import __main__ as kind
from ops.kind import access, cluster, diagnosis, images, steps, tools
from ops.kind import up as making
from ops.kind.cluster import NODE_PORTS, Cluster, Ports
from tests.unit import stand_ins

ROOT = Path(__file__).resolve().parents[2]
HOST = Ports(prefect=4211, mlflow=5012, minio=9013, git=9419)


def manifests() -> list[dict]:
    text = (ROOT / "infra/kind/git-server.yaml").read_text()
    return list(yaml.safe_load_all(Template(text).substitute(image="trainyard/flows:abc")))


def pod_spec() -> dict:
    return next(each for each in manifests() if each["kind"] == "Deployment")["spec"]["template"]["spec"]


def test_two_checkouts_have_two_clusters_each_with_its_own_kubeconfig(tmp_path: Path) -> None:
    one, two = cluster.of(tmp_path / "one"), cluster.of(tmp_path / "two")

    assert one.name != two.name
    assert re.fullmatch("trainyard-[0-9a-f]{6}", one.name)
    assert one.kubeconfig == tmp_path / "one/.trainyard/kind/kubeconfig"


def test_what_would_lead_kubectl_or_helm_to_another_cluster_is_dropped(tmp_path: Path) -> None:
    users = {"KUBECONFIG": "/users/config", "KUBE_EDITOR": "vi", "HELM_NAMESPACE": "other", "HELM_KUBECONTEXT": "prod"}

    found = Cluster("one", tmp_path).env({**users, "PATH": "/usr/bin"})

    assert found["KUBECONFIG"] == str(tmp_path / "kubeconfig")
    assert found["PATH"] == "/usr/bin"
    assert set(users) & set(found) == {"KUBECONFIG"}
    assert all(str(tmp_path) in found[name] for name in found if name.startswith(("KUBE", "HELM_")))


@pytest.mark.parametrize(
    "stopped", [KeyboardInterrupt(), tools.CommandFailed("no space left")], ids=["ctrl-c", "failed"]
)
def test_of_a_cluster_whose_making_was_stopped_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: BaseException
) -> None:
    calls: list[list[str]] = []

    def run(argv: list[str], **_: object) -> str:
        calls.append(argv[1:3])
        if argv[1] == "create":
            raise stopped
        return "one\n"

    monkeypatch.setattr(cluster, "run", run)

    with pytest.raises(type(stopped)):
        cluster.create(Cluster("one", tmp_path / "kind"), ROOT, None)

    assert calls == [["create", "cluster"], ["get", "clusters"], ["delete", "cluster"]]


@pytest.mark.parametrize("image", ["kindest/node:v1.30.0", None])
def test_the_node_is_of_the_image_that_is_asked_for_or_else_of_kinds_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: str | None
) -> None:
    calls: list[list[str]] = []

    def run(argv: list[str], **_: object) -> str:
        calls.append(argv)
        if argv[1] == "create":
            raise tools.CommandFailed("as far as this test goes")
        return ""

    monkeypatch.setattr(cluster, "run", run)
    monkeypatch.setattr(tools, "require", lambda: None)
    for name in ("_build", "_pack"):
        monkeypatch.setattr(making, name, lambda *_: None)
    monkeypatch.delenv("KIND_NODE_IMAGE", raising=False)
    if image:
        monkeypatch.setenv("KIND_NODE_IMAGE", image)

    with pytest.raises(tools.CommandFailed, match="as far as"), steps.shown(Console(file=io.StringIO())) as step:
        making.up(Cluster("one", tmp_path / "kind"), ROOT, step, print)

    (create,) = (argv for argv in calls if argv[1] == "create")
    assert (create[create.index("--image") + 1] if "--image" in create else None) == image


def test_a_second_command_that_would_change_the_cluster_is_refused(tmp_path: Path) -> None:
    place = Cluster("one", tmp_path / "kind")

    with cluster.exclusive(place), pytest.raises(tools.KindError, match="is at work here"), cluster.exclusive(place):
        pass


@pytest.mark.parametrize("verb", ["deploy", "demo", "down"])
def test_every_verb_that_changes_the_cluster_is_refused_while_another_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    place = Cluster("one", tmp_path / "kind")
    monkeypatch.setattr(cluster, "run", lambda argv, **_: pytest.fail(str(argv)))
    monkeypatch.setattr(cluster, "require", lambda place: None)

    with cluster.exclusive(place), pytest.raises(tools.KindError, match="is at work here"):
        kind.VERBS[verb][0](Console(file=io.StringIO()), place)


def test_the_folder_of_a_removed_cluster_is_gone_before_another_command_may_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, removed = Cluster("one", tmp_path / "kind"), []

    def remove(folder: Path, **_: object) -> None:
        with pytest.raises(tools.KindError), cluster.exclusive(place):
            pass
        removed.append(folder)

    monkeypatch.setattr(cluster, "run", lambda argv, **_: "")
    monkeypatch.setattr(kind.shutil, "rmtree", remove)

    kind.VERBS["down"][0](Console(file=io.StringIO()), place)

    assert removed == [place.state]


def test_the_ports_of_this_machine_are_read_off_the_node() -> None:
    bound = {f"{port}/tcp": [{"HostPort": str(asdict(HOST)[name])}] for name, port in asdict(NODE_PORTS).items()}

    assert cluster.bindings({**bound, "6443/tcp": [{"HostPort": "40475"}]}) == HOST


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", cluster.PREFERRED.prefect))
            listener.listen()
        except OSError:
            pass  # somebody else already does
        yield cluster.PREFERRED.prefect


def test_a_port_that_is_taken_is_left_to_whoever_has_it(taken: int) -> None:
    assert cluster.free().prefect > taken


def test_node_ports_agree_between_cluster_chart_values_and_git_server() -> None:
    config = yaml.safe_load(Template((ROOT / "infra/kind/cluster.yaml").read_text()).substitute(asdict(HOST)))
    values = yaml.safe_load((ROOT / "infra/kind/values.yaml").read_text())
    git = next(each for each in manifests() if each["kind"] == "Service")

    mapped = {each["containerPort"]: each["hostPort"] for each in config["nodes"][0]["extraPortMappings"]}
    assert mapped == {asdict(NODE_PORTS)[name]: port for name, port in asdict(HOST).items()}
    for name in ("prefect", "mlflow", "minio"):
        assert values[name]["service"]["nodePort"] == asdict(NODE_PORTS)[name]
    assert git["spec"]["ports"][0]["nodePort"] == NODE_PORTS.git


def test_every_door_is_on_loopback() -> None:
    config = yaml.safe_load(Template((ROOT / "infra/kind/cluster.yaml").read_text()).substitute(asdict(HOST)))

    assert {each["listenAddress"] for each in config["nodes"][0]["extraPortMappings"]} == {"127.0.0.1"}


def test_flow_runs_clone_from_the_git_server_by_its_name_in_the_cluster() -> None:
    repository = yaml.safe_load((ROOT / "infra/kind/values.yaml").read_text())["git"]["repository"]
    git = next(each for each in manifests() if each["kind"] == "Service")["metadata"]

    assert repository == f"git://{git['name']}.{git['namespace']}.svc/trainyard.git"
    assert git["namespace"] == cluster.NAMESPACE


def test_the_git_server_is_held_to_the_restricted_standard() -> None:
    spec = pod_spec()

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    for container in (*spec["initContainers"], *spec["containers"]):
        closed = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        assert container["securityContext"] == closed
        assert container["resources"]["limits"]["memory"]


def test_the_git_server_keeps_what_was_pushed_and_gives_out_any_commit() -> None:
    spec = pod_spec()

    assert spec["volumes"][0]["persistentVolumeClaim"]
    for option in ("uploadpack.allowAnySHA1InWant true", "uploadpack.allowFilter true", "receive.shallowUpdate true"):
        assert option in spec["initContainers"][0]["command"][-1]


def test_each_program_that_is_missing_is_named_with_where_it_comes_from() -> None:
    found = tools.missing(lambda name: None if name in ("kind", "helm") else f"/usr/bin/{name}")

    assert [line.split()[0] for line in found] == ["kind", "helm"]
    assert all("is not on PATH. Install" in line for line in found)


def test_an_engine_that_does_not_run_is_told_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tools.REMEDIES:
        stand_ins.put(tmp_path, name, "echo 'Cannot connect to the Docker daemon' >&2\nexit 1")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(tools.ToolMissing, match=r"Cannot connect to the Docker daemon. Start Docker"):
        tools.require()


def test_a_command_that_failed_is_told_by_its_name_and_its_last_words() -> None:
    with pytest.raises(tools.CommandFailed, match=r"`sh -c` failed: last$"):
        tools.run(["sh", "-c", "echo first; echo last >&2; exit 3"])


def test_a_long_line_is_told_without_its_middle() -> None:
    text = tools.last_words("a" * 1000 + "\n\n" + "b" * 10)

    assert len(text.splitlines()[0]) < 320
    assert text.splitlines()[1] == "b" * 10


@pytest.mark.parametrize(
    ("reference", "kept"),
    [
        ("trainyard/flows:abc", "docker.io/trainyard/flows:abc"),
        ("debian:trixie-slim", "docker.io/library/debian:trixie-slim"),
        ("quay.io/minio/minio:R1", "quay.io/minio/minio:R1"),
        ("localhost:5000/flows:1", "localhost:5000/flows:1"),
        ("localhost/flows:1", "localhost/flows:1"),
    ],
)
def test_a_reference_is_looked_for_on_the_node_as_containerd_keeps_it(reference: str, kept: str) -> None:
    assert images.full(reference) == kept


def test_the_laptops_s3_server_is_among_the_images_that_are_loaded() -> None:
    assert all(re.fullmatch(r"\S+/minio:\S+", reference) for reference in images.others(ROOT))


def secret(name: str, **data: str) -> dict:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"metadata": {"name": f"trainyard-{name}"}, "data": encoded}


@pytest.fixture
def found() -> access.Access:
    jobs = {"TRAINYARD_LAKE_BUCKET": "lake", "TRAINYARD_LAKE_PREFIX": ""}
    objects = [
        secret("prefect-auth", **{"auth-string": "admin:canary-1"}),
        secret("mlflow-auth", username="admin", password="canary-2"),
        secret("lake", AWS_ACCESS_KEY_ID="key", AWS_SECRET_ACCESS_KEY="canary-3"),
        {"metadata": {"name": "trainyard-jobs"}, "data": jobs},
    ]
    return access.read(objects, HOST)


def test_the_environment_leads_to_the_cluster_with_the_keys_from_its_secrets(
    found: access.Access, tmp_path: Path
) -> None:
    env = found.settings(Cluster("one", tmp_path))

    assert env["PREFECT_API_URL"] == "http://127.0.0.1:4211/api"
    assert env["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5012"
    assert env["AWS_ENDPOINT_URL"] == "http://127.0.0.1:9013"
    assert env["PREFECT_API_AUTH_STRING"] == "admin:canary-1"
    assert env["MLFLOW_TRACKING_PASSWORD"] == "canary-2"
    assert env["AWS_SECRET_ACCESS_KEY"] == "canary-3"
    assert env["TRAINYARD_LAKE_BUCKET"] == "lake"
    assert list(tmp_path.iterdir()) == []


def test_keys_are_not_shown_where_the_doors_are_printed(found: access.Access) -> None:
    assert "canary" not in repr(found)


def container(name: str, **status: object) -> dict:
    return {"name": name, "ready": False, "restartCount": 0, **status}


def pod(name: str, *containers: dict, phase: str = "Pending", conditions: tuple = ()) -> dict:
    status = {"phase": phase, "containerStatuses": list(containers), "conditions": list(conditions)}
    return {"metadata": {"name": name}, "status": status}


def test_a_pod_that_waits_is_told_with_its_reason() -> None:
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}

    assert diagnosis.unready([pod("mlflow-1", container("mlflow", state=waiting))]) == [
        "mlflow-1, container mlflow: ImagePullBackOff, no such tag"
    ]


def test_a_pod_that_ended_before_is_told_with_how_and_how_often() -> None:
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    last = {"terminated": {"reason": "Error", "message": "disk full", "exitCode": 1}}

    (line,) = diagnosis.unready([pod("p", container("c", state=state, lastState=last, restartCount=3))])

    assert line == "p, container c: CrashLoopBackOff; before: Error, disk full, exit status 1; restarted 3 times"


def test_a_pod_that_fits_no_node_is_told() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient memory"}

    assert diagnosis.unready([pod("p", conditions=(condition,))]) == ["p: Unschedulable: Insufficient memory"]


def test_a_container_that_runs_and_is_not_ready_is_told_with_since_when_and_asked_what_it_says() -> None:
    state = {"running": {"startedAt": "2026-11-28T01:02:03Z"}}
    pods = [pod("p", container("pool", state=state), phase="Pending"), pod("q", container("c", ready=True))]

    assert diagnosis.unready(pods) == ["p, container pool: running, since 2026-11-28T01:02:03Z"]
    assert diagnosis.running(pods) == [("p", "pool")]


def test_pods_that_are_ready_or_ended_well_are_not_told() -> None:
    ready = pod("a", container("c", ready=True), phase="Running")
    ended = pod("b", container("c", state={"terminated": {"exitCode": 0}}), phase="Succeeded")

    assert diagnosis.unready([ready, ended]) == []


def test_warnings_are_told_once_each_the_newest_last() -> None:
    def event(message: str, at: str, count: int = 1) -> dict:
        about = {"kind": "Pod", "name": "p"}
        return {"involvedObject": about, "reason": "R", "message": message, "lastTimestamp": at, "count": count}

    told = diagnosis.warnings([event("new", "3"), event("old", "1"), event("twice", "2", 2)])

    assert told == ["Pod p: R: old", "Pod p: R: twice (2 times)", "Pod p: R: new"]


def test_a_step_is_told_when_it_begins_and_with_its_seconds_when_it_ends() -> None:
    out = io.StringIO()

    with steps.shown(Console(file=out)) as step, step("Loading"):
        assert out.getvalue() == "Loading ...\n"

    assert out.getvalue() == "Loading ...\nLoading: 0 s\n"


def test_a_step_that_failed_is_not_told_as_done() -> None:
    out = io.StringIO()

    with pytest.raises(OSError, match="full"), steps.shown(Console(file=out)) as step, step("Loading"):
        raise OSError("full")

    assert out.getvalue() == "Loading ...\n"


def test_a_kind_up_ends_with_its_seconds_the_addresses_and_the_next_three_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: access.Access
) -> None:
    out, seconds = io.StringIO(), iter([100.0, 163.2])
    monkeypatch.setattr(kind, "up", lambda *_: found)
    monkeypatch.setattr(kind.time, "monotonic", lambda: next(seconds, 200.0))

    kind.VERBS["up"][0](Console(file=out), Cluster("one", tmp_path))

    said = out.getvalue()
    assert said.splitlines()[0] == "The platform is up, after 63 s"
    assert [one for one in (found.prefect, found.mlflow, found.s3) if one not in said] == []
    assert re.findall(r"^  (make kind-\w+|eval)", said, re.MULTILINE) == ["make kind-demo", "eval", "make kind-down"]


@pytest.mark.parametrize("verb", ["up", "deploy", "demo", "status", "env", "down"])
def test_every_verb_has_its_make_target(verb: str) -> None:
    makefile = (ROOT / "Makefile").read_text()

    assert f"\nkind-{verb}: install ## " in makefile
    assert f"-m ops.kind {verb}\n" in makefile


def test_a_verb_where_a_tool_is_missing_ends_with_the_sentence_alone(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ops.kind", "status"],
        cwd=ROOT,
        env={"PATH": str(tmp_path), "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("trainyard: docker is not on PATH. Install Docker")
    assert "Traceback" not in done.stderr
