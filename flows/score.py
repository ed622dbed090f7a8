"""The flow ``score``: the predictions of a month by the champion in service, into the lake."""

from datetime import UTC, datetime

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows import models
from flows.ml import champion as champions
from flows.ml import landing, ledger, predictions, predictions_card, registration, scoring
from flows.ml.champion import ChampionUnusable
from flows.ml.landing import MonthMissing
from flows.ml.ledger import Entry, NoChampion
from flows.ml.manifest import Manifest
from flows.ml.predictions import Predictions, Published
from flows.ml.registration import LedgerMissing
from flows.ml.scoring import MonthUnfit
from flows.models import ModelName
from flows.resources import RETRIES, Month, attach, open_resources, progress, scratch

REFUSALS = (NoChampion, LedgerMissing, MonthMissing, MonthUnfit, ChampionUnusable)
"""What an operator has to put right before a month can be scored."""


@flow(
    name="score",
    description="Write the predictions of a month by the champion in service to the lake.",
    flow_run_name="score {model} {month}",
    timeout_seconds=2 * 3600,
    persist_result=False,
)
def score(model: ModelName, month: Month) -> State:
    """Write the predictions of a month by the champion in service to the lake.

    Ends Completed as ``Scored``, or as ``Unchanged`` where this version's predictions of these very rows are there;
    Failed as ``Refused`` where there is no champion, it cannot be loaded or used, or the lake has no such month. Every
    valid row is scored, whatever the model was trained on; one that cannot be is left empty with the reason.

    Args:
        model: Which model.
        month: Which month, as YYYY-MM. The lake must hold it.
    """
    open_resources()
    try:
        champion = look_up(model)
        rows = find_month(model, month)
        found = find_predictions(model, rows, champion)
        published = Published(found, new=False) if found else predict(model, rows, champion)
    except REFUSALS as fault:
        return Failed(name="Refused", message=str(fault))
    publish_predictions(published.predictions)
    return Completed(
        name="Scored" if published.new else "Unchanged", message=predictions_card.sentence(published.predictions)
    )


@task(task_run_name="look the champion of {model} up", persist_result=False, **RETRIES)
def look_up(model: ModelName) -> Entry:
    """The champion by the ledger; an alias that a crash left behind is put right. Raises ``NoChampion``."""
    resources = attach()
    registration.align(resources.lake, resources.registry, model)
    return ledger.champion(resources.lake, model)


@task(task_run_name="find {month} in the lake", persist_result=False, **RETRIES)
def find_month(model: ModelName, month: str) -> Manifest:
    """The month as it is now. Raises ``MonthMissing``, ``MonthUnfit``."""
    definition = models.load(model)
    found = landing.manifest(attach().lake, definition.dataset, month)
    scoring.require_fit(definition, month, found)
    return found


@task(task_run_name="look for predictions by version {champion.version}", persist_result=False, **RETRIES)
def find_predictions(model: ModelName, month: Manifest, champion: Entry) -> Predictions | None:
    """What an earlier run wrote of these rows by this version, if it is whole."""
    return predictions.find_whole(
        attach().lake, model, month.month, month.address, champion.version, champion.fingerprint
    )


@task(task_run_name="score {month.month} by version {champion.version}", persist_result=False, **RETRIES)
def predict(model: ModelName, month: Manifest, champion: Entry) -> Published:
    """Fetch rows and champion to scratch, score a batch at a time, write to the lake. Data stays in this task."""
    resources, definition = attach(), models.load(model)
    tell = progress(f"score {model} {month.month}")
    with scratch(resources.settings) as folder:
        source = landing.fetch(resources.lake, month, folder)
        loaded = champions.load(resources.registry, definition, champion, resources.settings.threads, folder)
        scored = scoring.score(loaded, definition, source, folder, tell)
        get_run_logger().info("scored %s rows by version %d", f"{scored.rows:,}", champion.version)
        made = scoring.describe(
            loaded,
            definition,
            month,
            scored,
            revision=resources.settings.git_sha,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        return predictions.publish(resources.lake, made, scored.file.path)


@task(task_run_name="report the predictions", persist_result=False, **RETRIES)
def publish_predictions(found: Predictions) -> None:
    """Show the operator what was scored, what was not and why, and where it is."""
    resources = attach()
    version = f"{resources.settings.mlflow_url}/#/models/{found.model}/versions/{found.version}"
    create_markdown_artifact(
        predictions_card.card(found, resources.lake.uri(found.data.name), version),
        key=f"predictions-{found.model}-{found.month}",
        description=f"{found.scored:,} of {found.rows:,} rows scored by version {found.version}",
    )
