"""A ``retrain`` that ended half-way, and the next one: it goes on where the last one stopped."""

from collections.abc import Callable
from typing import Any

import pytest

from flows.ml import judging, training
from flows.retrain import retrain
from tests.integration.home import MODEL, Home, run

STEPS = {
    "train": "flows.ml.candidate.stage",
    "weigh": "flows.retrain.weigh",
    "judge": "flows.ml.judging.judge",
    "register": "flows.retrain.register",
    "make the version": "flows.ml.registry.Registry._make_version",
    "report": "flows.retrain.publish_decision",
    "promote": "flows.ml.ledger.promote",
    "move the alias": "flows.ml.registry.Registry.set_champion",
}
"""What begins each step, in their order; the first is the end of the training, before anything of it is kept."""
DONE: dict[str, Any] = {"versions": {1: "promote"}, "champion": 1, "ledger": [1]}


class Broken(Exception):
    """A step that could not begin."""


def counted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[str]:
    """A list that grows with every call of a function."""
    calls: list[str] = []
    real: Callable[..., Any] = getattr(module, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, call)
    return calls


def fail(*args: Any, **kwargs: Any) -> None:
    """Stands for any step."""
    raise Broken("the network went away")


def test_every_rerun_goes_on_where_the_last_run_stopped(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.land("2023-01", "2023-02")
    trained, judged = counted(monkeypatch, training, "train"), counted(monkeypatch, judging, "judge")

    for step in STEPS:
        with monkeypatch.context() as broken:
            broken.setattr(STEPS[step], fail)
            stopped = run(retrain, model=MODEL)
        assert (stopped.type.value, stopped.name) == ("FAILED", "Failed"), step
        assert "the network went away" in str(stopped.message), step
        assert home.outcome() == left_by(step), step
    ended = run(retrain, model=MODEL)

    assert ended.name == "Unchanged"
    assert home.outcome() == DONE
    assert len(trained) == 2  # what the first had trained was not kept yet
    assert len(judged) == 1


def left_by(step: str) -> dict[str, Any]:
    """What a run leaves that stopped where a step begins."""
    done = list(STEPS).index(step)
    return {
        "versions": DONE["versions"] if done > list(STEPS).index("make the version") else {},
        "champion": None,
        "ledger": DONE["ledger"] if step == "move the alias" else [],
    }
