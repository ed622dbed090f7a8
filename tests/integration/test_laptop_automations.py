"""The automations of the local platform, as ``make start`` provisions them, made to fire there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.states import Cancelled, Completed, Crashed, Failed, Pending, Running

from ops import provision
from ops.environment import Place
from tests.integration.lab import Lab, deployment, webhook
from tests.integration.servers import at


@pytest.fixture
def laptop(platform: dict[str, str]) -> Iterator[Lab]:
    """A deployment in the pool of the local platform, on which no worker takes its runs."""
    with at(platform), get_client(sync_client=True) as client:
        yield Lab(client, made := deployment(client, provision.POOL))
        for run in client.read_flow_runs():
            if run.deployment_id == made:
                client.set_flow_run_state(run.id, Cancelled(), force=True)
        client.delete_deployment(made)


def provisioned(platform: dict[str, str], address: str) -> None:
    """Provision the platform as a start does, with an address for notices."""
    with at({**platform, "NOTICE_WEBHOOK_URL": address}):
        provision.bootstrap(Place(Path(platform["OPS_ROOT"])))


def test_a_run_that_crashes_on_a_laptop_is_run_again_once(laptop: Lab) -> None:
    run = laptop.wait(laptop.run(Pending(), Running(), Crashed(message="killed")), StateType.SCHEDULED)

    laptop.go(run, Pending(), Running(), Crashed(message="killed"))
    laptop.settle()

    assert laptop.names(run) == [
        "Scheduled",
        "Pending",
        "Running",
        "Crashed",
        "Scheduled",
        "Pending",
        "Running",
        "Crashed",
    ]
    assert all(found.enabled for found in laptop.client.read_automations())


def test_a_failure_on_a_laptop_is_told_to_an_address_that_is_given_and_to_nobody_else(
    platform: dict[str, str], laptop: Lab
) -> None:
    with webhook() as hook:
        provisioned(platform, hook.address)
        failed = laptop.run(Pending(), Running(), Failed(name="Refused", message="2023-02 holds too few rows"))
        told = hook.wait(1)
        laptop.run(Pending(), Running(), Completed())
        provisioned(platform, "")
        laptop.run(Pending(), Running(), Failed(message="nobody is told"))
        laptop.settle()

    ui = platform["PREFECT_API_URL"].removesuffix("/api")
    assert told == [f"{failed.name} is Refused: 2023-02 holds too few rows {ui}/runs/flow-run/{failed.id}"]
    assert [each["text"] for each in hook.told] == told
