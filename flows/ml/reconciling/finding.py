"""A finding: what is not as it should be, and what of it can be put right."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Kind(StrEnum):
    """What may be found, as people read it."""

    ALIAS = "alias unlike the ledger"
    CHAMPION = "champion of the ledger out of service"
    VERDICT = "version without its verdict"
    DOUBLE = "fingerprint registered twice"
    LEFT_RUNNING = "MLflow run left RUNNING"
    OLD_VERSION = "version beyond retention"
    HALF_WRITTEN = "half-written object"
    STAGED = "staged object nothing refers to"
    UPLOAD = "open upload in parts"
    OLD_MONTH = "month address beyond retention"
    NO_JOB = "run without its Job"
    NO_RUN = "Job without its run"
    ORPHAN = "subflow run of a dead parent"
    NO_MONTHLY = "no successful monthly"


REPAIRS = {
    Kind.ALIAS: "set the alias to the ledger's head",
    Kind.VERDICT: "give the version the verdict",
    Kind.DOUBLE: "delete the version that was never promoted",
    Kind.LEFT_RUNNING: "end the run in MLflow",
    Kind.OLD_VERSION: "delete the version, its run and its stored model",
    Kind.HALF_WRITTEN: "delete it",
    Kind.STAGED: "delete it",
    Kind.UPLOAD: "let S3 drop its parts",
    Kind.OLD_MONTH: "delete it",
    Kind.NO_JOB: "end the run",
    Kind.NO_RUN: "delete the Job",
    Kind.ORPHAN: "end the run",
}
"""What is done about a finding. What is not here needs a person."""

DELETES = frozenset({Kind.DOUBLE, Kind.OLD_VERSION, Kind.HALF_WRITTEN, Kind.STAGED, Kind.UPLOAD, Kind.OLD_MONTH})
"""What takes something away that a run under way might need: done only where Prefect says that none is."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    ``what`` it is about and ``why`` are for people. ``owner`` is the model or dataset whose runs may be at work on it;
    ``target`` is what its repair acts on: keys, numbers, ids.
    """

    kind: Kind
    what: str
    why: str
    owner: str = ""
    target: tuple[str, ...] = ()


@dataclass(frozen=True)
class Limits:
    """Every age and number that a reconcile goes by.

    settle: how long a run, a Job or a version must have been as it is before that counts as a fault; automations and
        reruns come first.
    stale: how old objects, uploads and MLflow runs are that no run can still be at work on; the longest has 10 hours.
    keep_days, keep_versions: versions younger than that many days stay, and the newest so many; months' addresses go by
        the same days. No days: nothing is deleted by age.
    keep_promotions: versions of the ledger's last so many entries stay.
    monthly_days: after how many days without a successful ``monthly`` that is said. 0: never.
    news_months: after how many times as many days without a new month that is said.
    """

    settle: timedelta = timedelta(hours=1)
    stale: timedelta = timedelta(hours=24)
    keep_days: int = 180
    keep_versions: int = 20
    keep_promotions: int = 10
    monthly_days: int = 40
    news_months: int = 3
