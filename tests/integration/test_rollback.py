"""``make rollback``: the lever from a shell, on whatever platform PREFECT_API_URL points at."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound

from flows.ml import ledger
from flows.retrain import retrain
from ops import rollback
from ops.lint.markdown import read
from tests.integration.home import MODEL, Home, run
from tests.integration.servers import ROOT

RUNBOOK = ROOT / "docs/runbooks/model-in-service-is-wrong.md"
SERVE = f"from flows.promote import promote; promote.serve('{MODEL}-local', limit=1)"
OURS = {"OPERATOR": "ada", "REASON": 'it\'s "off" by $9; see `chat`'}


@contextlib.contextmanager
def deployed(env: Mapping[str, str]) -> Iterator[None]:
    """The deployment of the flow, and who runs what is asked of it."""
    name, quick = f"promote/{MODEL}-local", {"PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    with subprocess.Popen([sys.executable, "-c", SERVE], env={**env, **quick}, cwd=ROOT) as runner:
        try:
            with get_client(sync_client=True) as client:
                while not _is_there(client, name):
                    assert runner.poll() is None
                    time.sleep(0.2)
                yield
                client.delete_deployment(client.read_deployment_by_name(name).id)
        finally:
            runner.terminate()


def _is_there(client: SyncPrefectClient, name: str) -> bool:
    with contextlib.suppress(ObjectNotFound):
        return bool(client.read_deployment_by_name(name))
    return False


def command() -> str:
    """The command of the runbook."""
    (found,) = [line.text for line in read(RUNBOOK.read_text()).block_lines if line.text.startswith("make rollback")]
    return found


def make(env: Mapping[str, str], **variables: str) -> subprocess.CompletedProcess[str]:
    """``make rollback`` with these variables."""
    given = [f"{name}={value.replace('$', '$$')}" for name, value in variables.items()]
    line = ["make", "--silent", "rollback", *given]
    return subprocess.run(line, cwd=ROOT, env=dict(env), capture_output=True, text=True, check=False)


def test_the_command_of_the_runbook_rolls_back_and_a_version_named_comes_back(home: Home) -> None:
    home.land("2023-01", "2023-02", "2023-03")
    run(retrain, model=MODEL, until="2023-02")
    run(retrain, model=MODEL)

    with deployed(home.env):
        back = subprocess.run(command(), shell=True, cwd=ROOT, env=dict(home.env), capture_output=True, text=True)
        forth = make(home.env, MODEL=MODEL, TO="2", **OURS)
        lost = make(home.env, MODEL=MODEL, TO="9", **OURS)
        wrong = make(home.env, MODEL=MODEL, TO="newest", **OURS)

    assert back.returncode == 0, back.stderr
    assert "Promoted: version 1 is in service instead of version 2, by " in back.stdout
    assert forth.returncode == 0, forth.stderr
    assert f"Promoted: version 2 is in service instead of version 1, by ada: {OURS['REASON']}\n" in forth.stdout
    assert lost.returncode
    assert "Refused: MLflow has no version 9 of trip-duration" in lost.stdout
    assert wrong.returncode
    assert "trainyard: promote does not take this: " in wrong.stderr
    assert "version" in wrong.stderr
    assert [entry.version for entry in ledger.entries(home.lake, MODEL)] == [1, 2, 1, 2]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"PREFECT_API_URL": ""}, "PREFECT_API_URL is not set"),
        ({"PREFECT_API_URL": "http://127.0.0.1:9/api"}, "Prefect at http://127.0.0.1:9/api/ does not answer"),
        ({}, f"has no deployment promote/{MODEL} or promote/{MODEL}-local. Correct MODEL, or deploy first"),
    ],
)
def test_a_platform_that_cannot_do_it_is_named(home: Home, change: dict[str, str], sentence: str) -> None:
    words = ["--model", MODEL, "--to", "", "--operator", "ada", "--reason", "it is off"]
    command = [sys.executable, "-m", "ops.rollback", *words]

    done = subprocess.run(command, env={**home.env, **change}, cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 1
    assert done.stderr.startswith("trainyard: ")
    assert sentence in done.stderr


@pytest.mark.parametrize("missing", ["MODEL", "OPERATOR", "REASON"])
def test_what_is_not_said_is_asked_for_by_name(home: Home, missing: str) -> None:
    given = {"MODEL": MODEL, **OURS, missing: " "}

    done = make(home.env, **given)

    assert done.returncode
    assert f"trainyard: {missing} is empty: make rollback MODEL=… OPERATOR=… REASON=… says all three." in done.stderr


def test_a_run_that_does_not_end_is_named_with_what_to_do(home: Home) -> None:
    from flows.promote import promote

    with get_client(sync_client=True) as client:
        waiting = client.create_flow_run(
            promote, parameters={"model": MODEL, "version": "previous", "operator": "ada", "reason": "it is off"}
        )

        with pytest.raises(rollback.NotRolledBack, match=r"no end after 1 s, .* cancel it there where it shall not"):
            rollback.wait(client, waiting, patience=1)
