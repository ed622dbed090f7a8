"""Schedules make runs: with some versions of its packages Prefect's scheduler fails, and says so in its log alone."""

import time
from datetime import timedelta

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.schedules import IntervalSchedule

from tests.integration.servers import at


def test_a_schedule_makes_runs(platform: dict[str, str]) -> None:
    hourly = DeploymentScheduleCreate(schedule=IntervalSchedule(interval=timedelta(hours=1)), active=True)
    with at(platform), get_client(sync_client=True) as client:
        made = client.create_deployment(client.create_flow_from_name("hourly"), name="hourly", schedules=[hourly])
        only, deadline = DeploymentFilter(id=DeploymentFilterId(any_=[made])), time.monotonic() + 60

        while not (runs := client.read_flow_runs(deployment_filter=only)) and time.monotonic() < deadline:
            time.sleep(0.5)

        client.delete_deployment(made)
    assert {run.auto_scheduled for run in runs} == {True}
