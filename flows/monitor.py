"""The flow ``monitor``: realised error and drift under the champion in service, and what follows from an alarm."""

import base64
import uuid

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_image_artifact, create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.events.schemas.events import Event, RelatedResource, Resource
from prefect.runtime import deployment, flow_run
from prefect.states import Completed, Failed

from flows import models
from flows.ml import answers, monitored, monitoring_report, registration
from flows.ml.answers import Answer
from flows.ml.monitored import Case, NotMonitored
from flows.ml.monitoring import Findings
from flows.ml.registration import LedgerMissing
from flows.ml.registry import Report
from flows.ml.registry_errors import VersionMissing
from flows.ml.snapshot import WindowError
from flows.models import ModelName
from flows.resources import RETRIES, MonthOrEmpty, attach, open_resources, scratch
from flows.retrain import retrain
from flows.score import score

ALARM = "trainyard.monitor.alarm"
VERDICTS = ("Promoted", "Kept", "Unchanged", "Refused", "Barred")
"""How a retrain ends that came to a verdict, or had come to one that an operator took back."""
REFUSALS = (LedgerMissing, NotMonitored, VersionMissing)
"""What an operator has to put right before a month can be monitored."""
_NAMESPACE = uuid.UUID("6a1f3c0e-52d5-5b6e-8a57-8c1b0b7d4e26")


def run_name() -> str:
    """What a run is called in the UI."""
    given = flow_run.parameters
    return f"monitor {given['model']} on {given['month'] or 'the newest month'}"


@flow(
    name="monitor",
    description="Hold a month against the limits of the model in service: error, drift, what is missing.",
    flow_run_name=run_name,
    timeout_seconds=9 * 3600,
    persist_result=False,
)
def monitor(model: ModelName, month: MonthOrEmpty = "", and_retrain: bool = True) -> State:
    """Look at the realised error and at the inputs of a month under the champion in service.

    Ends Completed as ``Within limits`` or as ``Alarm``, which says what is past its limit and how far; Failed as
    ``Refused`` for a month that the champion was trained on, without the month, and without a champion or where MLflow
    or the ledger has lost it. A month that was not scored is scored first. Run again it makes no second report, event
    or retrain.

    Args:
        model: Which model.
        month: The month to look at, as YYYY-MM. Empty: the newest in the lake.
        and_retrain: Whether an alarm retrains the model on its second window, once per month and cause.
    """
    open_resources()
    try:
        case = look_up(model, month)
    except REFUSALS as refusal:
        return Failed(name="Refused", message=str(refusal))
    if not is_scored(case):
        scored = score(model, case.month.month, return_state=True)
        if not scored.is_completed():
            return Failed(name=scored.name, message=f"{case.month.month} was not scored: {scored.message}")
    found = examine(case)
    address = publish_findings(case, found)
    text = f"version {case.version} on {case.month.month}: {found.sentence}"
    if not found.alarms:
        return Completed(name="Within limits", message=text)
    announce(case, found, address)
    return answer(case, found, text) if and_retrain else Completed(name="Alarm", message=text)


@task(task_run_name="look up the champion of {model}", persist_result=False, **RETRIES)
def look_up(model: ModelName, month: str) -> Case:
    """The champion and the month. Raises what ``REFUSALS`` has."""
    resources = attach()
    registration.align(resources.lake, resources.registry, model)
    return monitored.look_up(resources.lake, resources.registry, models.load(model), month)


@task(task_run_name="look for predictions by version {case.version}", persist_result=False, **RETRIES)
def is_scored(case: Case) -> bool:
    """Whether the champion's predictions of the month are in the lake."""
    return monitored.scored(attach().lake, case) is not None


@task(task_run_name="examine {case.month.month} under version {case.version}", persist_result=False, **RETRIES)
def examine(case: Case) -> Findings:
    """Fetch the month, its predictions and the months trained on to scratch, and measure. Data stays in this task."""
    resources = attach()
    with scratch(resources.settings) as folder:
        found = monitored.examine(resources.lake, models.load(case.model), case, folder)
    get_run_logger().info("%s", found.sentence)
    return found


@task(task_run_name="report on {case.month.month}", persist_result=False, **RETRIES)
def publish_findings(case: Case, found: Findings) -> str:
    """The card and the plot into a run of MLflow and before the operator; gives the run's address for people."""
    resources, definition = attach(), models.load(case.model)
    version, ui = resources.registry.version(case.model, case.version), resources.settings.mlflow_url
    about = (definition, case.month.month, case.version, case.judged, found)
    png = monitoring_report.plot(f"{case.model}: version {case.version} on {case.month.month}", found)
    with scratch(resources.settings) as folder:
        files = (folder / "monitoring.md", folder / "monitoring.png")
        files[0].write_text(monitoring_report.card(*about, {}), "utf-8")
        files[1].write_bytes(png)
        run_id = resources.registry.keep(
            Report(
                version=version,
                key=f"monitor {case.model} {case.version} {case.month.month} {case.month.address}",
                title=f"{case.model} version {case.version} on {case.month.month}",
                description=found.sentence,
                tags=_tags(case, found),
                metrics=monitoring_report.metrics(found),
                files=files,
            )
        )
    address = resources.registry.run_url(run_id, ui)
    links = {"this report in MLflow": address, **registration.links(resources.registry, version, ui)}
    headline = f"{monitoring_report.HEADLINES[bool(found.alarms)]}: version {case.version} on {case.month.month}"
    create_markdown_artifact(monitoring_report.card(*about, links), key=f"monitor-{case.model}", description=headline)
    image = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    create_image_artifact(image, key=f"monitored-{case.model}", description=case.month.month)
    return address


def _tags(case: Case, found: Findings) -> dict[str, str]:
    return {
        "monitored": case.month.month,
        "address": case.month.address,
        "version": str(case.version),
        "outcome": monitoring_report.HEADLINES[bool(found.alarms)],
        "causes": ", ".join(found.causes),
        "reason": found.sentence,
    }


@task(task_run_name="announce the alarm of {case.month.month}", persist_result=False, **RETRIES)
def announce(case: Case, found: Findings, address: str) -> None:
    """Tell Prefect of the alarm: automations wait for it. It is told once, for as long as it keeps its events.

    Told of an id again it writes no second event, but lets automations act once more where it saw the first some
    minutes ago: so it is asked before.
    """
    facts = f"{case.model} {case.version} {case.month.month} {case.month.address} {' '.join(found.causes)}"
    run = {"prefect.resource.id": f"prefect.flow-run.{flow_run.id}", "prefect.resource.role": "flow-run"}
    of = {"prefect.resource.id": f"prefect.deployment.{deployment.id}", "prefect.resource.role": "deployment"}
    event = Event(
        id=uuid.uuid5(_NAMESPACE, facts),
        event=ALARM,
        resource=Resource(
            {"prefect.resource.id": f"trainyard.model.{case.model}", "prefect.resource.name": case.model}
        ),
        related=[RelatedResource(each) for each in ([run, of] if deployment.id else [run])],
        payload={
            "model": case.model,
            "version": case.version,
            "month": case.month.month,
            "address": case.month.address,
            "causes": list(found.causes),
            "alarms": [alarm.text for alarm in found.alarms],
            "figures": monitoring_report.metrics(found),
            "report": address,
        },
    )
    known = {"filter": {"id": {"id": [str(event.id)]}}}
    with get_client(sync_client=True) as client:
        if not client.request("POST", "/events/filter", json=known).json()["events"]:
            client.request("POST", "/events", json=[event.model_dump(mode="json")])


def answer(case: Case, found: Findings, text: str) -> State:
    """Retrain on the second window, where no run did so before for this month and cause."""
    try:
        decided = decide(case, found.causes)
    except WindowError as error:
        return Completed(name="Alarm", message=f"{text}. Not retrained: {error}")
    told = [f"Retrained before: {outcome}" for outcome in dict.fromkeys(one.outcome for one in decided) if outcome]
    open_ones = [one for one in decided if not one.outcome]
    for until, window in dict.fromkeys((one.until, one.window) for one in open_ones):
        ended = retrain(case.model, until=until, window=window, return_state=True)
        outcome = f"{ended.name}: {ended.message}"
        if ended.name not in VERDICTS:
            return Failed(message=f"{text}. The retrain that answers this did not end well; run this again. {outcome}")
        write_down([one for one in open_ones if (one.until, one.window) == (until, window)], outcome)
        told.append(f"Retrained until {until}, on {window} months before it: {outcome}")
    return Completed(name="Alarm", message=f"{text}. {' '.join(told)}")


@task(task_run_name="decide on a retrain for {case.month.month}", persist_result=False, **RETRIES)
def decide(case: Case, causes: tuple[str, ...]) -> list[Answer]:
    """The retrains that answer the alarm, decided now or by an earlier run. Raises ``WindowError``."""
    return answers.decide(attach().lake, models.load(case.model), case.month.month, case.version, causes)


@task(task_run_name="write down how the retrain ended", persist_result=False, **RETRIES)
def write_down(answered: list[Answer], outcome: str) -> None:
    """From now on the alarm's causes are answered for this month."""
    for each in answered:
        answers.end(attach().lake, each, outcome)
