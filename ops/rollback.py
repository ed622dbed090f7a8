"""``make rollback``: the flow ``promote`` from a shell, on the platform that PREFECT_API_URL points at, to its end."""

import argparse
import contextlib
import sys
import time

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound

from flows.ml.errors import TrainyardError
from ops.command import last_line, say, says_errors
from ops.deploy import server

PATIENCE = 900.0
"""Seconds a promotion may take, the wait for its pod among them; it takes some 20."""


class NotRolledBack(TrainyardError):
    """The flow could not be started, or did not end."""


@says_errors
def main() -> int:
    """Start the flow, wait, print how it ended; exit status 1 where it did not end Completed."""
    parser = argparse.ArgumentParser(prog="python -m ops.rollback", description=__doc__)
    parser.add_argument("--model", required=True, help="the model, such as trip-duration")
    parser.add_argument("--to", default="previous", help="the version that shall be in service")
    parser.add_argument("--operator", required=True, help="who decides")
    parser.add_argument("--reason", required=True, help="why, in a sentence")
    given = parser.parse_args()
    for name in ("model", "operator", "reason"):
        if not getattr(given, name).strip():
            raise NotRolledBack(f"{name.upper()} is empty: make rollback MODEL=… OPERATOR=… REASON=… says all three.")
    parameters = {
        "model": given.model,
        "version": given.to or "previous",
        "operator": given.operator,
        "reason": given.reason,
    }
    with server.connected() as client:
        run = wait(client, start(client, given.model, parameters))
    assert run.state is not None
    print(f"{run.state.name}: {run.state.message}")
    return 0 if run.state.type == StateType.COMPLETED else 1


def start(client: SyncPrefectClient, model: str, parameters: dict[str, str]) -> FlowRun:
    """A run of the model's deployment. Raises ``NotRolledBack`` where there is none, or it refuses these words."""
    deployment = _deployment(client, model)
    try:
        run = client.create_flow_run_from_deployment(deployment.id, parameters=parameters)
    except httpx.HTTPStatusError as error:
        if error.response.status_code not in (409, 422):
            raise
        raise NotRolledBack(f"promote does not take this: {last_line(error.response.text)}") from error
    say(f"{run.name}, a run of promote/{deployment.name}")
    return run


def wait(client: SyncPrefectClient, run: FlowRun, patience: float = PATIENCE) -> FlowRun:
    """The run once it has ended; tells each state on the way. Raises ``NotRolledBack`` after ``patience`` seconds."""
    deadline, told = time.monotonic() + patience, ""
    while not (run.state and run.state.is_final()):
        if time.monotonic() > deadline:
            raise NotRolledBack(
                f"no end after {patience:.0f} s, state {told}: see the run {run.name} in the Prefect UI. It goes on by "
                "itself once a worker takes it; cancel it there where it shall not."
            )
        time.sleep(0.5)
        run = client.read_flow_run(run.id)
        if run.state and run.state.name != told and not run.state.is_final():
            told = str(run.state.name)
            say(f"  {told}")
    return run


def _deployment(client: SyncPrefectClient, model: str) -> DeploymentResponse:
    names = [f"promote/{model}", f"promote/{model}-local"]
    for name in names:
        with contextlib.suppress(ObjectNotFound):
            return client.read_deployment_by_name(name)
    raise NotRolledBack(
        f"Prefect at {client.api_url} has no deployment {names[0]} or {names[1]}. Correct MODEL, or deploy first: "
        "make start on a laptop, make deploy for a cluster."
    )


if __name__ == "__main__":
    sys.exit(main())
