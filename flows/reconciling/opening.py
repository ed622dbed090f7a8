"""What a reconcile works with, opened."""

from datetime import timedelta

from flows import models
from flows.ml.reconciling.finding import Limits
from flows.ml.registry_upkeep import Upkeep
from flows.ml.settings import Settings
from flows.models import ModelName
from flows.reconciling import jobs
from flows.reconciling.orchestrator import Orchestrator
from flows.reconciling.whole import Systems
from flows.resources import attach


def systems(settings: Settings, release: str = "") -> Systems:
    """Everything that is reconciled; with Jobs where ``release`` is given. Raises ``JobsRefused``."""
    datasets = {name.value: models.load(name).dataset for name in ModelName}
    lake = attach(settings).lake
    registry = Upkeep(str(settings.mlflow_tracking_uri))
    why = "" if release else "Only the CronJob of a cluster may see them."
    found = jobs.connect(release) if release else None
    return Systems(lake, registry, Orchestrator(datasets), datasets, found, why)


def limits(settings: Settings, settle: timedelta | None = None, stale: timedelta | None = None) -> Limits:
    """The limits of these settings, and of what is given beside them."""
    return Limits(
        settle=Limits.settle if settle is None else settle,
        stale=Limits.stale if stale is None else stale,
        keep_days=settings.keep_days,
        keep_versions=settings.keep_versions,
        monthly_days=settings.monthly_days,
    )
