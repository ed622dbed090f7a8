"""``backfill``: the months that are missing, a few at a time, against real servers."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun, State
from prefect.flow_engine import run_flow
from prefect.states import AwaitingRetry

from flows.backfill import AT_ONCE, LIMIT, backfill, backfill_scores
from flows.ml import landing
from flows.ml.months import apart
from flows.retrain import retrain
from tests.integration.home import DATASET, MODEL, Home, artifacts, run, sample
from tests.integration.slots import limited

TIMES = ("lpep_pickup_datetime", "lpep_dropoff_datetime")
SPAN = {"first": "2023-02", "last": "2023-07"}
MONTHS = ["2023-02", "2023-03", "2023-04", "2023-05", "2023-06", "2023-07"]
KILLED = """
import json, os, signal, sys, uuid
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from flows.backfill import backfill
from flows.ml import landing

land, landed = landing.land, []

def end_at_the_fourth(*args, **kwargs):
    if len(landed) >= 3:
        os.kill(os.getpid(), signal.SIGKILL)
    found = land(*args, **kwargs)
    landed.append(found)
    return found

landing.land = end_at_the_fourth
with get_client(sync_client=True) as client:
    run = client.read_flow_run(uuid.UUID(sys.argv[1]))
run_flow(backfill, flow_run=run, parameters=run.parameters, return_type="state")
"""
"""A process in which a run of ``backfill`` lands three months and is killed where the fourth is ready to be landed."""


def rows(month: str) -> pl.DataFrame:
    """A small month of any name: the trips of 2023-02, as many months earlier or later."""
    return sample("2023-02").with_columns(pl.col(TIMES).dt.offset_by(f"{apart('2023-02', month)}mo"))


def publish(home: Home, *months: str) -> None:
    """Publish months."""
    for month in months:
        home.publish(month, rows(month))


def have(home: Home) -> list[str]:
    """The months in the lake."""
    return landing.months(home.lake, DATASET)


def report(state: State, key: str = f"backfill-{DATASET}") -> dict[str, tuple[str, int | None]]:
    """State and rows of each month in the report of a run."""
    found = json.loads(str(artifacts(state)[key].data))
    return {row["month"]: (row["state"], row["rows"]) for row in found}


def subflows(run_id: UUID) -> list[FlowRun]:
    """The subflow runs of a run."""
    only = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run_id]))
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(flow_run_filter=only)


def test_the_months_that_are_missing_are_landed_and_the_report_names_each(home: Home) -> None:
    publish(home, *MONTHS[:4])
    home.land("2023-02")

    state = run(backfill, dataset=DATASET, first="2023-02", last="2023-06", source=home.source)

    assert (state.type.value, state.name) == ("COMPLETED", "Filled")
    assert state.message == "3 filled: 2023-03, 2023-04, 2023-05; 1 not published yet: 2023-06"
    assert have(home) == MONTHS[:4]
    kept = {month: landing.manifest(home.lake, DATASET, month).rows_kept for month in MONTHS[:4]}
    assert report(state) == {
        "2023-02": ("there", kept["2023-02"]),
        **{month: ("filled", kept[month]) for month in MONTHS[1:4]},
        "2023-06": ("not published", None),
    }


def test_without_a_range_the_gaps_between_the_oldest_and_the_newest_month_are_filled(home: Home) -> None:
    home.land("2023-01", "2023-03")
    publish(home, "2023-02")

    state = run(backfill, dataset=DATASET, source=home.source)
    again = run(backfill, dataset=DATASET, source=home.source)

    assert state.message == "1 filled: 2023-02"
    assert (again.name, again.message) == ("Nothing missing", "nothing is missing from 2023-01 to 2023-03")
    assert have(home) == ["2023-01", "2023-02", "2023-03"]


def test_one_bad_month_stops_no_other_and_is_named_at_the_end(home: Home) -> None:
    publish(home, "2023-02", "2023-04")
    home.publish("2023-03", rows("2023-03").drop("trip_distance"))

    state = run(backfill, dataset=DATASET, first="2023-02", last="2023-04", source=home.source)

    assert (state.type.value, state.name) == ("FAILED", "Incomplete")
    assert str(state.message).startswith("1 failed: 2023-03: ")
    assert "column trip_distance is missing" in str(state.message)
    assert str(state.message).endswith("2 filled: 2023-02, 2023-04")
    assert have(home) == ["2023-02", "2023-04"]
    assert report(state)["2023-03"] == ("failed", None)
    assert str(artifacts(state)[f"backfill-{DATASET}"].description).endswith("1 of 3 months still missing")


def test_a_dry_run_names_what_is_missing_and_writes_nothing(home: Home) -> None:
    home.land("2023-01", "2023-03")
    publish(home, "2023-02")
    before = home.objects()

    state = run(backfill, dataset=DATASET, source=home.source, dry_run=True)

    assert (state.type.value, state.name) == ("COMPLETED", "Dry run")
    assert state.message == "would fill 1 of 3 months: 2023-02"
    assert home.objects() == before
    assert state.state_details.flow_run_id
    assert subflows(state.state_details.flow_run_id) == []
    assert report(state)["2023-02"] == ("missing", None)


@pytest.mark.parametrize(
    ("span", "name", "sentence"),
    [
        (
            {"first": "2023-05", "last": "2023-02"},
            "Refused",
            "2023-05 is after 2023-02: name the earlier month as the first.",
        ),
        (
            {"first": "1923-01", "last": "2023-02"},
            "Refused",
            "1923-01 to 2023-02 are 1,202 months, more than 120 at once",
        ),
        (
            {"first": "2023-02"},
            "Refused",
            "the lake holds no month of green-trips: name the first and the last month to fill.",
        ),
        ({"first": "2023-13", "last": "2023-02"}, "Failed", "first"),
        ({"first": "2023-01", "last": "soon"}, "Failed", "last"),
        (
            {"first": "2023-01", "last": "2023-02", "source": "https://user:word@example.org/{month}"},
            "Failed",
            "source",
        ),
    ],
)
def test_a_range_that_cannot_be_meant_is_refused_with_a_sentence(
    home: Home, span: dict[str, str], name: str, sentence: str
) -> None:
    state = run(backfill, dataset=DATASET, **{"source": home.source, **span})

    assert (state.type.value, state.name) == ("FAILED", name)
    assert sentence in str(state.message)
    assert home.objects() == {}


def test_without_a_limit_in_force_nothing_begins(home: Home) -> None:
    publish(home, "2023-02")

    with limited(0):
        state = run(backfill, dataset=DATASET, first="2023-02", last="2023-02", source=home.source)

    assert (state.type.value, state.name) == ("FAILED", "Refused")
    assert f"Prefect has no concurrency limit `{LIMIT}` in force: switch it on under Concurrency" in str(state.message)
    assert home.objects() == {}


def test_two_backfills_at_once_work_on_no_more_months_than_the_limit_lets_them(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(home, *MONTHS)
    most, lock, under_way = 0, threading.Lock(), 0
    land = landing.land

    def watched(*args: Any, **kwargs: Any) -> landing.Landed:
        nonlocal most, under_way
        with lock:
            under_way += 1
            most = max(most, under_way)
        begun = time.monotonic()
        while most < 2 and time.monotonic() - begun < 30:  # a busy machine is slow to begin the second
            time.sleep(0.1)
        time.sleep(1)
        try:
            return land(*args, **kwargs)
        finally:
            with lock:
                under_way -= 1

    monkeypatch.setattr(landing, "land", watched)
    call: Callable[[], State] = lambda: run(backfill, dataset=DATASET, source=home.source, **SPAN)  # noqa: E731

    with limited(2), ThreadPoolExecutor(2) as pool:
        ended = [pool.submit(copy_context().run, call) for _ in range(2)]
        names = [each.result().name for each in ended]

    assert names == ["Filled", "Filled"]
    assert most == 2 < AT_ONCE
    assert have(home) == MONTHS
    assert len([key for key in home.objects() if key.endswith("data.parquet")]) == len(MONTHS)


@pytest.mark.parametrize("as_itself", [True, False])
def test_a_backfill_that_was_killed_goes_on_where_it_stopped(home: Home, as_itself: bool) -> None:
    """By itself, as Prefect starts a run again whose pod was taken away, or by another run.

    The one killed keeps its places within the limit until their leases end, a minute later.
    """
    publish(home, *MONTHS)
    parameters = {"dataset": DATASET, "source": home.source, **SPAN}
    with get_client(sync_client=True) as client:
        first = client.create_flow_run(backfill, parameters=parameters)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(first.id)], env=dict(home.env), timeout=300, check=False)
    before, landed = home.objects(), have(home)

    if as_itself:
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(first.id, AwaitingRetry(), force=True)
            again = client.read_flow_run(first.id)
        state = run_flow(backfill, flow_run=again, parameters=again.parameters, return_type="state")
    else:
        state = run(backfill, **parameters)

    assert killed.returncode == -signal.SIGKILL
    assert 3 <= len(landed) < len(MONTHS)
    assert isinstance(state, State)
    assert (state.name, str(state.message).partition(":")[0]) == ("Filled", f"{len(MONTHS) - len(landed)} filled")
    assert have(home) == MONTHS
    assert before.items() <= home.objects().items()
    assert state.state_details.flow_run_id
    begun = Counter(child.parameters["month"] for child in subflows(state.state_details.flow_run_id))
    assert begun.keys() == (set(MONTHS) if as_itself else set(MONTHS) - set(landed))
    assert {begun[month] for month in landed} == ({1} if as_itself else {0})
    named = {child.name for child in subflows(state.state_details.flow_run_id)}
    assert named == {f"ingest {DATASET} {month}" for month in begun}


def test_one_month_that_cannot_be_scored_stops_no_other_and_is_named_at_the_end(home: Home) -> None:
    home.land("2023-01", "2023-02", "2023-03")
    run(retrain, model=MODEL, until="2023-02")
    damaged = f"raw/{DATASET}/2023-03/{landing.manifest(home.lake, DATASET, '2023-03').address}/data.parquet"
    home.lake.replace(damaged, b"not what was landed", home.lake.read(damaged)[1])

    state = run(backfill_scores, model=MODEL)

    assert (state.type.value, state.name) == ("FAILED", "Incomplete")
    assert str(state.message).startswith("1 failed: 2023-03: ")
    assert str(state.message).endswith("2 filled: 2023-01, 2023-02")
    assert len([key for key in home.objects() if key.endswith("-data.parquet")]) == 2


def test_the_scores_that_the_champion_lacks_are_written_and_those_there_are_left(home: Home) -> None:
    home.land("2023-01", "2023-02")
    run(retrain, model=MODEL)

    planned = run(backfill_scores, model=MODEL, dry_run=True)
    before = home.objects()
    state = run(backfill_scores, model=MODEL, first="2022-12", last="2023-02")
    after = home.objects()
    again = run(backfill_scores, model=MODEL)

    assert planned.message == "would fill 2 of 2 months: 2023-01, 2023-02"
    assert (state.type.value, state.name) == ("COMPLETED", "Filled")
    assert str(state.message).startswith("2 filled: 2023-01, 2023-02; 1 not in the lake")
    kept = {month: landing.manifest(home.lake, DATASET, month).rows_kept for month in ("2023-01", "2023-02")}
    assert report(state, f"backfill-scores-{MODEL}") == {
        "2022-12": ("not landed", None),
        "2023-01": ("filled", kept["2023-01"]),
        "2023-02": ("filled", kept["2023-02"]),
    }
    assert {key.split("/")[0] for key in after.keys() - before.keys()} == {"predictions"}
    assert again.name == "Nothing missing"
    assert home.objects() == after


def test_scores_ask_for_a_champion(home: Home) -> None:
    home.land("2023-01")

    state = run(backfill_scores, model=MODEL)

    assert (state.type.value, state.name) == ("FAILED", "Refused")
    assert "No version of trip-duration was promoted yet: run retrain for it first" in str(state.message)
