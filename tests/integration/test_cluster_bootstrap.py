"""What the chart's bootstrap Job applies to a Prefect server, as it is set on the cluster: behind a password."""

import contextvars
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import InvalidNameError, ObjectAlreadyExists, ObjectNotFound
from prefect.states import Running

from ops import chart
from ops.s3_servers import Server
from tests.integration.servers import ROOT, at, prefect_of_a_cluster
from tests.platform import chart as platform_chart

FILES = ROOT / chart.CHART / "files" / "bootstrap"
SILENT, UNSTARTED = "A run that fell silent is Crashed", "A run that does not start is Crashed"
CANCELLING = "A run that is being cancelled and does not end is Cancelled"
RERUN = "A run that crashed is run again, once"
AUTOMATIONS = (SILENT, UNSTARTED, CANCELLING, RERUN)
VARIABLES = {
    "type": "object",
    "required": ["image"],
    "properties": {
        "image": {"type": "string"},
        "memory": {"type": "string"},
        "scratch": {"type": "string"},
        "deadline_seconds": {"type": "integer"},
    },
}
TEMPLATE = {"job_configuration": {"image": "{{ image }}"}, "variables": VARIABLES}
WANTED: dict[str, Any] = {
    "pool": {"name": "kubernetes", "type": "kubernetes", "concurrency": 3, "base_job_template": TEMPLATE},
    "lake": {"bucket": "lake", "prefix": "trainyard"},
    "concurrency_limits": {"tlc": 2},
    "variables": {"note": "hello"},
    "silence_seconds": 120,
    "pending_seconds": 300,
    "rerun_crashed": True,
    "ui_url": "https://prefect.example.org",
    "smoke": {"code": str(FILES / "smoke.py"), "image": "trainyard/flows:1"},
    "patience": 1,
}


@pytest.fixture(scope="module")
def cluster(minio_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment that a pod has: a Prefect server behind a password, with CSRF on, and a lake."""
    own = {
        "AWS_ENDPOINT_URL": minio_server.url,
        "AWS_ACCESS_KEY_ID": "trainyard-tests",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret-of-anyone",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with prefect_of_a_cluster(tmp_path_factory.mktemp("prefect")) as env:
        yield {**env, **own}


@pytest.fixture
def client(cluster: dict[str, str]) -> Iterator[SyncPrefectClient]:
    """A client of the server, which is empty; the environment of this process is that of a pod."""
    with at(cluster), get_client(sync_client=True) as own:
        empty(own)
        yield own


def empty(client: SyncPrefectClient) -> None:
    """Take away everything that the bootstrap makes."""
    for name in AUTOMATIONS:
        for found in client.read_automations_by_name(name):
            client.delete_automation(found.id)
    for pool in client.read_work_pools():
        client.delete_work_pool(pool.name)
    for flow in client.read_flows():
        client.delete_flow(flow.id)
    for document in client.read_block_documents():
        client.delete_block_document(document.id)
    for limit in client.read_global_concurrency_limits():
        client.delete_global_concurrency_limit_by_name(limit.name)
    for variable in client.read_variables():
        client.delete_variable_by_name(variable.name)


@pytest.fixture
def apply(client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Applies what is wanted, changed where a test says so."""
    monkeypatch.syspath_prepend(str(FILES))
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps the keys of the process's first request
    import bootstrap

    return lambda **changed: bootstrap.apply(bootstrap.Configuration(**{**WANTED, **changed}))


def applied(client: SyncPrefectClient) -> dict[str, Any]:
    """All that is on the server, but for when it was written."""
    apart = {"exclude": {"created", "updated"}}
    automations = [found for name in AUTOMATIONS for found in client.read_automations_by_name(name)]
    queues = client.read_work_queues(work_pool_name="kubernetes")
    return {
        "pools": [pool.model_dump(**apart) for pool in client.read_work_pools()],
        "queues": {queue.name: queue.concurrency_limit for queue in queues},
        "deployments": [found.model_dump(**apart) for found in client.read_deployments()],
        "blocks": [(found.name, found.data, found.block_type_id) for found in client.read_block_documents()],
        "limits": {found.name: found.limit for found in client.read_global_concurrency_limits()},
        "variables": {found.name: found.value for found in client.read_variables()},
        "automations": [found.model_dump() for found in automations],
    }


def automation(client: SyncPrefectClient, name: str) -> Any:
    (found,) = client.read_automations_by_name(name)
    return found


def refused(apply: Callable[..., None], **changed: Any) -> str:
    """The sentence in which the bootstrap ends."""
    import checks

    with pytest.raises(checks.BootstrapError) as error:
        apply(**changed)
    return str(error.value)


@contextmanager
def server(*answers: tuple[int, str], met: list[Any] | None = None) -> Iterator[str]:
    """A server of faults: it gives these answers one after the other, the last of them for ever; its address.

    ``met`` is told of each connection.
    """
    left, met = list(answers), [] if met is None else met

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            met.append(self.client_address)

        def do_GET(self) -> None:
            status, text = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if text.startswith("<") else "application/json")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_PUT = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_address[1]}"
        found.shutdown()


def test_pool_limits_variables_block_automations_and_deployment_are_applied(client, apply) -> None:
    apply()

    found = applied(client)
    (pool,), (deployment,), ((block, data, _),) = found["pools"], found["deployments"], found["blocks"]
    assert (pool["name"], pool["type"], pool["concurrency_limit"]) == ("kubernetes", "kubernetes", None)
    assert found["queues"] == {"default": 3, "operators": None}
    assert pool["base_job_template"] == TEMPLATE
    assert (block, data["bucket_name"], data["bucket_folder"]) == ("trainyard-results", "lake", "trainyard/results")
    assert (deployment["work_queue_name"], deployment["job_variables"]["image"]) == ("operators", "trainyard/flows:1")
    assert (found["limits"], found["variables"]) == ({"tlc": 2}, {"note": "hello"})
    assert {each["name"]: each["trigger"]["within"].total_seconds() for each in found["automations"]} == {
        SILENT: 120,
        UNSTARTED: 300,
        CANCELLING: 90,
        RERUN: 30 * 24 * 3600,
    }


def test_no_key_of_the_lake_is_kept_in_prefect(client, apply) -> None:
    apply()

    assert "not-a-secret-of-anyone" not in str(applied(client))


def test_applied_again_nothing_is_other_than_before(client, apply) -> None:
    apply()
    before = applied(client)

    apply()

    assert applied(client) == before


def test_applied_by_several_at_once_everything_is_there_once(client, apply) -> None:
    at_once = threading.Barrier(3)

    def one() -> None:
        at_once.wait()
        apply()

    with ThreadPoolExecutor(3) as threads:
        ended = [threads.submit(contextvars.copy_context().run, one) for _ in range(3)]

    assert [each.result() for each in ended] == [None] * 3
    assert {name: len(each) for name, each in applied(client).items()} == {
        "pools": 1,
        "queues": 2,
        "deployments": 1,
        "blocks": 1,
        "limits": 1,
        "variables": 1,
        "automations": 4,
    }


def test_of_automations_made_at_the_same_moment_one_stays(client, apply) -> None:
    import automations

    for wanted in (*automations.wanted(120, 300, "kubernetes"), automations.rerun("kubernetes")) * 3:
        client.create_automation(wanted)

    apply()

    assert len(applied(client)["automations"]) == len(AUTOMATIONS)


def test_what_an_operator_paused_or_switched_off_stays_so(client, apply) -> None:
    apply()
    client.update_work_pool("kubernetes", WorkPoolUpdate(is_paused=True))
    client.pause_automation(automation(client, SILENT).id)

    apply(silence_seconds=240, pool={**WANTED["pool"], "concurrency": 7})

    assert client.read_work_pool("kubernetes").is_paused
    assert applied(client)["queues"] == {"default": 7, "operators": None}
    assert (automation(client, SILENT).enabled, automation(client, UNSTARTED).enabled) == (False, True)
    assert automation(client, SILENT).trigger.within.total_seconds() == 240


def test_what_is_wanted_otherwise_is_applied(client, apply) -> None:
    apply()
    pool = applied(client)["pools"][0]["id"]
    template = {**TEMPLATE, "job_configuration": {"image": "{{ image }}", "labels": {"a": "b"}}}

    apply(
        pool={**WANTED["pool"], "base_job_template": template},
        lake={"bucket": "lake"},
        concurrency_limits={"tlc": 5},
        variables={"note": {"a": 1}},
        pending_seconds=60,
        smoke={**WANTED["smoke"], "image": "trainyard/flows:2"},
    )

    found = applied(client)
    assert (found["pools"][0]["id"], found["pools"][0]["base_job_template"]) == (pool, template)
    assert found["blocks"][0][1]["bucket_folder"] == "results"
    assert (found["limits"], found["variables"]) == ({"tlc": 5}, {"note": {"a": 1}})
    assert found["deployments"][0]["job_variables"]["image"] == "trainyard/flows:2"
    assert automation(client, UNSTARTED).trigger.within.total_seconds() == 60
    assert "within 60 s" in automation(client, UNSTARTED).actions[0].message


def test_what_operators_start_waits_for_no_run_of_a_full_pool(client, apply) -> None:
    apply(pool={**WANTED["pool"], "concurrency": 1}, smoke=None)
    flow = client.create_flow_from_name("any")
    at = {"work_pool_name": "kubernetes", "job_variables": {"image": "any:1"}}
    of = {
        queue: client.create_deployment(flow, queue, work_queue_name=queue, **at) for queue in ("default", "operators")
    }
    under_way = client.create_flow_run_from_deployment(of["default"])
    client.set_flow_run_state(under_way.id, Running())
    waits = client.create_flow_run_from_deployment(of["default"])
    levers = {client.create_flow_run_from_deployment(of["operators"]).id for _ in range(2)}

    given = client.get_scheduled_flow_runs_for_work_pool("kubernetes", scheduled_before=datetime.now(UTC))

    assert {each.flow_run.id for each in given} == levers
    assert client.read_flow_run(waits.id).state_name == "Scheduled"


def test_a_pool_whose_limit_was_its_own_has_it_at_its_queue_from_then_on(client, apply) -> None:
    client.create_work_pool(
        WorkPoolCreate(name="kubernetes", type="kubernetes", base_job_template=TEMPLATE, concurrency_limit=3)
    )

    apply()

    assert client.read_work_pool("kubernetes").concurrency_limit is None
    assert applied(client)["queues"] == {"default": 3, "operators": None}


def test_where_crashed_runs_are_to_stay_crashed_nothing_runs_them_again(client, apply) -> None:
    apply()

    apply(rerun_crashed=False)

    assert client.read_automations_by_name(RERUN) == []
    assert len(applied(client)["automations"]) == len(AUTOMATIONS) - 1


def test_on_a_laptop_a_run_that_does_not_start_is_told_of_the_worker_and_of_no_pod(client, apply) -> None:
    apply(pool={"name": "local", "type": "process", "concurrency": 2}, smoke=None)

    (action,) = automation(client, UNSTARTED).actions
    assert "the worker is away" in action.message
    assert "image" not in action.message


def test_a_pool_without_a_template_of_ours_gets_that_of_its_type(client, apply) -> None:
    apply(pool={"name": "local", "type": "process", "concurrency": 2}, smoke=None)

    assert "working_dir" in client.read_work_pool("local").base_job_template["variables"]["properties"]


def test_the_charts_own_configuration_is_one_that_prefect_takes(client, apply) -> None:
    if not chart.helm():
        pytest.skip("helm is not on PATH")
    rendered = platform_chart.case("laptop").configuration()

    apply(**rendered | {"mlflow_url": "", "smoke": {**rendered["smoke"], "code": str(FILES / "smoke.py")}})

    found = applied(client)
    assert found["pools"][0]["base_job_template"] == rendered["pool"]["base_job_template"]
    assert [each["name"] for each in found["deployments"]] == ["platform"]


def test_a_bucket_is_made_where_that_is_asked_for_and_only_there(client, apply) -> None:
    name = f"bucket-{os.urandom(4).hex()}"

    said = refused(apply, lake={"bucket": name})
    apply(lake={"bucket": name, "create": True})
    apply(lake={"bucket": name})

    assert said.startswith(f"there is no bucket {name} at http://127.0.0.1:")
    assert said.endswith("make it, or correct lake.bucket.")


def test_a_pool_of_another_type_is_refused(client, apply) -> None:
    apply(pool={"name": "kubernetes", "type": "process", "concurrency": 1}, smoke=None)

    said = refused(apply)

    assert "the work pool kubernetes is there and of type process, not kubernetes: delete it" in said


@pytest.mark.parametrize(("namespace", "release"), [("others", "trainyard"), ("trainyard", "others")])
def test_a_pool_of_another_installation_is_refused_and_left_as_it_is(client, apply, namespace, release) -> None:
    theirs = {**WANTED["pool"], "base_job_template": template_of(namespace, release)}
    apply(pool=theirs, smoke=None)

    said = refused(apply, pool={**WANTED["pool"], "base_job_template": template_of("trainyard", "trainyard")})

    assert f"is that of namespace {namespace}, release {release}, not of namespace trainyard, release trainyard" in said
    assert client.read_work_pool("kubernetes").base_job_template == theirs["base_job_template"]


def template_of(namespace: str, release: str) -> dict[str, Any]:
    """The base job template of an installation."""
    manifest = {"metadata": {"labels": {"app.kubernetes.io/instance": release}}}
    job = {"image": "{{ image }}", "namespace": namespace, "job_manifest": manifest}
    return {**TEMPLATE, "job_configuration": job}


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"PREFECT_API_AUTH_STRING": "admin:wrong"}, "refuses these credentials: the Secret's `auth-string` must be"),
        ({"PREFECT_API_URL": "http://127.0.0.1:1/api"}, "does not answer (ConnectError): see the server's pod"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "refuses bucket lake (SignatureDoesNotMatch): correct the keys"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "refuses bucket lake (InvalidAccessKeyId): correct the keys"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_EC2_METADATA_DISABLED": "true"}, "there are no keys for the lake at http"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "cannot be used (EndpointConnectionError"),
    ],
)
def test_what_does_not_answer_or_refuses_is_a_sentence(
    client, apply, cluster, changed: Mapping[str, str], sentence: str
) -> None:
    with at({**cluster, **changed}):
        said = refused(apply)

    assert sentence in said


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((200, '"3.0.0"'), "is version 3.0.0, older than the flows' 3.8.8: upgrade it first"),
        ((200, "<html>Log in</html>"), "is not Prefect's API: correct prefect.externalApiUrl (it ends in /api)"),
        ((200, "{}"), "is not Prefect's API: correct prefect.externalApiUrl"),
        ((404, "{}"), "answers 404: see the server's log, or correct prefect.externalApiUrl"),
        ((500, "{}"), "answers 500: see the server's log"),
    ],
)
def test_a_prefect_that_is_too_old_broken_or_none_is_a_sentence(
    client, apply, cluster, answer: tuple[int, str], sentence: str
) -> None:
    with server(answer) as url, at({**cluster, "PREFECT_API_URL": f"{url}/api", "PREFECT_CLIENT_MAX_RETRIES": "0"}):
        said = refused(apply)

    assert sentence in said


def test_what_answered_in_the_place_of_prefect_is_not_asked_again(client, apply, cluster, capsys) -> None:
    met: list[Any] = []
    with (
        server((404, "{}"), met=met) as url,
        at({**cluster, "PREFECT_API_URL": f"{url}/api", "PREFECT_CLIENT_MAX_RETRIES": "0"}),
    ):
        refused(apply, patience=3.0)

    assert len(met) == capsys.readouterr().out.count("waiting: ") + 1 >= 2


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((401, "no"), "answers 401: the Secret's `username` and `password` must be a user of it"),
        ((403, "Invalid Host header"), "one of its allowed hosts. It said: Invalid Host header"),
        ((500, "out of disk"), "answers 500: out of disk"),
        ((200, "<html>Log in</html>"), "is not MLflow: correct mlflow.externalUrl"),
    ],
)
def test_an_mlflow_that_refuses_fails_or_is_none_is_a_sentence(
    client, apply, answer: tuple[int, str], sentence: str
) -> None:
    with server(answer) as url:
        said = refused(apply, mlflow_url=url)

    assert sentence in said


def test_an_mlflow_that_does_not_answer_is_a_sentence(client, apply) -> None:
    said = refused(apply, mlflow_url="http://127.0.0.1:1")

    assert "does not answer (ConnectError): see its pod and its log, or correct mlflow.externalUrl" in said


def test_a_server_that_is_still_starting_is_waited_for(client, apply, capsys) -> None:
    with server((503, "starting"), (503, "starting"), (200, "{}")) as url:
        apply(mlflow_url=url, patience=60)

    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if line.startswith("waiting")] == [
        f"waiting: MLflow at {url} answers 503: starting"
    ] * 2
    assert said[-1] == "everything is applied"


def run(env: Mapping[str, str], folder: Path, **changed: Any) -> subprocess.CompletedProcess[str]:
    """The program of the bootstrap Job."""
    configuration = folder / "configuration.yaml"
    configuration.write_text(yaml.safe_dump({**WANTED, **changed}))
    command = [sys.executable, str(FILES / "bootstrap.py"), str(configuration)]
    return subprocess.run(command, env=dict(env), capture_output=True, text=True, timeout=120, check=False)


def test_the_job_ends_well_once_everything_is_applied(client, cluster, tmp_path: Path) -> None:
    ended = run(cluster, tmp_path)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[-1] == "everything is applied"
    assert applied(client)["queues"] == {"default": 3, "operators": None}


def test_the_job_ends_badly_with_one_sentence_that_holds_no_secret(client, cluster, tmp_path: Path) -> None:
    ended = run({**cluster, "PREFECT_API_AUTH_STRING": "admin:a-wrong-password"}, tmp_path)

    assert ended.returncode == 1
    assert ended.stderr.startswith("trainyard: Prefect at http://127.0.0.1:")
    assert len(ended.stderr.splitlines()) == 1
    assert "a-wrong-password" not in ended.stdout + ended.stderr


REQUEST = httpx.Request("POST", "http://prefect:4200/api/work_pools/")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            ObjectNotFound(httpx.HTTPStatusError("", request=REQUEST, response=httpx.Response(404, text="no pool"))),
            "Prefect answers 404 to /api/work_pools/: no pool. Another may be changing it: run this again.",
        ),
        (
            ObjectAlreadyExists(httpx.HTTPStatusError("", request=REQUEST, response=httpx.Response(409, text="a"))),
            "Prefect answers 409 to /api/work_pools/: a. Another may be changing it: run this again.",
        ),
        (
            httpx.HTTPStatusError("", request=REQUEST, response=httpx.Response(422, text="too long")),
            "Prefect answers 422 to /api/work_pools/: too long. Correct the values.",
        ),
        (
            httpx.ConnectError("refused"),
            "Prefect stopped answering (ConnectError: refused): see its pod and its log; run this again.",
        ),
        (
            InvalidNameError("a/b"),
            "Prefect's client refuses what is applied (InvalidNameError: a/b). Correct the values.",
        ),
    ],
    ids=lambda each: type(each).__name__,
)
def test_whatever_prefect_or_its_client_refuses_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, error: Exception, sentence: str
) -> None:
    monkeypatch.syspath_prepend(str(FILES))
    import bootstrap

    def refuse(_: object) -> None:
        raise error

    (tmp_path / "configuration.yaml").write_text(yaml.safe_dump(WANTED))
    monkeypatch.setattr(bootstrap, "apply", refuse)
    monkeypatch.setattr(sys, "argv", ["bootstrap.py", str(tmp_path / "configuration.yaml")])

    assert (bootstrap.main(), capsys.readouterr().err) == (1, f"trainyard: {sentence}\n")


def smoke_program(changes: str) -> list[str]:
    """The program of the pod of `helm test`, with changes."""
    code = f"import sys; sys.path.insert(0, sys.argv[1]); import run_smoke; {changes}; sys.exit(run_smoke.main())"
    return [sys.executable, "-c", code, str(FILES)]


def helm_test(env: Mapping[str, str], changes: str = "pass") -> subprocess.CompletedProcess[str]:
    """The program of the pod of `helm test`, with changes, which waits for no bootstrap."""
    command = smoke_program(f"run_smoke.APPLIED_WITHIN = 0; {changes}")
    return subprocess.run(command, env=dict(env), capture_output=True, text=True, timeout=120, check=False)


def test_helm_test_waits_for_a_bootstrap_that_is_still_at_work(client, cluster, tmp_path: Path) -> None:
    with subprocess.Popen(smoke_program("run_smoke.run = lambda: 0"), env=dict(cluster)) as begun_before:
        applied_by_then = run(cluster, tmp_path)
        ended = begun_before.wait(60)

    assert (applied_by_then.returncode, ended) == (0, 0)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            {},
            "Prefect has no deployment smoke/platform: the bootstrap Job, which makes it, is still at work or",
        ),
        (
            {"PREFECT_API_AUTH_STRING": "admin:a-wrong-password"},
            "refuses these credentials: the Secret's `auth-string`",
        ),
        ({"PREFECT_API_URL": "http://127.0.0.1:1/api"}, "does not answer (ConnectError): see the server's pod"),
    ],
)
def test_helm_test_that_can_start_no_run_ends_with_one_sentence(
    client, cluster, changed: Mapping[str, str], sentence: str
) -> None:
    ended = helm_test({**cluster, **changed})

    assert ended.returncode == 1
    assert sentence in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("changed", "lake", "sentence"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, {}, "the lake at http://127.0.0.1:1 cannot be used"),
        ({}, {}, "there is no bucket absent at http://127.0.0.1:"),
        ({}, {"bucket": "made", "create": True}, "MLflow at http://127.0.0.1:1 does not answer (ConnectError)"),
    ],
    ids=["lake away", "no bucket", "MLflow away"],
)
def test_helm_test_says_what_hinders_the_bootstrap(
    client, cluster, tmp_path: Path, changed: Mapping[str, str], lake: Mapping[str, Any], sentence: str
) -> None:
    configuration = tmp_path / "configuration.yaml"
    given = {"lake": {"bucket": "absent", "create": False, **lake}, "mlflow_url": "http://127.0.0.1:1"}
    configuration.write_text(yaml.safe_dump(given))

    ended = helm_test({**cluster, **changed}, f"run_smoke.CONFIGURATION = run_smoke.Path({str(configuration)!r})")

    assert ended.returncode == 1
    assert sentence in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
