"""What is wrong with an installation is a sentence with the remedy: of Helm, of the bootstrap, or of `helm test`."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from mlflow import MlflowClient

from ops.kind.tools import CommandFailed
from tests.cluster import old_databases
from tests.cluster.faults import at_once
from tests.cluster.platform import Platform
from tests.cluster.release import HelmRefused, Release, namespace, release

pytestmark = pytest.mark.timeout(1500)  # it may be the first of its worker, which waits for the cluster

SAID = 400.0
"""Seconds until something says what is wrong, with nine installations on two cores at once."""
WRONG = "not-what-it-should-be"
SECRET = "AWS_SECRET_ACCESS_KEY"
ELSEWHERE = {
    "minio.enabled": False,
    "lake.endpoint": "http://trainyard-minio.trainyard.svc:9000",
    "lake.existingSecret": "lake-keys",
}
EXTERNAL = {
    **ELSEWHERE,
    "prefect.externalApiUrl": "http://old-prefect:4200/api",
    "prefect.existingAuthSecret": "old-prefect-auth",
    "mlflow.url": "",
    "mlflow.externalUrl": "http://old-mlflow:5000",
    "mlflow.existingAuthSecret": "old-mlflow-auth",
    "worker.resources.requests.cpu": "64",  # it finds no node: nobody takes the runs of the servers that are shared
}
OWN_PREFECT = {"prefect.externalApiUrl": "", "prefect.existingAuthSecret": ""}
"""Of what gets past the work pool: that of the shared Prefect is another release's."""
FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "lake-away": (
        {"lake.endpoint": "http://nowhere.bad.svc:9000"},
        "waiting: the lake at http://nowhere.bad.svc:9000 cannot be used (EndpointConnectionError: Could not connect to"
        ' the endpoint URL: "http://nowhere.bad.svc:9000/trainyard?list-type=2&max-keys=1&encoding-type=url"): correct'
        " lake.endpoint, or see the S3 server.",
    ),
    "no-bucket": (
        {"lake.bucket": "absent"},
        "trainyard: there is no bucket absent at http://trainyard-minio.trainyard.svc:9000: make it, or correct"
        " lake.bucket.",
    ),
    "wrong-keys": (
        {"lake.existingSecret": "wrong-keys"},
        "trainyard: the lake at http://trainyard-minio.trainyard.svc:9000 refuses bucket trainyard"
        " (SignatureDoesNotMatch): correct the keys in the Secret, or the rights of the service account's role.",
    ),
    "prefect-away": (
        {"prefect.externalApiUrl": "http://nowhere:4200/api"},
        "waiting: Prefect at http://nowhere:4200/api/ does not answer (ConnectError): see the server's pod and its log,"
        " or correct prefect.externalApiUrl.",
    ),
    "prefect-refuses": (
        {"prefect.existingAuthSecret": "wrong-login", "worker.resources.requests.cpu": "10m"},
        "trainyard: Prefect at http://old-prefect:4200/api/ refuses these credentials: the Secret's `auth-string` must"
        " be the one the server was started with (user:password).",
    ),
    "mlflow-away": (
        {**OWN_PREFECT, "mlflow.externalUrl": "http://nowhere:5000"},
        "waiting: MLflow at http://nowhere:5000 does not answer (ConnectError): see its pod and its log, or correct"
        " mlflow.externalUrl.",
    ),
    "mlflow-refuses": (
        {**OWN_PREFECT, "mlflow.existingAuthSecret": "wrong-login"},
        "trainyard: MLflow at http://old-mlflow:5000 answers 401: the Secret's `username` and `password` must be a user"
        " of it",
    ),
}
NO_RUN: dict[str, tuple[dict[str, str], str]] = {
    "the lake": (
        {"AWS_ENDPOINT_URL": "http://nowhere:9000"},
        "the lake, bucket trainyard at http://nowhere:9000, does not keep an object",
    ),
    "MLflow": (
        {"MLFLOW_TRACKING_URI": "http://nowhere:5000"},
        "MLflow at http://nowhere:5000 does not answer these credentials",
    ),
    "the repository": (
        {"GIT_REPOSITORY": "git://git.trainyard.svc/nothing.git"},
        "the repository git://git.trainyard.svc/nothing.git does not answer",
    ),
}


@pytest.fixture(scope="module")
def bad(cluster: Platform) -> Iterator[Release]:
    """A release that is never installed, with Secrets beside it: what is lacking is lacking."""
    with namespace(cluster, "bad") as name:
        made = release(cluster, name)
        keys = {name: cluster.access.keys[name] for name in ("AWS_ACCESS_KEY_ID", SECRET)}
        made.keep_secret("lake-keys", keys)
        made.keep_secret("wrong-keys", {**keys, SECRET: WRONG})
        login = {"auth-string": f"admin:{WRONG}", "username": "admin", "password": WRONG}
        made.keep_secret("wrong-login", login)
        made.keep_secret("short", {**login, **keys, "secret-key": WRONG, "password": "11-letters.", SECRET: "7-chars"})
        yield made


@pytest.fixture(scope="module")
def attempts(bad: Release) -> dict[str, Release]:
    """All that comes up with a fault or two, begun at once: it takes a cluster's time, not a person's."""
    names = ("old", "newer", *FAULTS)
    made = {name: release(bad.platform, bad.namespace, name) for name in names}
    old_databases.write(made["old"], old_databases.EARLIER)
    old_databases.write(made["newer"], old_databases.LATER)
    old_databases.await_written(made["old"], old_databases.EARLIER)
    old_databases.await_written(made["newer"], old_databases.LATER)
    made["old"].apply("install", values=ELSEWHERE)
    made["newer"].apply("install", values={**ELSEWHERE, "worker.resources.requests.cpu": "64"})
    for name, (values, _) in FAULTS.items():
        made[name].apply("install", values={**EXTERNAL, **values})
    return made


@pytest.mark.parametrize(
    ("values", "key", "remedy"),
    [
        ({"worker.concurrency": "many"}, "at '/worker/concurrency'", "want integer"),
        ({"lake.buckets": "trainyard"}, "at '/lake'", "additional properties 'buckets' not allowed"),
        ({"images.flows": ""}, "images.flows", "`make images` builds the three"),
        ({"git.repository": ""}, "git.repository is empty", "Set it to the address"),
        ({"images.pullSecrets": ["none"]}, "images.pullSecrets names", "Make it there first"),
        (
            {"prefect.existingAuthSecret": "lake-keys"},
            'prefect.existingAuthSecret: the Secret "lake-keys" in namespace bad has no value under "auth-string"',
            "Add it, or name another Secret",
        ),
        ({"mlflow.existingAuthSecret": "wrong-login"}, 'has no value under "secret-key"', "Add it"),
        ({**ELSEWHERE, "lake.existingSecret": "wrong-login"}, 'no value under "AWS_ACCESS_KEY_ID"', "Add it"),
        ({"mlflow.existingAuthSecret": "short"}, 'value under "password" has fewer than 12 char', "Make it longer"),
        ({"lake.existingSecret": "short"}, f'value under "{SECRET}" has fewer than 8 char', "Make it longer"),
        ({"minio.storage.className": "fast"}, "minio.storage.className: the cluster has no", "Correct it"),
    ],
)
def test_what_cannot_be_installed_is_refused_by_helm(
    bad: Release, values: dict[str, Any], key: str, remedy: str
) -> None:
    with pytest.raises(HelmRefused) as refused:
        bad.apply("install", values=values)

    assert key in str(refused.value)
    assert remedy in str(refused.value)
    assert bad.get("all,secrets,configmaps") == []


@pytest.mark.parametrize("name", FAULTS)
def test_what_does_not_answer_or_refuses_is_a_sentence_in_the_bootstraps_log(
    attempts: Mapping[str, Release], name: str
) -> None:
    sentence = FAULTS[name][1]

    said = eventually(attempts[name], sentence)

    assert sentence in said
    assert WRONG not in said


@pytest.mark.parametrize("name", [name for name, (_, sentence) in FAULTS.items() if sentence.startswith("trainyard")])
def test_a_bootstrap_that_was_refused_ends_with_the_sentence_as_its_last_word(
    attempts: Mapping[str, Release], name: str
) -> None:
    sentence = FAULTS[name][1]
    eventually(attempts[name], sentence)

    (ended, *_) = until(lambda: [found for found in terminations(attempts[name], "bootstrap") if found["message"]])

    assert ended["exitCode"] == 1
    assert sentence in ended["message"]


def test_a_worker_whose_password_is_refused_waits_for_its_pool_and_says_so(attempts: Mapping[str, Release]) -> None:
    refused = attempts["prefect-refuses"]
    sentence = (
        "waiting: Prefect at http://old-prefect:4200/api refuses these credentials (401): `auth-string` in the Secret"
        " wrong-login must be the one the server was started with (user:password)."
    )

    said = eventually(refused, sentence, "worker", "pool")

    (pod,) = refused.get("pods", "worker")
    (waits,) = pod["status"]["initContainerStatuses"]
    assert sentence in said
    assert WRONG not in said
    assert (pod["status"]["phase"], waits["restartCount"]) == ("Pending", 0)


@pytest.mark.parametrize("server", ["prefect", "mlflow"])
def test_a_database_of_a_newer_version_is_left_alone_with_a_sentence(
    attempts: Mapping[str, Release], server: str
) -> None:
    ended = until(lambda: terminations(attempts["newer"], server))

    key = "images.server" if server == "prefect" else "images.mlflow"
    assert f"Can't locate revision identified by '{old_databases.NOT_YET}'" in ended[0]["message"]
    assert f"trainyard: the database on volume newer-{server} was not brought to the schema of" in ended[0]["message"]
    assert f"set {key} back to the newer image, or restore the volume." in ended[0]["message"]


def test_databases_of_older_versions_are_brought_to_the_schema_with_what_is_in_them(
    attempts: Mapping[str, Release],
) -> None:
    old = attempts["old"]

    old.await_ready()

    with old.reached(lake="lake-keys"):
        with old.client() as client:
            flows = {found.name for found in client.read_flows()}
        experiments = {found.name for found in MlflowClient().search_experiments()}
    assert "kept" in flows
    assert "kept" in experiments


@pytest.fixture(scope="module")
def tried(attempts: Mapping[str, Release]) -> Iterator[Callable[[str], str]]:
    """What `helm test` says of an installation with a fault: each waits a minute for its bootstrap, so all at once."""

    def said(name: str) -> str:
        if name in FAULTS:
            eventually(attempts[name], FAULTS[name][1])
        with pytest.raises(HelmRefused) as failed:
            attempts[name].helm("test", "--logs", "--timeout=400s")
        return str(failed.value)

    with at_once({name: partial(said, name) for name in ("newer", *FAULTS)}) as found:
        yield found


@pytest.mark.parametrize("name", ["newer", *FAULTS])
def test_helm_test_says_what_is_wrong_where_no_run_can_be_started(tried: Callable[[str], str], name: str) -> None:
    newer = "Prefect at http://newer-prefect:4200/api/ does not answer"
    sentence = FAULTS[name][1].partition(": ")[2] if name in FAULTS else newer

    said = tried(name)

    assert f"trainyard: {sentence}" in said
    assert "Traceback" not in said
    assert WRONG not in said


def test_helm_tests_run_says_what_does_not_work(cluster: Platform, undisturbed: None) -> None:
    runs = {
        what: cluster.start("smoke/platform", job_variables={"env": env, "cpu_request": "20m"})
        for what, (env, _) in NO_RUN.items()
    }

    ended = {what: cluster.wait(run, 480).state for what, run in runs.items()}

    assert {what: state.type.value for what, state in ended.items() if state} == dict.fromkeys(NO_RUN, "FAILED")
    for what, (_, sentence) in NO_RUN.items():
        assert sentence in str(ended[what]), what


def terminations(made: Release, component: str) -> list[dict[str, Any]]:
    """How the containers of a component ended that did not end well."""
    found = []
    for pod in made.get("pods", component):
        for container in (*pod["status"].get("initContainerStatuses", []), *pod["status"].get("containerStatuses", [])):
            for state in (container["state"], container.get("lastState", {})):
                if "terminated" in state and state["terminated"]["exitCode"]:
                    found.append({"message": "", **state["terminated"]})
    return found


def eventually(made: Release, sentence: str, component: str = "bootstrap", container: str = "bootstrap") -> str:
    """The log of a container once it holds the sentence, or what it is when time is up."""
    said = ""

    def log() -> str:
        nonlocal said
        with suppress(CommandFailed):  # there is no log yet
            said = made.kubectl("logs", made.ours(component), f"--container={container}", "--tail=-1") or said
        return said if sentence in said else ""

    return until(log, otherwise=lambda: said)


def until[T](found: Callable[[], T], otherwise: Callable[[], T] | None = None) -> T:
    """What is found once there is something, or ``otherwise``, by default that of the last look, when time is up."""
    deadline = time.monotonic() + SAID
    while not (last := found()) and time.monotonic() < deadline:
        time.sleep(1)
    return last or (otherwise or found)()
