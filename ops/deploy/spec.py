"""What a deployment is to be: a value that is compared, applied, recorded and returned to.

It holds everything that is told to Prefect of a deployment, so that a rollback needs neither the checkout nor the flows
of the former commit.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Schedule:
    """A schedule by its slug. ``when`` is Prefect's cron, interval or rrule.

    ``active`` is None where it is the operator's to say: a new schedule then is on, one that is there stays as it is.
    """

    slug: str
    when: Mapping[str, Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    active: bool | None = None

    @property
    def text(self) -> str:
        """It as a person writes it: ``0 6 * * * America/New_York``."""
        if "cron" in self.when:
            return " ".join(str(part) for part in (self.when["cron"], self.when.get("timezone")) if part)
        return " ".join(f"{name} {value}" for name, value in self.when.items() if value is not None)


@dataclass(frozen=True)
class Deployment:
    """A deployment by its flow and name. ``settings`` are the fields of Prefect's API, by their names there.

    ``paused`` is what a new one begins with; one that is there stays as its operator left it.
    """

    flow: str
    name: str
    settings: Mapping[str, Any]
    schedules: tuple[Schedule, ...] = ()
    paused: bool = False

    @property
    def full_name(self) -> str:
        """As Prefect and people write it: ``flow/deployment``."""
        return f"{self.flow}/{self.name}"

    @property
    def pair(self) -> tuple[str, str]:
        """Image and commit."""
        variables = self.settings.get("job_variables") or {}
        return variables.get("image", ""), variables.get("commit", "")

    def record(self) -> dict[str, Any]:
        """The same as JSON takes it."""
        return asdict(self)


def read(record: Mapping[str, Any]) -> Deployment:
    """A deployment from its record."""
    schedules = tuple(Schedule(**each) for each in record["schedules"])
    return Deployment(**{**record, "schedules": schedules})
