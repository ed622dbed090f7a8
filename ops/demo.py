"""The main job on three public months, through its deployments: ``monthly`` month by month, then what came of it."""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.exceptions import PrefectException
from rich.console import Console
from rich.table import Table

from flows.ml import landing, predictions
from flows.ml.errors import TrainyardError
from flows.ml.registry import Version
from flows.resources import Resources, attach
from ops import follow
from ops.command import sentence

MODEL = "trip-duration"
DATASET = "green-trips"
MONTHS = ("2023-01", "2023-02", "2023-03")


class DemoError(Exception):
    """A month did not end as it should."""


@dataclass(frozen=True)
class Job:
    """The deployment to go through, where its runs find a month's file, and what tells why one did not end."""

    deployment: str
    source: str
    logs: str


@dataclass(frozen=True)
class Row:
    """A line of the table the demo ends with; errors are RMSE in minutes."""

    month: str
    rows: int
    naive: float | None
    candidate: float | None
    champion: float | None
    verdict: str


def main() -> int:
    """Run the months and print the table; exit status 1 where a month did not end as it should, 130 on an interrupt."""
    parser = argparse.ArgumentParser(prog="python -m ops.demo", description=__doc__)
    parser.add_argument("--deployment", required=True, help="flow/deployment of the scheduled whole")
    parser.add_argument("--source", required=True, help="where its runs find a month's file, with {month} to fill in")
    parser.add_argument("--logs", required=True, help="where to look when a run does not end")
    job, console = Job(**vars(parser.parse_args())), Console(highlight=False)
    try:
        with get_client(sync_client=True) as client:
            for month in MONTHS:
                _run(client, console, job, month)
    except (DemoError, follow.NoEnd, TrainyardError, PrefectException, httpx.HTTPError) as error:
        console.print(f"trainyard: {sentence(error)}", style="bold red", soft_wrap=True)
        return 1
    except KeyboardInterrupt:  # the verb that is interrupted with this says what to do
        return 130
    resources = attach()
    console.print(_table(rows(resources)))
    for line in watched(resources):
        console.print(line, soft_wrap=True)
    return 0


def rows(resources: Resources) -> Iterator[Row]:
    """What is in the lake and the registry of the demo's months."""
    versions = {version.tags.get("judged"): version for version in resources.registry.versions(MODEL)}
    for month in landing.months(resources.lake, DATASET):
        kept = landing.manifest(resources.lake, DATASET, month).rows_kept
        if version := versions.get(month):
            yield _row(resources, month, kept, version)
        else:
            yield Row(month, kept, None, None, None, "landed: trained on from the next month on")


def watched(resources: Resources) -> Iterator[str]:
    """How the version that was in service when the last month came did on it: a line each of score and monitor."""
    month = landing.manifest(resources.lake, DATASET, MONTHS[-1])
    for tags in resources.registry.reports(MODEL, of="monitored"):
        if tags["address"] == month.address:
            number = int(tags["version"])
            found = predictions.find(resources.lake, MODEL, month.month, month.address, number)
            scored = f"{found.scored:,} of {found.rows:,} rows" if found else "nothing"
            yield f"score    {month.month} by version {number}: {scored}"
            yield f"monitor  {month.month} under version {number}: {tags['outcome']}: {tags['reason']}"


def _row(resources: Resources, month: str, kept: int, version: Version) -> Row:
    metrics = resources.registry.metrics(version)
    verdict = f"version {version.number}: {version.tags['verdict']}"
    return Row(month, kept, metrics["naive_rmse"], metrics["rmse"], metrics.get("champion_rmse"), verdict)


def _table(found: Iterator[Row]) -> Table:
    table = Table("month", "rows", "naive", "candidate", "champion", "verdict", caption="errors: RMSE in minutes")
    for row in found:
        errors = ["" if error is None else f"{error:.3f}" for error in (row.naive, row.candidate, row.champion)]
        table.add_row(row.month, f"{row.rows:,}", *errors, row.verdict)
    return table


def _run(client: SyncPrefectClient, console: Console, job: Job, month: str) -> None:
    """One month through the deployment, its progress shown. Raises ``DemoError``, ``NoEnd``."""
    parameters = {"model": MODEL, "month": month, "source": job.source}
    run = follow.to_end(client, console, job.deployment, parameters, month, job.logs)
    assert run.state is not None
    console.print(f"{month}  {run.state.name}: {run.state.message}", soft_wrap=True)
    if run.state.type != StateType.COMPLETED and run.state.name != "Refused":  # a refusal is a verdict, not a fault
        raise DemoError(f"{month} ended {run.state.name}; its run in the Prefect UI is {run.name}")


if __name__ == "__main__":
    sys.exit(main())
