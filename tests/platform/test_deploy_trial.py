"""What is tried after a deploy: a run of what it brought."""

import contextlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound

from ops.deploy import trial


class Client:
    """A Prefect that knows some deployments."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def read_deployment_by_name(self, name: str) -> None:
        if name not in self.names:
            raise ObjectNotFound(http_exc=httpx.HTTPError("404"))


def ending(monkeypatch: pytest.MonkeyPatch, state: State | None, *names: str) -> list[dict[str, Any]]:
    """Let a run end so; what it was asked for."""
    asked: list[dict[str, Any]] = []

    def run_deployment(name: str, **given: Any) -> FlowRun:
        asked.append({"name": name, **given})
        return FlowRun.model_construct(name="reconcile (dry)", state=state)

    @contextlib.contextmanager
    def connected() -> Iterator[Client]:
        yield Client(*names)

    monkeypatch.setattr(trial, "run_deployment", run_deployment)
    monkeypatch.setattr(trial.server, "connected", connected)
    return asked


@pytest.mark.parametrize(
    ("kind", "name", "status"),
    [
        (StateType.COMPLETED, "Nothing to do", 0),
        (StateType.COMPLETED, "Dry run", 0),
        (StateType.FAILED, "Incomplete", 0),
        (StateType.FAILED, "Failed", 1),
        (StateType.CRASHED, "Crashed", 1),
    ],
)
def test_a_run_that_comes_to_an_end_of_its_own_is_enough(
    monkeypatch: pytest.MonkeyPatch, kind: StateType, name: str, status: int
) -> None:
    asked, said = ending(monkeypatch, State(type=kind, name=name, message="so it is"), "reconcile/platform"), []

    assert trial.run(said.append) == status
    assert said == [f"reconcile (dry) ended {name}: so it is"]
    assert (asked[0]["name"], asked[0]["parameters"]) == ("reconcile/platform", {"dry_run": True})


def test_a_run_that_does_not_end_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    ending(monkeypatch, State(type=StateType.PENDING), "reconcile/platform")
    said: list[str] = []

    assert trial.run(said.append) == 1
    assert said[0].startswith("reconcile (dry) is Pending after 300 s")


def test_before_the_first_deploy_there_is_nothing_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, said = ending(monkeypatch, None), []

    assert trial.run(said.append) == 0
    assert "is not deployed" in said[0]
    assert asked == []
