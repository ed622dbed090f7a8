"""Runs the deployment ``smoke/platform`` and prints how it ended: what ``helm test`` shows.

Where the bootstrap has not made it, what that waits for or was refused by is asked once more, and said.
"""

import os
import sys
import time
from pathlib import Path

import checks
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound

DEPLOYMENT = "smoke/platform"
CONFIGURATION = Path(__file__).with_name("configuration.yaml")
"""What the bootstrap applies, where the chart has put both."""
APPLIED_WITHIN = 60.0
"""Seconds the bootstrap is given to end: an installation that was waited for may be ready before it has."""
PATIENCE = 220.0
"""Seconds the run may take, most of them a first pull of the image: with the others less than Helm's five minutes."""


def main() -> int:
    """Exit status 0 where the run ended Completed, else 1 and a sentence."""
    until = time.monotonic() + APPLIED_WITHIN
    try:
        with get_client(sync_client=True) as client:
            checks.prefect_answers(client)
            while (lacking := unapplied(client)) and time.monotonic() < until:
                time.sleep(1)
        if lacking:
            what_it_asks_answers()
            return checks.fail(lacking)
        return run()
    except (checks.BootstrapError, checks.NotYet) as error:
        return checks.fail(str(error))


def unapplied(client: SyncPrefectClient) -> str:
    """That this revision's bootstrap has not made the deployment, as a sentence; empty where it has."""
    try:
        applied = client.read_deployment_by_name(DEPLOYMENT).version
    except ObjectNotFound:
        return (
            f"Prefect has no deployment {DEPLOYMENT}: the bootstrap Job, which makes it, is still at work or has"
            " failed. Its log says why: kubectl logs --selector app.kubernetes.io/component=bootstrap --tail=20"
        )
    if (wanted := os.environ.get(checks.APPLIED, applied)) == applied:
        return ""
    return (
        f"what is applied to Prefect is that of {applied or 'an earlier chart'}: this revision's bootstrap Job"
        f" is still at work or has failed. Its log says why: kubectl logs job/{str(wanted).rpartition('.')[0]}"
    )


def what_it_asks_answers() -> None:
    """Find out whether what the bootstrap asks after Prefect answers; where it runs in a checkout, nothing is asked."""
    if not CONFIGURATION.exists():
        return
    wanted = yaml.safe_load(CONFIGURATION.read_text())
    checks.lake_answers(wanted["lake"]["bucket"], create=wanted["lake"]["create"])
    checks.mlflow_answers(wanted["mlflow_url"])


def run() -> int:
    """Run the deployment and wait for its end."""
    run = run_deployment(DEPLOYMENT, timeout=PATIENCE, poll_interval=1, as_subflow=False)
    assert isinstance(run, FlowRun)
    assert run.state is not None
    sys.stdout.write(f"{run.name} ended {run.state.name}: {run.state.message}\n")
    if not run.state.is_final():
        return checks.fail(
            f"no end after {PATIENCE:.0f} s. See the worker's log, and the pod's events: kubectl describe pod"
            f" --selector prefect.io/flow-run-id={run.id}"
        )
    return 0 if run.state.is_completed() else 1


if __name__ == "__main__":
    sys.exit(main())
