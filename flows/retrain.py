"""The flow ``retrain``: snapshot, train, judge, register, promote or keep."""

import base64
from typing import Annotated

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact
from prefect.cache_policies import CacheKeyFnPolicy
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from pydantic import Field

from flows import models
from flows.ml import candidate as staging
from flows.ml import fingerprint as identity
from flows.ml import judging, ledger, registration, report, training
from flows.ml import snapshot as snapshots
from flows.ml.candidate import Candidate
from flows.ml.champion import ChampionUnusable
from flows.ml.definition import Verdict
from flows.ml.evaluation import Contender
from flows.ml.fingerprint import Snapshot
from flows.ml.ledger import Entry, HeadMoved, Standing
from flows.ml.registry import Version
from flows.models import ModelName
from flows.resources import RESULTS, RETRIES, MonthOrEmpty, attach, open_resources, progress, scratch

Window = Annotated[int | None, Field(ge=1, le=120)]

CONTESTS = 5
"""How often a promotion is judged again because another one came first."""


def run_name() -> str:
    """What a run is called in the UI."""
    given = flow_run.parameters
    return f"retrain {given['model']} until {given['until'] or 'the newest month'}"


@flow(
    name="retrain",
    description="Train a model on the months before one, judge it on that one, promote it or keep the champion.",
    flow_run_name=run_name,
    timeout_seconds=6 * 3600,
    persist_result=False,
)
def retrain(model: ModelName, until: MonthOrEmpty = "", window: Window = None) -> State:
    """Train a model and let the gate decide whether it replaces the champion.

    Ends Completed as ``Promoted``, ``Kept``, ``Unchanged`` (this very training was promoted before) or ``Barred`` (and
    an operator took it out of service), Failed as ``Refused``; the version is registered with its verdict in all five.
    Run again it goes on where it stopped.

    Args:
        model: Which model.
        until: The month that judges, as YYYY-MM; the ones before it train. Empty: the newest in the lake.
        window: How many months to train on. Empty: as many as the lake holds without a gap, up to the model's limit.
    """
    open_resources()
    snapshot = take_snapshot(model, until, window)
    fingerprint = identity.training(models.load(model), snapshot)
    for _ in range(CONTESTS):
        standing = look_up(model, fingerprint)
        if standing.promotion:
            return settled(standing.promotion, standing.bar)
        candidate = train(model, snapshot, fingerprint)
        if not is_whole(candidate):  # a result of an earlier run, whose files are gone
            candidate = train.with_options(refresh_cache=True)(model, snapshot, fingerprint)
        decision = identity.decision(models.load(model), fingerprint, standing.identity)
        verdict = weigh(candidate, snapshot, standing.champion, decision)
        version = register(candidate, snapshot, verdict, standing.champion, decision)
        publish_decision(version, snapshot, verdict, standing.champion, decision)
        try:
            return conclude(version, verdict, standing.champion, decision)
        except HeadMoved:
            continue
    raise HeadMoved(
        f"{model}: {CONTESTS} other promotions came first. Let one retrain run at a time and run this again."
    )


@task(task_run_name="fix the snapshot of {model}", persist_result=False, **RETRIES)
def take_snapshot(model: ModelName, until: str, window: int | None) -> Snapshot:
    """Fix the months by their digests, and show them."""
    definition = models.load(model)
    snapshot = snapshots.take(attach().lake, definition.dataset, until, window, definition.window)
    create_table_artifact(
        report.snapshot_table(snapshot),
        key=f"snapshot-{model}",
        description=f"The months of {model} until {snapshot.judge.month}; digest {snapshot.digest[:12]}",
    )
    return snapshot


@task(task_run_name="look {model} up in the ledger", persist_result=False, **RETRIES)
def look_up(model: ModelName, fingerprint: str) -> Standing:
    """The champion, and whether this very training was promoted; an alias that a crash left behind is put right."""
    resources = attach()
    registration.align(resources.lake, resources.registry, model)
    standing = ledger.standing(resources.lake, model, fingerprint)
    if standing.promotion and standing.promotion == standing.champion:
        registration.require_alias(resources.registry, model, standing.promotion)
    return standing


def settled(promotion: Entry, bar: Entry | None) -> State:
    """The end for a training that was promoted before: nothing is done, least of all against an operator's word."""
    this = f"version {promotion.version} is this very training and"
    if bar is None:
        return Completed(name="Unchanged", message=f"{this} was promoted on {promotion.promoted_at[:10]}")
    text = (
        f"{this} was taken out of service on {bar.promoted_at[:10]} by {bar.operator} ({bar.reason}): the schedule "
        "does not promote it again. Where it shall be in service, run promote with this version and a reason."
    )
    return Completed(name="Barred", message=text)


@task(
    task_run_name="train {model} on {snapshot.span}",
    cache_policy=CacheKeyFnPolicy(cache_key_fn=lambda context, parameters: f"train/{parameters['fingerprint']}"),
    **RESULTS,
    **RETRIES,
)
def train(model: ModelName, snapshot: Snapshot, fingerprint: str) -> Candidate:
    """Fit the model on the snapshot's training months and leave its files in the lake."""
    resources, definition = attach(), models.load(model)
    tell = progress(f"train {model} on {snapshot.span}")
    with scratch(resources.settings) as folder:
        found = snapshots.read(resources.lake, snapshot.dataset, snapshot.train, folder, judging.columns(definition))
        trained = training.train(found, definition, resources.settings.threads, tell, folder)
    get_run_logger().info("trained on %s rows of %s", f"{trained.rows:,}", snapshot.span)
    return staging.stage(resources.lake, model, fingerprint, trained.rows, trained.files())


@task(task_run_name="look for the files of {candidate.model}", persist_result=False, **RETRIES)
def is_whole(candidate: Candidate) -> bool:
    """Whether the lake has them all."""
    return staging.is_whole(attach().lake, candidate)


@task(task_run_name="look for a judgement of {model}", persist_result=False, **RETRIES)
def is_judged(model: str, decision: str) -> bool:
    """Whether an earlier run kept one of the same decision."""
    return judging.plot(attach().lake, model, decision) is not None


def weigh(candidate: Candidate, snapshot: Snapshot, champion: Entry | None, decision: str) -> Verdict:
    """The gate's verdict. A champion that cannot be scored is a reason to refuse, not to fail."""
    weighed = judge.with_options(refresh_cache=not is_judged(candidate.model, decision))
    try:
        return weighed(candidate, snapshot, champion, decision)
    except ChampionUnusable as fault:
        return weighed(candidate, snapshot, champion, decision, champion_fault=str(fault))


@task(
    task_run_name="judge {candidate.model} on {snapshot.judge.month}",
    cache_policy=CacheKeyFnPolicy(
        cache_key_fn=lambda context, parameters: judging.key(parameters["decision"], parameters["champion_fault"])
    ),
    **RESULTS,
    **RETRIES,
)
def judge(
    candidate: Candidate, snapshot: Snapshot, champion: Entry | None, decision: str, champion_fault: str = ""
) -> Verdict:
    """Score candidate, champion and the naive baseline on the same rows of the judged month, and decide."""
    resources, definition = attach(), models.load(candidate.model)
    with scratch(resources.settings) as folder:
        found = snapshots.read(resources.lake, snapshot.dataset, (snapshot.judge,), folder, judging.columns(definition))
        rows = training.in_scope(found.collect(), definition)
        rival = Contender((), None, champion_fault) if champion_fault else None
        if champion and not rival:
            threads = resources.settings.threads
            rival = judging.score_champion(resources.registry, definition, champion, rows, threads, folder)
        judged = judging.judge(resources.lake, definition, candidate, snapshot, rival, rows, resources.settings.threads)
    get_run_logger().info("%s: %s", judged.verdict.decision, judged.verdict.reason)
    judging.keep(resources.lake, candidate.model, decision, judged)
    return judged.verdict


@task(task_run_name="register {candidate.model}: {verdict.decision}", persist_result=False, **RETRIES)
def register(
    candidate: Candidate, snapshot: Snapshot, verdict: Verdict, champion: Entry | None, decision: str
) -> Version:
    """The version of this training in MLflow, new or there already, with its verdict."""
    resources, definition = attach(), models.load(candidate.model)
    judged = registration.Judgement(snapshot, verdict, champion.version if champion else None, decision)
    with scratch(resources.settings) as folder:
        version = registration.register(
            resources.lake, resources.registry, definition, candidate, judged, resources.settings.git_sha, folder
        )
    get_run_logger().info("version %d of %s in MLflow: %s", version.number, version.model, verdict.decision)
    return version


@task(task_run_name="report the decision on version {version.number}", persist_result=False, **RETRIES)
def publish_decision(
    version: Version, snapshot: Snapshot, verdict: Verdict, champion: Entry | None, decision: str
) -> None:
    """Show the operator the decision: the card and the plot, with links to MLflow."""
    resources, definition = attach(), models.load(version.model)
    links = registration.links(resources.registry, version, resources.settings.mlflow_url)
    card = report.decision_card(definition, snapshot, verdict, champion.version if champion else None, links)
    key = f"decision-{version.model}"
    create_markdown_artifact(card, key=key, description=f"{verdict.decision}: version {version.number}")
    if png := judging.plot(resources.lake, version.model, decision):
        image = f"data:image/png;base64,{base64.b64encode(png).decode()}"
        create_image_artifact(image, key=f"errors-{version.model}", description=snapshot.span)


def conclude(version: Version, verdict: Verdict, champion: Entry | None, decision: str) -> State:
    """Promote, keep or refuse, as the gate decided. Raises ``HeadMoved`` where it must be decided again."""
    text = f"version {version.number}: {verdict.reason}"
    if verdict.decision == "refuse":
        return Failed(name="Refused", message=text)
    if verdict.decision == "keep":
        return Completed(name="Kept", message=text)
    promote(version, verdict.reason, champion, decision)
    return Completed(name="Promoted", message=text)


@task(task_run_name="promote version {version.number} of {version.model}", persist_result=False, **RETRIES)
def promote(version: Version, reason: str, champion: Entry | None, decision: str) -> Entry:
    """Write the promotion into the ledger, then let the alias follow."""
    resources = attach()
    resources.registry.version(version.model, version.number)  # it may have been deleted by hand meanwhile
    entry = ledger.promote(
        resources.lake,
        version.model,
        champion,
        version=version.number,
        fingerprint=version.fingerprint,
        decision=decision,
        reason=reason,
        operator=ledger.SCHEDULE,
    )
    registration.align(resources.lake, resources.registry, version.model)
    get_run_logger().info("version %d is the champion, by entry %d of the ledger", entry.version, entry.number)
    return entry
