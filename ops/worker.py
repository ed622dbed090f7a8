"""The worker of the pool ``local``: Prefect's own, but that a run's crash is reported once.

What looks after the process of a run reports its crash, runs the flow's hooks for that, and comes back seconds later;
then the worker reports the crash anew. By that time the run has been scheduled again and is under way, and would crash
though nothing happened to it. Called with the arguments of ``prefect worker start``.
"""

import sys
import warnings
from typing import Any

from prefect.cli import app
from prefect.workers.process import ProcessWorker, ProcessWorkerResult

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="Type .* has key 'process'")  # it is to take the place of Prefect's

    class LocalWorker(ProcessWorker):
        """Runs each flow run in a process."""

        async def run(self, *args: Any, **kwargs: Any) -> ProcessWorkerResult:
            """Run one; that it did not end well was reported before this returns."""
            result = await super().run(*args, **kwargs)
            return ProcessWorkerResult(status_code=0, identifier=result.identifier)


if __name__ == "__main__":
    sys.argv[1:1] = ["worker", "start"]
    app()
