"""What keeps the worker from starting before its pool is there, and what it says meanwhile."""

import base64
import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ops import chart as sources
from ops.s3_servers import free_ports
from tests.platform import chart
from tests.platform.chart import ROOT, Object, every_case, requires_helm

pytestmark = requires_helm

LOG = "kubectl logs --selector app.kubernetes.io/component=bootstrap --tail=20"
Stage = tuple[int, str]
"""Status and text of Prefect's answer."""


def worker(case: str) -> Object:
    """The worker's pod."""
    spec: Object = chart.case(case).one("Deployment", "-worker")["spec"]["template"]["spec"]
    return spec


def pool(**changed: Any) -> str:
    """The pool that the bootstrap makes, as Prefect tells of it, with other things in its job's configuration."""
    wanted = chart.case("laptop").configuration()["pool"]
    template = wanted["base_job_template"]
    other = {**template, "job_configuration": {**template["job_configuration"], **changed}}
    return json.dumps({"name": wanted["name"], "type": wanted["type"], "base_job_template": other})


class Prefect:
    """A server that answers as the stages say, one for every two looks; a stage of None: nothing listens."""

    def __init__(self, *stages: Stage | None) -> None:
        self.left = [stage for stage in stages for _ in range(2)]
        self.asked: list[tuple[str, str]] = []
        self.connections: set[Any] = set()
        (self.port,) = free_ports(1)
        self.server: HTTPServer | None = None

    def next(self, _: float = 0.0) -> None:
        """Go on to the next look; it stands in for the wait between two of them."""
        assert self.left, "it still waits"
        if (stage := self.left.pop(0)) and not self.server:
            self.server = HTTPServer(("127.0.0.1", self.port), self._handler())
            threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.stage = stage

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        prefect = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                prefect.asked.append((self.path, self.headers["Authorization"]))
                prefect.connections.add(self.client_address)
                status, text = prefect.stage or (500, "")
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        return Handler


Run = Callable[[Prefect], list[str]]


@pytest.fixture
def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Runs the program as the worker's pod does, until it has ended well; the lines of its log."""
    monkeypatch.syspath_prepend(str(ROOT / sources.CHART / "files" / "bootstrap"))
    import work_pool

    used: list[Prefect] = []

    def run(prefect: Prefect) -> list[str]:
        used.append(prefect)
        configuration = tmp_path / "configuration.yaml"
        configuration.write_text(chart.case("laptop").one("ConfigMap", "-bootstrap")["data"][configuration.name])
        monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{prefect.port}/api")
        monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:with:colön")
        monkeypatch.setattr(sys, "argv", ["work_pool.py", str(configuration), "own-prefect"])
        monkeypatch.setattr(work_pool, "time", stand_in(prefect))
        prefect.next()
        assert work_pool.main() == 0
        return [line.replace(f"127.0.0.1:{prefect.port}", "prefect") for line in capsys.readouterr().out.splitlines()]

    yield run
    for prefect in used:
        if prefect.server:
            prefect.server.shutdown()
            prefect.server.server_close()


def stand_in(prefect: Prefect) -> ModuleType:
    """A clock whose wait is the next look."""
    made = ModuleType("time")
    made.sleep = prefect.next  # type: ignore[attr-defined]
    return made


@every_case
def test_the_worker_starts_once_prefect_has_the_pool_of_the_same_configuration_with_its_own_login(case: str) -> None:
    pod = worker(case)
    ((first,), (own,)) = pod["initContainers"], pod["containers"]
    (volume,) = (each for each in pod["volumes"] if each["name"] == first["volumeMounts"][0]["name"])
    files = chart.case(case).one("ConfigMap", "-bootstrap")
    login = {each["name"]: each for each in own["env"]}

    _, program, configuration, secret = first["args"]

    assert first["image"] == own["image"]
    assert first["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert volume["configMap"]["name"] == files["metadata"]["name"]
    assert {Path(program).name, Path(configuration).name} <= files["data"].keys()
    assert [login[each["name"]] for each in first["env"]] == first["env"]
    assert login["PREFECT_API_AUTH_STRING"]["valueFrom"]["secretKeyRef"]["name"] == secret


def test_it_says_why_it_waits_each_time_that_changes_and_ends_once_the_pool_is_there(waiting: Run) -> None:
    prefect = Prefect(None, (401, "{}"), (404, '{"detail": "no such pool"}'), (401, "{}"), (200, pool()))

    said = waiting(prefect)

    refused = (
        "waiting: Prefect at http://prefect/api refuses these credentials (401): `auth-string` in the Secret"
        " own-prefect must be the one the server was started with (user:password). Restart the server, or correct the"
        " Secret and delete this pod, which read it when it started."
    )
    assert said == [
        "waiting: Prefect at http://prefect/api does not answer (ConnectError): see the server's pod and its log, or"
        " correct prefect.externalApiUrl.",
        refused,
        "waiting: there is no work pool kubernetes at http://prefect/api yet: the bootstrap makes it, and its log says"
        f" why it has not: {LOG}",
        refused,
        "work pool kubernetes is there",
    ]
    login = base64.b64encode("admin:with:colön".encode()).decode()
    assert set(prefect.asked) == {("/api/work_pools/kubernetes", f"Basic {login}")}


def test_what_answered_in_the_place_of_prefect_is_not_asked_again(waiting: Run) -> None:
    prefect = Prefect((404, "{}"), (401, "{}"), (200, pool()))

    waiting(prefect)

    assert len(prefect.connections) == len(prefect.asked) == 5


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((403, "{}"), "refuses these credentials (403)"),
        ((503, "{}"), "answers 503: see its log, or correct prefect.externalApiUrl."),
        ((200, "<html>"), "is not Prefect's API: correct prefect.externalApiUrl (it ends in /api)."),
        ((200, "[]"), "is not Prefect's API: correct prefect.externalApiUrl (it ends in /api)."),
    ],
)
def test_what_is_no_answer_of_prefects_api_is_told(waiting: Run, answer: Stage, sentence: str) -> None:
    said, _ = waiting(Prefect(answer, (200, pool())))

    assert sentence in said


@pytest.mark.parametrize("other", [{"namespace": "another"}, {"job_manifest": "{{ manifest }}"}])
def test_the_pool_of_another_installation_is_not_the_workers(waiting: Run, other: dict[str, str]) -> None:
    said, ended = waiting(Prefect((200, pool(**other)), (200, pool())))

    assert said == (
        "waiting: the work pool kubernetes at http://prefect/api is not this installation's: the bootstrap's log says"
        f" more: {LOG}"
    )
    assert ended == "work pool kubernetes is there"
