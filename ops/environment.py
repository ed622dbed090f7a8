"""Where the local platform keeps its state, and the environment its commands and flow runs see."""

import json
import os
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

BUCKET = "trainyard"
_FOREIGN = ("PREFECT_", "MLFLOW_", "AWS_", "TRAINYARD_", "BOTO_")


@dataclass(frozen=True)
class Ports:
    """The ports of the platform, all on loopback. ``s3`` is the first of a block the S3 server uses."""

    prefect: int
    mlflow: int
    s3: int


@dataclass(frozen=True)
class Place:
    """A checkout and the git-ignored folder in it that holds everything the platform writes.

    A platform with a ``name`` has a folder of its own within: it shares the programs with the others and nothing else.
    """

    root: Path
    name: str = ""

    @property
    def state(self) -> Path:
        """The folder of everything the platform writes."""
        return self.root / ".trainyard" / self.name

    @property
    def programs(self) -> Path:
        """Where the installed programs are."""
        return self.root / ".trainyard" / "venv" / "bin"

    def folder(self, name: str) -> Path:
        """A folder of the state, made when it is not there."""
        folder = self.state / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def ports(self) -> Ports | None:
        """The ports of the last start; None before the first, or where the record is damaged."""
        try:
            return Ports(**json.loads((self.state / "ports.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def keep_ports(self, ports: Ports) -> None:
        """Record the ports, whole or not at all."""
        draft = self.folder(".") / "ports.json.new"
        draft.write_text(json.dumps(asdict(ports)))
        draft.replace(self.state / "ports.json")


def here() -> Place:
    """The checkout these modules are part of, and of its platforms the one that ``OPS_PLACE`` names."""
    return Place(Path(__file__).resolve().parent.parent, os.environ.get("OPS_PLACE", ""))


def credentials(place: Place) -> tuple[str, str]:
    """Access key and secret key of the S3 server: made once, kept readable by the user alone."""
    path = place.folder("aws") / "keys.json"
    if not path.exists():
        _keep(path, json.dumps(["trainyard", secrets.token_hex(20)]))
    access_key, secret_key = json.loads(path.read_text())
    return access_key, secret_key


def _aws_profile(place: Place) -> Path:
    access_key, secret_key = credentials(place)
    path = place.folder("aws") / "credentials"
    _keep(path, f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n")
    return path


def _keep(path: Path, text: str) -> None:
    """Write a file that the user alone may read, whole at each moment: runs that are at work read it."""
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)


def revision(place: Place) -> str:
    """The commit of the checkout, marked ``-dirty`` where files differ from it; ``unknown`` outside git."""
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    found = subprocess.run(describe, cwd=place.root, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def client_settings() -> dict[str, str]:
    """How clients of any platform of the project behave: they ask nobody, give up soon, and unpickle nothing."""
    return {
        "DO_NOT_TRACK": "1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "OMP_WAIT_POLICY": "PASSIVE",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        "PREFECT_TASKS_DEFAULT_NO_CACHE": "true",
        "PREFECT_CLI_PROMPT": "false",
    }


def settings(place: Place, ports: Ports) -> dict[str, str]:
    """What the platform adds to the environment; nothing of the user's own profiles is read or changed."""
    return {
        **client_settings(),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports.s3}",
        "AWS_SHARED_CREDENTIALS_FILE": str(_aws_profile(place)),
        "AWS_CONFIG_FILE": str(place.state / "aws" / "config"),
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{ports.mlflow}",
        "PREFECT_HOME": str(place.folder("prefect")),
        "PREFECT_API_URL": f"http://127.0.0.1:{ports.prefect}/api",
        "TRAINYARD_LAKE_BUCKET": BUCKET,
    }


def without_foreign(base: Mapping[str, str]) -> dict[str, str]:
    """An environment less what would lead Prefect, MLflow, S3 and the flows to other servers."""
    return {name: value for name, value in base.items() if not name.startswith(_FOREIGN)}


def environment(place: Place, ports: Ports, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of everything the platform runs: the user's, less what would lead it to other servers."""
    own = without_foreign(base)
    path = f"{place.programs}{os.pathsep}{own.get('PATH', '')}"
    ours = {"PATH": path, "OPS_ROOT": str(place.root), "OPS_PLACE": place.name, "PYTHONPATH": str(place.root)}
    return {**own, **ours, **settings(place, ports)}
