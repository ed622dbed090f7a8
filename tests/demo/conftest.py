"""A clean clone as a stranger has it: a home of its own, an environment that points elsewhere, a space in its path."""

import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from clone import HOSTILE, Clone

from ops import processes

ROOT = Path(__file__).resolve().parents[2]


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
        processes.stop(made.state, patience=3, at_once=["s3"])
        shutil.rmtree(folder)
