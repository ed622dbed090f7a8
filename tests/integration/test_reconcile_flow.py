"""``reconcile`` as an operator runs it, as a flow, and as the CronJob does, without Prefect; and the alert."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from prefect.states import Running

from flows.ml.reconciling import schedule
from flows.monthly import monthly
from flows.reconcile import reconcile
from tests.integration.home import DATASET, MODEL, Home, artifacts, run
from tests.integration.reconciling import close, start
from tests.integration.servers import ROOT, at

pytestmark = pytest.mark.usefixtures("calm")

LOST = f"raw/{DATASET}/2023-02/{'0' * 64}/data.parquet"


def command(*options: str, **env: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "flows.reconciling", *options]
    return subprocess.run(argv, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=False)


@contextmanager
def webhook(status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """An address that alerts are posted to, and the texts that came."""
    told: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/secret-path", told
    finally:
        server.shutdown()
        server.server_close()


def test_the_flow_looks_first_and_shows_a_table(home: Home) -> None:
    home.lake.put_new(LOST, b"half")

    state = run(reconcile)

    assert (state.type.value, state.name) == ("COMPLETED", "Nothing to do")  # it is young
    assert "Jobs: not looked at. Only the CronJob of a cluster may see them." in str(state.message)
    assert json.loads(artifacts(state)["reconcile"].data) == []  # type: ignore[arg-type]


def test_the_flow_says_what_it_would_repair_and_then_repairs_it(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.ml.reconciling.finding.Limits.stale", timedelta(0))
    home.lake.put_new(LOST, b"half")

    states = [run(reconcile), run(reconcile, dry_run=False), run(reconcile, dry_run=False)]

    assert [state.name for state in states] == ["Dry run", "Repaired", "Nothing to do"]
    (row,) = json.loads(artifacts(states[1])["reconcile"].data)  # type: ignore[arg-type]
    assert (row["found"], row["done"]) == ("half-written object", "done: delete it")
    assert home.lake.find(LOST) is None


def test_the_flow_says_where_it_let_everything_be(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.ml.reconciling.finding.Limits.stale", timedelta(0))
    home.lake.put_new(LOST, b"half")
    busy = start(Running(), "local", dataset=DATASET, model=MODEL)

    state = run(reconcile, dry_run=False)

    close(busy)
    assert (state.type.value, state.name) == ("COMPLETED", "Let be")
    assert home.lake.find(LOST)


def test_the_command_repairs_only_where_it_is_told_to(home: Home) -> None:
    home.lake.put_new(LOST, b"half")

    dry, repaired, again = command("--stale-hours=0"), command("--stale-hours=0", "--repair"), command("--repair")

    assert [done.returncode for done in (dry, repaired, again)] == [0, 0, 0], dry.stderr + repaired.stderr
    assert dry.stdout.splitlines()[-1] == "dry run: 1 to repair"
    assert repaired.stdout.splitlines()[-1] == "1 repaired"
    assert again.stdout.splitlines()[-1] == "nothing to do"


@pytest.mark.parametrize("away", ["PREFECT_API_URL", "MLFLOW_TRACKING_URI", "AWS_ENDPOINT_URL"])
def test_the_command_does_what_it_can_where_a_server_is_away(home: Home, away: str) -> None:
    home.lake.put_new(LOST, b"half")
    nowhere = "http://127.0.0.1:9/api" if away == "PREFECT_API_URL" else "http://127.0.0.1:9"

    done = command("--stale-hours=0", "--repair", **{away: nowhere})

    assert "left out." in done.stdout, done.stderr
    assert done.returncode == (0 if away == "PREFECT_API_URL" else 1)
    assert home.lake.find(LOST)


def test_wrong_settings_are_a_sentence() -> None:
    done = command("--repair", TRAINYARD_KEEP_DAYS="many")

    assert done.returncode == 1
    assert done.stderr.startswith("trainyard: the environment holds 1 wrong settings: TRAINYARD_KEEP_DAYS: ")


def test_a_job_cannot_be_looked_for_outside_a_pod() -> None:
    done = command("--release=trainyard")

    assert done.returncode == 1
    assert "this is no pod that may see Jobs" in done.stderr


@pytest.mark.parametrize("prefect", [{}, {"PREFECT_API_URL": "http://127.0.0.1:9/api"}], ids=["there", "away"])
def test_no_successful_monthly_is_said_by_exit_status_and_webhook(home: Home, prefect: dict[str, str]) -> None:
    schedule.note(home.lake, MODEL, "Kept", datetime.now(UTC) - timedelta(days=50))

    with webhook() as (address, told):
        done = command("--repair", TRAINYARD_ALERT_WEBHOOK=address, **prefect)
        dry = command(TRAINYARD_ALERT_WEBHOOK=address)
        off = command("--repair", TRAINYARD_ALERT_WEBHOOK=address, TRAINYARD_MONTHLY_DAYS="0")

    assert (done.returncode, dry.returncode, off.returncode) == (1, 1, 0)
    assert "no successful monthly" in done.stdout
    (text,) = told
    assert text.startswith(f"Trainyard: no successful monthly: monthly {MODEL}: it last ended well 50 days ago")
    assert "secret-path" not in done.stdout + done.stderr


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/secret-path", "refusing"])
def test_an_alert_that_is_not_taken_is_said_without_its_address(home: Home, address: str) -> None:
    schedule.note(home.lake, MODEL, "Kept", datetime.now(UTC) - timedelta(days=50))

    with webhook(500) as (refusing, _):
        done = command("--repair", TRAINYARD_ALERT_WEBHOOK=refusing if address == "refusing" else address)

    assert done.returncode == 1
    assert "the alert's webhook" in done.stderr
    assert "no successful monthly" in done.stderr
    assert "secret-path" not in done.stdout + done.stderr


def test_a_good_end_of_monthly_leaves_its_mark_and_a_failure_does_not(home: Home) -> None:
    home.publish("2023-01")
    with at(home.env):
        failed = run(monthly, model=MODEL, source=home.source)
    assert (failed.type.value, schedule.marks(home.lake)) == ("FAILED", {})

    run(monthly, model=MODEL, month="2023-01", source=home.source)
    landed = home.lake.get_json(f"marks/monthly/{MODEL}.json")
    run(monthly, model=MODEL, source=home.source)

    assert landed["ended"] == "Landed"
    assert home.lake.get_json(f"marks/monthly/{MODEL}.json")["ended"] == "Not published"
    mark = schedule.marks(home.lake)[MODEL]
    assert datetime.now(UTC) - mark.at < timedelta(minutes=5)
    assert mark.news == datetime.fromisoformat(landed["at"])


def test_where_monthly_never_ended_well_the_deploy_of_its_schedule_counts(home: Home) -> None:
    def deployed(number: int, *models: str) -> datetime:
        monthlies = [{"flow": "monthly", "schedules": [{}], "settings": {"parameters": {"model": m}}} for m in models]
        others = [{"flow": "monthly", "schedules": [], "settings": {"parameters": {"model": "by-hand"}}}]
        key = f"deploys/{number:08}.json"
        home.lake.put_new(key, json.dumps({"deployments": [*monthlies, *others]}).encode())
        home.lake.put_new(f"deploys/{number:08}.done.json", b"{}")
        return next(one.written for one in home.lake.listed("deploys/") if one.key == key)

    deployed(1, "gone", "back")
    deployed(2, MODEL)
    third = deployed(3, MODEL, "new", "back")
    schedule.note(home.lake, MODEL, "Kept", third)

    found = schedule.marks(home.lake)

    assert found.keys() == {MODEL, "new", "back"}
    assert [found["new"], found["back"]] == [schedule.Mark(third, third, ended=False)] * 2
    assert found[MODEL].ended
