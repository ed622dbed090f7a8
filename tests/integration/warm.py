"""Runs of flows in processes of their own, at the price of a fork each: what flows import is imported once."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

from prefect import Flow
from prefect.client.schemas.objects import State

from flows.ml.reconciling.finding import Limits
from flows.reconciling import opening
from tests.integration.servers import ROOT, at

FLOWS = sorted(path.stem for path in (ROOT / "flows").glob("[!_]*.py") if path.stem != "resources")
"""The modules of flows, which are imported before the first fork."""
LATER = (
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "mlflow.pyfunc",
    "pandera.polars",
    "prefect_aws",
    "xgboost",
)
"""What they import once they need it, before the first fork as well: it is most of what a short run takes."""
PATIENCE = 600
"""Seconds a run may take on a machine that does other things as well."""
FILE_LIMIT = "FILE_LIMIT"
"""In the environment of a run: the bytes at which a file it writes finds no more room."""
KILLED_AT = "KILLED_AT"
"""In the environment of a run: the function, by its full name, at whose first call the run is killed."""
NOTHING_IS_YOUNG = "NOTHING_IS_YOUNG"
"""In the environment of a run: a reconcile lets nothing be for its age, and keeps the newest three versions."""

AT_ONCE = Limits(settle=timedelta(0), stale=timedelta(0), keep_days=1e-9, keep_versions=3)  # type: ignore[arg-type]


class Warm:
    """A process that has imported every flow, and becomes a run of one whenever asked to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        command = [sys.executable, "-m", __name__]
        self._process = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._told() == "ready"

    @contextlib.contextmanager
    def run(self, flow: str, env: Mapping[str, str], **parameters: Any) -> Iterator["Run"]:
        """A run of a flow, which begins when told to; what is left of it at the end of the block is killed."""
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        pid = int(self._ask({"folder": str(folder), "flow": flow, "env": dict(env), "parameters": parameters}))
        run = Run(self, pid, folder)
        try:
            yield run
        finally:
            run.over()

    def wait(self, pid: int) -> int:
        """The status a run ended with, negative for a signal."""
        return int(self._ask({"wait": pid}))

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=PATIENCE)

    def _ask(self, order: Mapping[str, Any]) -> str:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._told()

    def _told(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


@dataclass
class Run:
    """A run of a flow in the process ``pid``, which waits until it is told to go."""

    warm: Warm
    pid: int
    folder: Path
    status: int | None = None

    def go(self) -> None:
        """Let it run."""
        (self.folder / "go").touch()

    def end(self) -> dict[str, str]:
        """Type, name and message of the state it ended in; lets it run first."""
        self.go()
        status, said = self._wait(), (self.folder / "log").read_text()
        assert status == 0, said
        found: dict[str, str] = json.loads((self.folder / "end").read_text())
        return found

    def killed(self) -> bool:
        """Whether it was killed, once it is over."""
        status = self._wait()
        assert status in (0, -signal.SIGKILL), (self.folder / "log").read_text()
        return status == -signal.SIGKILL

    def over(self) -> None:
        """Make sure that nothing of it runs on."""
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self._wait()

    def _wait(self) -> int:
        if self.status is None:
            self.status = self.warm.wait(self.pid)
        return self.status


def main() -> None:
    """Fork a run for every order that names one, and wait for the one that an order asks for."""
    for name in (*(f"flows.{flow}" for flow in FLOWS), *LATER):
        import_module(name)
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            print(os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1]), flush=True)
            continue
        if not (pid := os.fork()):
            os._exit(_run(**order))
        print(pid, flush=True)


def _run(folder: str, flow: str, env: Mapping[str, str], parameters: Mapping[str, Any]) -> int:
    """Be a run of a flow: 0 once it has ended, in whatever state."""
    log = os.open(Path(folder) / "log", os.O_CREAT | os.O_WRONLY)
    for stream in (0, 1, 2):
        os.dup2(log, stream)
    signal.alarm(PATIENCE)
    if FILE_LIMIT in env:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(env[FILE_LIMIT]),) * 2)
    if KILLED_AT in env:
        mock.patch(env[KILLED_AT], _end).start()
    if NOTHING_IS_YOUNG in env:
        opening.limits = lambda settings: AT_ONCE  # type: ignore[misc, assignment]
    try:
        with at(env):
            while not (Path(folder) / "go").exists():
                time.sleep(0.01)
            state = _named(flow)(**parameters, return_state=True)
        end = {"type": state.type.value, "name": state.name, "message": state.message}
        (Path(folder) / "end").write_text(json.dumps(end))
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _end(*_: object, **__: object) -> None:
    """Be killed."""
    os.kill(os.getpid(), signal.SIGKILL)


def _named(flow: str) -> Flow[..., State]:
    """The flow of a name."""
    values = (value for module in FLOWS for value in vars(import_module(f"flows.{module}")).values())
    return next(value for value in values if isinstance(value, Flow) and value.name == flow)


if __name__ == "__main__":
    main()
