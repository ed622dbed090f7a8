"""What the flows expect of the local Prefect server: what the bootstrap applies on a cluster too, and deployments."""

import os
import subprocess
import sys

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed

from ops.deploy import apply
from ops.environment import BUCKET, Place, here

POOL = "local"
BOOTSTRAP = "infra/helm/trainyard/files/bootstrap/bootstrap.py"
UNDER_WAY = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]


def bootstrap(place: Place) -> None:
    """Apply bucket, work pool, block and automations by the chart's own bootstrap."""
    configuration = place.folder(".") / "bootstrap.yaml"
    wanted = {
        "pool": {"name": POOL, "type": "process", "concurrency": 2},
        "lake": {"bucket": BUCKET, "create": True},
        "concurrency_limits": {"backfill": 3},
        "silence_seconds": 120,
        "pending_seconds": 120,
        "rerun_crashed": True,
        "ui_url": os.environ["PREFECT_API_URL"].removesuffix("/api"),
    }
    configuration.write_text(yaml.safe_dump(wanted))
    subprocess.run([sys.executable, here().root / BOOTSTRAP, configuration], check=True)


def close_runs(client: SyncPrefectClient) -> None:
    """End the runs that were under way when the platform was stopped; their slots of concurrency limits come free."""
    under_way = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=UNDER_WAY)))
    while runs := client.read_flow_runs(flow_run_filter=under_way):
        for run in runs:
            client.set_flow_run_state(run.id, Crashed(message="the platform was stopped while it ran"), force=True)


def main() -> None:
    """Provision the platform the environment points at."""
    bootstrap(here())
    if "--no-run-is-alive" in sys.argv:
        with get_client(sync_client=True) as client:
            close_runs(client)
    apply(here().root, POOL, {})


if __name__ == "__main__":
    main()
