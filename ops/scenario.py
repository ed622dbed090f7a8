"""A bad month through the deployments: it alarms, the gate keeps the champion, an operator rolls back, and it stays so.

It begins where ``make demo`` ends. The bad month is four weeks of a real one, dated a month later, with distances in
kilometres where the dataset has miles. No row of it breaks the contract; no model that reads a distance is right on it.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import polars as pl
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import PrefectException
from rich.console import Console
from rich.table import Table

from flows.ml import landing, ledger
from flows.ml.errors import TrainyardError
from flows.resources import Resources, attach
from ops import follow, rollback
from ops.command import sentence
from ops.demo import DATASET, MODEL, MONTHS
from ops.environment import here

BAD = "2023-04"
REAL = "examples/tlc/green_tripdata_2023-03.parquet"
"""The month that the bad one is made of: neither version of the demo was trained on it."""
WEEKS = 4
"""How much later: every trip keeps its day of the week. The first days of the real month fall out."""
KILOMETRES = 1.609344
"""In a mile."""
OPERATOR, REASON = "Ada", "predicted trips are far too long since last night"
NIGHT = {
    "ingest": ("Landed", r"[\d,]+ of [\d,]+ rows kept"),
    "score": ("Scored", r"[\d,]+ of [\d,]+ rows scored"),
    "monitor": ("Alarm", r"[\d.]+ times that \(.*?limit [\d.]+\)"),
    "retrain": ("Kept", r"error [\d.]+ minutes .*? naive baseline's [\d.]+"),
}
"""How the parts of ``monthly`` end on the bad month, and what of their sentences is the figure."""


class ScenarioError(TrainyardError):
    """A step came out otherwise than it must."""


@dataclass(frozen=True)
class Row:
    """A line of the table: ``seconds`` from the click to the end, ``serving`` the version in service then."""

    step: str
    ended: str
    figure: str
    seconds: float
    serving: int


@dataclass(frozen=True)
class Scene:
    """What the steps work with; ``source`` is where the bad month is published, with {month} to fill in.

    ``logs`` tell why a run did not end.
    """

    client: SyncPrefectClient
    console: Console
    resources: Resources
    source: str
    logs: str

    def run(self, flow: str, title: str, **parameters: object) -> FlowRun:
        """A run of the flow's local deployment, to its end."""
        name = f"{flow}/{'platform' if flow == 'reconcile' else MODEL}-local"
        return follow.to_end(self.client, self.console, name, parameters, title, self.logs)

    def row(self, step: str, run: FlowRun, ends: str, serving: int, figure: str = "") -> Row:
        """The line of a step, told at once. Raises ``ScenarioError`` where it ended otherwise or another version
        serves."""
        assert run.state
        assert run.created
        assert run.end_time
        name, said = str(run.state.name), str(run.state.message)
        self.console.print(f"{step}: {name}. {said}", soft_wrap=True)
        require(step, ends, name, said)
        there = in_service(self.resources)
        if there != (serving, serving):
            raise ScenarioError(f"{step}: version {serving} has to serve; by the ledger and by MLflow serves {there}.")
        found = re.search(figure, said)
        return Row(step, name, found[0] if found else "", (run.end_time - run.created).total_seconds(), serving)


def main() -> int:
    """Drive the scenario and print the table; exit status 1 with a sentence where a step comes out otherwise."""
    parser = argparse.ArgumentParser(prog="python -m ops.scenario", description=__doc__)
    parser.add_argument("--published", required=True, type=Path, help="the folder in which the bad month is published")
    parser.add_argument("--logs", required=True, help="where to look when a run does not end")
    given, console = parser.parse_args(), Console(highlight=False)
    try:
        with get_client(sync_client=True) as client:
            scene = Scene(client, console, attach(), publish(given.published), given.logs)
            rows = list(steps(scene))
    except (follow.NoEnd, TrainyardError, PrefectException, httpx.HTTPError) as error:
        console.print(f"trainyard: {sentence(error)}", style="bold red", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        return 130
    console.print(table(rows))
    return 0


def steps(scene: Scene) -> Iterator[Row]:
    """The bad night and the day after it, each step through its deployment. Raises ``ScenarioError``, ``NoEnd``."""
    require_demo(scene.resources)
    night = scene.run("monthly", "the schedule", model=MODEL, source=scene.source)
    parts = {run.name.split()[0]: run for run in follow.subflows(scene.client, night)}
    for flow, (ends, figure) in NIGHT.items():
        if flow not in parts:
            assert night.state
            raise ScenarioError(f"monthly did not come as far as {flow}: {night.state.name}: {night.state.message}")
        yield scene.row(flow, parts[flow], ends, 2, figure)
    words = {"model": MODEL, "version": "previous", "operator": OPERATOR, "reason": REASON}
    back = rollback.wait(scene.client, rollback.start(scene.client, MODEL, words))
    yield scene.row("the operator rolls back", back, "Promoted", 1, "version 1 .* instead of version 2")
    next_night = scene.run("monthly", "the schedule", model=MODEL, source=scene.source)
    yield scene.row("monthly, the next night", next_night, "Not published", 1, r"\d{4}-\d\d")
    again = scene.run("retrain", "the month of version 2 again", model=MODEL, until=MONTHS[-1])
    yield scene.row("retrain as for version 2", again, "Barred", 1, r"taken out of service on \S+ by \w+")
    yield scene.row("reconcile", scene.run("reconcile", "reconcile"), "Nothing to do", 1)


def publish(folder: Path) -> str:
    """Publish the bad month; where it is, with {month} to fill in."""
    template = str(folder / "green_tripdata_{month}.parquet")
    folder.mkdir(parents=True, exist_ok=True)
    times = pl.col("lpep_pickup_datetime", "lpep_dropoff_datetime") + pl.duration(weeks=WEEKS)
    rows = pl.read_parquet(here().root / REAL).with_columns(times, pl.col("trip_distance") * KILOMETRES)
    of_month = pl.col("lpep_pickup_datetime").dt.strftime("%Y-%m") == BAD
    rows.filter(of_month).write_parquet(template.replace("{month}", BAD))
    return template


def require(step: str, ends: str, name: str, said: str) -> None:
    """Raises ``ScenarioError`` where a step ended otherwise than as ``ends``."""
    if name != ends:
        raise ScenarioError(f"{step} has to end as {ends} and ended as {name}: {said}")


def require_demo(resources: Resources) -> None:
    """Raises ``ScenarioError`` where the platform is not as the demo leaves it."""
    there = landing.months(resources.lake, DATASET)
    if there != list(MONTHS) or in_service(resources) != (2, 2):
        raise ScenarioError(
            f"this begins where make demo ends, with {MONTHS[0]} to {MONTHS[-1]} and version 2 in service. Here are "
            f"{', '.join(there) or 'no months'} and version {in_service(resources)[0]}: make scenario begins anew."
        )


def in_service(resources: Resources) -> tuple[int | None, int | None]:
    """The champion by the ledger, and by MLflow's alias."""
    head = ledger.head(resources.lake, MODEL)
    return head.version if head else None, resources.registry.champion(MODEL)


def table(rows: list[Row]) -> Table:
    """The steps for people."""
    found = Table("step", "ended as", "figure", "seconds", "in service")
    for row in rows:
        found.add_row(row.step, row.ended, row.figure, f"{row.seconds:.0f}", f"version {row.serving}")
    return found


if __name__ == "__main__":
    sys.exit(main())
