"""`make demo` on a clean clone. The tests are one story, told in order: each begins where the one before ended."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from clone import Clone, Made
from found import state

pytestmark = pytest.mark.timeout(600)

PREFERRED = {"prefect": 4200, "mlflow": 5000, "s3": 8333}
DEMO = ["Landed", "Promoted", "Promoted"]
"""How the months of a first demo end."""
TO_BEAT = (4.266, 4.284)
"""Minutes: the errors of the reference point on 2023-02 and 2023-03 (docs/decisions/0032-search-for-parameters.md)."""


def ports(clone: Clone) -> dict[str, int]:
    return json.loads((clone.state / "ports.json").read_text())


def end(made: Made) -> str:
    """The table and what follows it."""
    return made.text[made.text.index("┏") :]


@contextlib.contextmanager
def occupied(numbers: list[int]) -> Iterator[None]:
    """Somebody listens on the ports; where another program already does, that will do."""
    with contextlib.ExitStack() as stack:
        for number in numbers:
            listener = stack.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                listener.bind(("127.0.0.1", number))
                listener.listen()
        yield


@pytest.fixture(scope="module")
def before(clone: Clone) -> dict[str, Made]:
    """What the verbs say where nothing was ever started."""
    return {verb: clone.make(verb) for verb in ("stop", "status")}


@pytest.fixture(scope="module")
def first(clone: Clone, before: dict[str, Made]) -> Made:
    """The first `make demo`, while others use the ports it would like."""
    with occupied(list(PREFERRED.values())):
        return clone.make("demo")


@pytest.fixture(scope="module")
def after_first(clone: Clone, first: Made) -> dict:
    assert first.status == 0, first.text
    return state(clone)


def test_stop_and_status_where_nothing_was_ever_started_say_so(before: dict[str, Made]) -> None:
    assert {made.status for made in before.values()} == {0}
    assert {made.text for made in before.values()} == {"Nothing was ever started here\n"}


def test_the_demo_ends_with_the_table_and_the_three_addresses(clone: Clone, first: Made) -> None:
    assert first.status == 0, first.text

    lines = first.text.splitlines()
    addresses = [re.findall(r"^(\w+) +http://127.0.0.1:(\d+)", line)[0] for line in lines[-3:]]
    table = end(first)
    chosen = ports(clone)
    assert dict(addresses) == {name: str(chosen[name.lower()]) for name in ("Prefect", "MLflow", "S3")}
    assert re.search(r"month .* rows .* naive .* candidate .* champion .* verdict", table)
    assert re.search(r"2023-01 .*68,170.* landed", table)
    assert re.search(r"2023-02 .*64,743.* version 1: promote", table)
    assert re.search(r"2023-03 .*71,980.* version 2: promote", table)


def test_the_last_month_was_scored_and_monitored_by_the_version_in_service_when_it_came(first: Made) -> None:
    shown = end(first)

    assert re.search(r"^score    2023-03 by version 1: 71,980 of 71,980 rows$", shown, re.MULTILINE)
    assert re.search(
        r"^monitor  2023-03 under version 1: Within limits: error 0\.632 of the naive", shown, re.MULTILINE
    )
    assert "Monitored: Within limits: version 1 on 2023-03" in first.text


def test_ports_taken_by_others_are_named_and_the_next_free_ones_are_taken(clone: Clone, first: Made) -> None:
    chosen = ports(clone)

    for name, number in PREFERRED.items():
        assert chosen[name] > number
        assert f"Port {number} is taken by another program: {name} listens on " in first.text


def test_version_1_is_promoted_on_february_and_version_2_judged_on_march_against_it(after_first: dict) -> None:
    one, two = after_first["versions"]["1"], after_first["versions"]["2"]

    assert len(after_first["versions"]) == 2
    assert (one["judged"], one["judged_against"], one["verdict"]) == ("2023-02", "", "promote")
    assert (two["judged"], two["judged_against"], two["verdict"]) == ("2023-03", "1", "promote")
    assert after_first["ledger"] == [[1, None], [2, 1]]
    assert after_first["champion"] == 2


def test_the_errors_beat_the_reference_point(after_first: dict) -> None:
    one, two = after_first["versions"]["1"], after_first["versions"]["2"]

    assert one["rmse"] < TO_BEAT[0]
    assert one["naive_rmse"] > 4.31
    assert two["rmse"] < TO_BEAT[1]
    assert two["rmse"] < two["champion_rmse"] < two["naive_rmse"]


def test_every_port_is_on_loopback(clone: Clone, after_first: dict) -> None:
    listening = {
        (one.service, connection.laddr.ip, connection.laddr.port)
        for one in clone.marked()
        for connection in one.process.net_connections("all")
        if connection.status == psutil.CONN_LISTEN
    }

    assert {port for _, _, port in listening} >= set(ports(clone).values())
    assert [one for one in listening if one[1] not in {"127.0.0.1", "::1"}] == []


def test_nothing_of_prefect_mlflow_or_aws_is_written_to_the_users_home(clone: Clone, after_first: dict) -> None:
    written = [path.relative_to(clone.home) for path in clone.home.rglob("*") if path.is_file()]

    assert [path for path in written if re.search("prefect|mlflow|aws|trainyard", str(path), re.IGNORECASE)] == []


def test_the_checkout_stays_as_it_was_cloned(clone: Clone, after_first: dict) -> None:
    status = subprocess.run(["git", "status", "--porcelain"], cwd=clone.root, capture_output=True, text=True)

    assert status.stdout == ""


def test_status_says_what_runs(clone: Clone, after_first: dict) -> None:
    made = clone.make("status")

    assert made.status == 0
    for name in ("s3", "prefect", "mlflow", "worker"):
        assert re.search(rf"^{name} +running, \d+ processes, \d+ MiB$", made.text, re.MULTILINE)


def test_a_second_demo_registers_nothing_and_writes_nothing_in_a_fraction_of_the_time(
    clone: Clone, first: Made, after_first: dict
) -> None:
    made = clone.make("demo")
    after = state(clone)

    assert made.status == 0, made.text
    assert "Every server is running" in made.text
    assert end(made) == end(first)
    assert set(after["objects"].items()) ^ set(after_first["objects"].items()) == set()
    assert after == after_first
    assert made.seconds < first.seconds / 2


def test_the_api_refuses_a_run_with_an_unknown_model_in_a_sentence(clone: Clone, after_first: dict) -> None:
    api = f"http://127.0.0.1:{ports(clone)['prefect']}/api"
    deployment = httpx.get(f"{api}/deployments/name/retrain/trip-duration-local", trust_env=False).json()
    body = {"parameters": {"model": "nonsense"}, "state": {"type": "SCHEDULED"}}

    answer = httpx.post(f"{api}/deployments/{deployment['id']}/create_flow_run", json=body, trust_env=False)

    assert 400 <= answer.status_code < 500
    assert "'nonsense' is not one of ['trip-duration'" in answer.text


def test_a_run_whose_process_is_killed_is_run_again_by_itself_and_crashes_once(clone: Clone, after_first: dict) -> None:
    address = f"http://127.0.0.1:{ports(clone)['prefect']}/api"
    with httpx.Client(base_url=address, trust_env=False, timeout=60) as api:
        deployment = api.get("/deployments/name/ingest/green-trips-local").json()["id"]
        asked = {"month": "2023-01", "source": "examples/tlc/green_tripdata_{month}.parquet"}
        run = created(api, deployment, asked)
        ended(api, run, {"Running"})
        for one in clone.marked():
            with contextlib.suppress(psutil.Error):
                if one.process.environ().get("PREFECT__FLOW_RUN_ID") == run:
                    one.process.kill()

        ended(api, run, {"Unchanged", "Failed", "TimedOut"})
        names = [each["name"] for each in api.get("/flow_run_states/", params={"flow_run_id": run}).json()]

    begun = ["Scheduled", "Pending", "Submitting", "Running"]
    assert [name for name in names if name != "Late"] == [*begun, "Crashed", *begun, "Unchanged"]
    assert state(clone) == after_first


def created(api: httpx.Client, deployment: str, asked: dict[str, str], seconds: float = 60) -> str:
    """A new run's id. While SQLite refuses it nothing is written, and Prefect's own clients ask again, too."""
    deadline = time.monotonic() + seconds
    while (answer := api.post(f"/deployments/{deployment}/create_flow_run", json={"parameters": asked})).is_error:
        assert answer.status_code == 503, answer.text
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.2)
    return str(answer.json()["id"])


def ended(api: httpx.Client, run: str, states: set[str], seconds: float = 120) -> None:
    """Wait until a run is in one of some states."""
    deadline = time.monotonic() + seconds
    while (name := api.get(f"/flow_runs/{run}").json()["state_name"]) not in states:
        assert time.monotonic() < deadline, name
        time.sleep(0.2)


def test_a_platform_that_was_killed_is_brought_up_again_with_its_data(clone: Clone, after_first: dict) -> None:
    for one in clone.marked():
        with contextlib.suppress(psutil.NoSuchProcess):
            one.process.kill()

    made = clone.make("start")

    api = f"http://127.0.0.1:{ports(clone)['prefect']}/api"
    known = httpx.post(f"{api}/flow_runs/filter", json={"sort": "START_TIME_ASC"}, trust_env=False).json()
    assert made.status == 0, made.text
    assert state(clone) == after_first
    assert [run["state_name"] for run in known if run["name"].startswith("monthly")][:3] == DEMO
    assert set(re.findall(r"^(\w+) +running", clone.make("status").text, re.MULTILINE)) >= {*PREFERRED, "worker"}


@pytest.fixture(scope="module")
def interrupted(clone: Clone, after_first: dict) -> str:
    """What a demo without any data said until Ctrl-C came while it trained on January."""
    clone.make("stop")
    for path in clone.state.iterdir():
        if path.name != "venv":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    log = clone.root.parent / "interrupted.txt"
    demo = clone.begin("demo", log)
    deadline = time.monotonic() + 200
    while "Beginning subflow run 'retrain" not in worker_log(clone) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert demo.poll() is None, log.read_text()
    os.killpg(demo.pid, signal.SIGINT)
    demo.wait(30)
    return log.read_text()


def worker_log(clone: Clone) -> str:
    with contextlib.suppress(OSError):
        return Path(clone.state, "log", "worker.log").read_text()
    return ""


def test_an_interrupt_is_told_in_a_sentence(interrupted: str) -> None:
    assert "2023-01  Landed" in interrupted
    assert "interrupted. `make demo` goes on from here, `make stop` ends what runs." in interrupted
    assert "Traceback" not in interrupted


def test_stop_after_an_interrupt_ends_everything_and_twice_is_fine(clone: Clone, interrupted: str) -> None:
    running = clone.marked()

    made = [clone.make("stop"), clone.make("stop")]

    assert len(running) >= 4
    assert clone.marked() == []
    assert [one.status for one in made] == [0, 0]
    assert made[1].text == "Ended 0 processes; the data stays in .trainyard\n"
    assert "running" not in clone.make("status").text


def test_a_demo_after_an_interrupt_completes_what_was_begun(clone: Clone, interrupted: str, after_first: dict) -> None:
    made = clone.make("demo")
    after = state(clone)

    assert made.status == 0, made.text
    assert after["ledger"] == [[1, None], [2, 1]]
    assert {n: v["fingerprint"] for n, v in after["versions"].items()} == {
        n: v["fingerprint"] for n, v in after_first["versions"].items()
    }
    assert [v["rmse"] for v in after["versions"].values()] == [v["rmse"] for v in after_first["versions"].values()]
