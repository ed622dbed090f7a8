"""A clean clone as a stranger has it: a home of its own, an environment that points elsewhere, a space in its path."""

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops import processes

ROOT = Path(__file__).resolve().parents[2]
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
                ["make", verb], cwd=self.root, env=self.env, stdout=output, stderr=output, start_new_session=True
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


def users_environment(home: Path) -> dict[str, str]:
    """This environment with another home; what is only there to spare the network is still found."""
    real = Path.home()
    env = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    shared = {
        "UV_CACHE_DIR": real / ".cache" / "uv",
        "PIP_CACHE_DIR": real / ".cache" / "pip",
        "PIP_CONFIG_FILE": real / ".config" / "pip" / "pip.conf",
        "UV_CONFIG_FILE": real / ".config" / "uv" / "uv.toml",
        "PYENV_ROOT": real / ".pyenv",
    }
    found = {name: str(path) for name, path in shared.items() if path.exists() and name not in env}
    return {**env, **found, **HOSTILE, "HOME": str(home)}


@pytest.fixture(scope="session")
def clone() -> Iterator[Clone]:
    """The repository at HEAD, nothing installed; what is not committed is not in it."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git repository: there is nothing to clone")
    if subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=ROOT, check=False).returncode:
        warnings.warn("the clone is HEAD: what is not committed is not tested", stacklevel=1)
    folder = Path(tempfile.mkdtemp(prefix="trainyard demo ")).resolve()
    root, home = folder / "a clone", folder / "home"
    home.mkdir()
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(root)], check=True)
    made = Clone(root, home, users_environment(home))
    try:
        yield made
    finally:
        processes.stop(made.state, patience=3)
        shutil.rmtree(folder)
