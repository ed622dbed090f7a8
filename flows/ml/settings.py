"""The typed settings of a flow run: the only reader of the environment."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field, HttpUrl, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from flows.ml.errors import TrainyardError

PREFIX = "TRAINYARD_"
IN_A_POD = "KUBERNETES_SERVICE_HOST"
"""What Kubernetes sets in every pod. There most settings are the chart's, which may be newer than this code."""
STORED_THREADS = "OMP_NUM_THREADS"
"""What code stored with a model reads when it is loaded."""


class SettingsError(TrainyardError):
    """The environment is not what the settings ask for; every variable that is wrong is named."""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Settings(BaseSettings):
    """Where things are and what may be used. AWS's own variables are read by the AWS libraries themselves.

    ``threads``: processors a run may use; on Kubernetes its pod's limit. ``scratch``: a folder for files that do not
    outlive the run. ``lake_credentials``: name of a prefect-aws ``AwsCredentials`` block, for those who keep
    credentials in Prefect; empty means the standard AWS chain. ``keep_days``, ``keep_versions``, ``monthly_days``: the
    limits of a reconcile (``reconciling.finding.Limits``); ``alert_webhook``: the address its alert is posted to.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    lake_bucket: str = Field(min_length=3, max_length=63)
    lake_prefix: str = Field(default="", pattern=r"^([A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*)?$")
    lake_credentials: str = ""
    mlflow_tracking_uri: HttpUrl = Field(validation_alias="MLFLOW_TRACKING_URI")
    mlflow_ui: HttpUrl | None = None
    threads: int = Field(default_factory=_cores, ge=1, le=1024)
    scratch: Path = Field(default_factory=lambda: Path(tempfile.gettempdir()))
    git_sha: str = Field(default="unknown", min_length=1)
    keep_days: int = Field(default=180, ge=0)
    keep_versions: int = Field(default=20, ge=1)
    monthly_days: int = Field(default=40, ge=0)
    alert_webhook: SecretStr = SecretStr("")

    @field_validator("mlflow_tracking_uri", "mlflow_ui")
    @classmethod
    def _no_password(cls, address: HttpUrl | None) -> HttpUrl | None:
        if address and (address.username or address.password):  # it would be shown in links, logs and reports
            raise ValueError("holds a user or a password: give them in the variables that MLflow has for them")
        return address

    @property
    def mlflow_url(self) -> str:
        """Where people open MLflow: the address of its UI where it differs from the API's, without a trailing slash."""
        return str(self.mlflow_ui or self.mlflow_tracking_uri).rstrip("/")


def load() -> Settings:
    """Read the settings from the environment.

    Raises ``SettingsError`` with every malformed, missing or unknown variable, each by its name. In a pod an unknown
    one is a warning.
    """
    known = {str(field.validation_alias or _variable(name)) for name, field in Settings.model_fields.items()}
    unknown = [name for name in sorted(os.environ) if name.startswith(PREFIX) and name not in known]
    problems = [f"{name}: no such setting" for name in unknown]
    if problems and IN_A_POD in os.environ:
        logging.getLogger(__name__).warning("not known to this code and let be: %s", "; ".join(problems))
        problems = []
    try:
        settings = Settings()
    except ValidationError as error:
        problems += [f"{_variable(str(e['loc'][0]))}: {e['msg'].lower()}" for e in error.errors()]
    if problems:
        raise SettingsError(f"the environment holds {len(problems)} wrong settings: " + "; ".join(problems))
    return settings


@contextlib.contextmanager
def serving_threads(count: int) -> Iterator[None]:
    """Let stored code that is loaded meanwhile use so many threads: it knows ``OMP_NUM_THREADS`` and no settings.

    Where that is set it stays. Without it stored code takes the cores it sees, which may be more than a pod may use.
    """
    set_here = STORED_THREADS not in os.environ
    os.environ.setdefault(STORED_THREADS, str(count))
    try:
        yield
    finally:
        if set_here:
            del os.environ[STORED_THREADS]


def _variable(field: str) -> str:
    return field if field.isupper() else PREFIX + field.upper()
