"""A tiny run of what is deployed: a reconcile that changes nothing, by the deployed commit in the deployed image."""

from collections.abc import Callable

from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound

from ops.deploy import server

DEPLOYMENT = "reconcile/platform"
FOUND = "Incomplete"
"""How it ends Failed where something needs a person: for a deploy it is enough that it came that far. What it cannot
reach, ``smoke/platform`` could not either."""
PATIENCE = 300.0
"""Seconds it may take, most of them a first pull of the image."""


def run(say: Callable[[str], None]) -> int:
    """Run it to its end; exit status 0 where it came to one of its own. Nothing deployed yet is none to try."""
    with server.connected() as client:
        try:
            client.read_deployment_by_name(DEPLOYMENT)
        except ObjectNotFound:
            say(f"{DEPLOYMENT} is not deployed: what a deploy brings was not tried")
            return 0
        parameters = {"dry_run": True}
        ended = run_deployment(DEPLOYMENT, parameters=parameters, timeout=PATIENCE, poll_interval=1, as_subflow=False)
    assert isinstance(ended, FlowRun)
    assert ended.state is not None
    if not ended.state.is_final():
        say(f"{ended.name} is {ended.state.name} after {PATIENCE:.0f} s: see the worker's log, and what runs beside it")
        return 1
    say(f"{ended.name} ended {ended.state.name}: {ended.state.message}")
    return 0 if ended.state.is_completed() or ended.state.name == FOUND else 1
