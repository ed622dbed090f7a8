"""A clone of the repository and what its owner does with it."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ops import processes

HOSTILE = {
    "PREFECT_API_URL": "http://127.0.0.1:9/api",
    "PREFECT_PROFILE": "nonsense",
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
    "AWS_PROFILE": "nonsense",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "TRAINYARD_LAKE_BUCKET": "nonsense",
}
"""What users of Prefect, MLflow and AWS may have set; port 9 refuses everyone."""


@dataclass(frozen=True)
class Made:
    """A make verb that ended."""

    status: int
    text: str
    seconds: float


@dataclass(frozen=True)
class Clone:
    """A clone and the environment in which its owner types commands."""

    root: Path
    home: Path
    env: Mapping[str, str]

    @property
    def state(self) -> Path:
        return self.root / ".trainyard"

    @property
    def python(self) -> str:
        return str(self.state / "venv" / "bin" / "python")

    def begin(self, verb: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a make verb as the leader of a process group, as a shell does."""
        with log.open("wb") as output:
            return subprocess.Popen(
                ["make", *verb.split()],
                cwd=self.root,
                env=self.env,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_heed_interrupts,
            )

    def make(self, verb: str, timeout: float = 400) -> Made:
        began = time.monotonic()
        log = self.root.parent / f"{verb}.txt"
        process = self.begin(verb, log)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
        return Made(status, log.read_text(), time.monotonic() - began)

    def platform_env(self) -> dict[str, str]:
        """The environment after ``eval "$(make -s env)"``."""
        text = subprocess.run(
            ["make", "-s", "env"], cwd=self.root, env=self.env, check=True, capture_output=True, text=True
        )
        pairs = (words[1].split("=", 1) for words in map(shlex.split, text.stdout.splitlines()))
        return {name: value for name, value in self.env.items() if name not in HOSTILE} | dict(pairs)

    def marked(self) -> list[processes.Running]:
        """Every live process the platform started, or that one of those started."""
        return processes.running(self.state)


def _heed_interrupts() -> None:
    """Whoever runs the tests in the background ignores interrupts, and so would what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
