"""``retrain`` in a process of its own: it waits until it is told to go, and may be killed where a step begins."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from types import TracebackType
from typing import Any, Self

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


class Child:
    """A process that runs ``retrain`` with ``parameters``, killed where ``kill_at`` of ``STEPS`` begins."""

    def __init__(self, env: Mapping[str, str], kill_at: str = "", **parameters: Any) -> None:
        command = [sys.executable, "-m", __name__, json.dumps(parameters), kill_at]
        self._process = subprocess.Popen(
            command, env=dict(env), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def await_ready(self) -> None:
        """Return once it has imported all it needs."""
        assert self._process.stdout
        assert self._process.stdout.readline() == "ready\n", self._process.communicate()[1]

    def go(self) -> None:
        """Let it run."""
        assert self._process.stdin
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def end(self) -> dict[str, str]:
        """Type, name and message of the state it ended in."""
        out, err = self._process.communicate(timeout=120)
        assert self._process.returncode == 0, err
        found: dict[str, str] = json.loads(out.splitlines()[-1])
        return found

    def killed(self) -> bool:
        """Whether it was killed."""
        self._process.communicate(timeout=120)
        return self._process.returncode == -signal.SIGKILL


def main() -> None:
    """Run the flow as the command line says."""
    parameters, kill_at = json.loads(sys.argv[1]), sys.argv[2]
    retrain = import_module("flows.retrain").retrain
    import_module("mlflow.pyfunc")
    if kill_at:
        _replace(STEPS[kill_at])
    print("ready", flush=True)
    sys.stdin.readline()
    state = retrain(**parameters, return_state=True)
    print(json.dumps({"type": state.type.value, "name": state.name, "message": state.message}))


def _replace(name: str) -> None:
    """Let a function of this process be its end."""
    owner, _, attribute = name.rpartition(".")
    try:
        place: Any = import_module(owner)
    except ModuleNotFoundError:
        module, _, kind = owner.rpartition(".")
        place = getattr(import_module(module), kind)
    setattr(place, attribute, lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL))


if __name__ == "__main__":
    main()
