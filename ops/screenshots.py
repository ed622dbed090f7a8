"""Takes the pictures of the docs anew, of the Prefect UI of the kind cluster: ``make screenshots`` after a demo.

With ``PLACE=scenario`` those of a bad month, of the platform that ``make scenario`` leaves.
"""

import base64
import io
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from PIL import Image
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import Artifact, FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import ArtifactSort, FlowRunSort
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from flows.ml.errors import TrainyardError
from ops.chromium import Page, browser
from ops.command import sentence
from ops.environment import here
from ops.kind import access, cluster

FOLDER = Path("docs/images")
WIDTH = 1280
PATIENCE = 60.0
"""Seconds a page may take to show what it should."""
RUN_PATIENCE = 180.0
"""Seconds a run may take to fail."""
LIMIT = 150_000
"""Bytes of the largest picture that is kept."""
COLOURS = (256, 128, 64, 32)


class ScreenshotError(TrainyardError):
    """A picture cannot be taken: why, and what to do."""


@dataclass(frozen=True)
class Shot:
    """A picture: the page of the UI, what has to be seen on it, and its height in pixels."""

    name: str
    path: str
    texts: tuple[str, ...]
    height: int = 800


def main() -> int:
    """Take every picture; an error is a sentence on standard error and exit status 1."""
    try:
        take_scenario() if here().name else take_cluster()
    except (TrainyardError, PrefectException, httpx.HTTPError) as error:
        sys.stderr.write(f"trainyard: {sentence(error)}\n")
        return 1
    return 0


def take_cluster() -> None:
    """The pictures of the cluster on which the demo ran. Raises ``ScreenshotError`` or ``BrowserError``."""
    place = cluster.of(here().root)
    cluster.require(place)
    found = access.find(place)
    auth = found.keys["PREFECT_API_AUTH_STRING"]
    with browser() as page:
        with connected(found.prefect, auth) as client:
            wanted = shots(client, found.bucket)
        log_in(page, found.prefect, auth)
        take(page, found.prefect, wanted)


def take_scenario() -> None:
    """The pictures of a local platform on which the scenario ran. Raises ``ScreenshotError`` or ``BrowserError``."""
    ports = here().ports()
    if ports is None:
        raise ScreenshotError("this platform has never been started: make scenario, then this again.")
    address = f"http://127.0.0.1:{ports.prefect}"
    with browser() as page:
        with connected(address) as client:
            wanted = scenario_shots(client)
        take(page, address, wanted)


@contextmanager
def connected(address: str, auth: str | None = None) -> Iterator[SyncPrefectClient]:
    """A client of the Prefect server there."""
    wanted = {PREFECT_API_URL: f"{address}/api", PREFECT_API_AUTH_STRING: auth}
    with temporary_settings(wanted), get_client(sync_client=True) as client:
        yield client


def take(page: Page, address: str, wanted: tuple[Shot, ...]) -> None:
    """Take pictures of the UI there, each named with its size. Raises ``ScreenshotError`` or ``BrowserError``."""
    folder = here().root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for shot in wanted:
        page.size(WIDTH, shot.height)
        page.open(f"{address}/v2{shot.path}", shot.texts, PATIENCE)
        picture = small(page.picture(PATIENCE))
        (folder / f"{shot.name}.png").write_bytes(picture)
        print(f"{FOLDER / shot.name}.png  {len(picture) / 1000:.0f} kB", flush=True)


def log_in(page: Page, address: str, auth: str) -> None:
    """Keep user and password in the browser as the UI's own form does."""
    page.open(address, ("Login",), PATIENCE)
    page.evaluate(f"localStorage.setItem('prefect-password', '{base64.b64encode(auth.encode()).decode()}')")


def shots(client: SyncPrefectClient, bucket: str) -> tuple[Shot, ...]:
    """The pictures of the docs. Raises ``ScreenshotError`` where there is nothing to be seen on one of them."""
    names = ("retrain/trip-duration", "monthly/trip-duration", "ingest/green-trips", "promote/trip-duration")
    retrain, monthly, ingest, promote = (deployed(client, name, "kind-demo") for name in names)
    promoted = latest(client, monthly, "Promoted")
    if promoted is None:
        raise ScreenshotError("no month was run on this cluster: make kind-demo, then this again.")
    decision = artifact(client, "decision-trip-duration")
    failed = latest(client, ingest, "Failed") or fail(client, ingest, bucket)
    return (
        Shot("dashboard", "/dashboard", ("Task Runs", "Active Work Pools", "kubernetes")),
        Shot("runs", "/runs", (promoted.name, failed.name), 1000),
        # What runs it began is on a canvas, where no text is found.
        Shot("monthly-run", f"/runs/flow-run/{promoted.id}", ("Promoted", "Task runs", "Creating Kubernetes job"), 900),
        Shot("decision", f"/artifacts/artifact/{decision.id}", ("Promote", "champion"), 1100),
        Shot("deployments", "/deployments?limit=25", ("backfill-scores", "monitor", "reconcile"), 1350),
        Shot("retrain-form", f"/deployments/deployment/{retrain.id}/run", ("until", "Submit"), 1000),
        Shot("promote-form", f"/deployments/deployment/{promote.id}/run", ("operator", "reason", "Submit"), 1000),
        Shot("automations", "/automations", ("A run that fell silent is Crashed",), 1400),
        Shot("failed-run", f"/runs/flow-run/{failed.id}?tab=Details", ("State Message", said(failed)[:40]), 1150),
        Shot("job-variables", f"/deployments/deployment/{retrain.id}?tab=Configuration", ("commit", "image"), 480),
    )


def scenario_shots(client: SyncPrefectClient) -> tuple[Shot, ...]:
    """The pictures of a bad month. Raises ``ScreenshotError`` where the scenario did not run."""
    monthly = deployed(client, "monthly/trip-duration-local", "scenario")
    kept = latest(client, monthly, "Kept")
    if kept is None:
        raise ScreenshotError("no bad month was run here: make scenario, then this again.")
    alarm, serving = artifact(client, "monitor-trip-duration"), artifact(client, "in-service-trip-duration")
    return (
        Shot("bad-month-runs", "/runs", (kept.name, "Alarm", "Barred"), 1780),
        Shot("bad-month-night", f"/runs/flow-run/{kept.id}?tab=Details", ("State Message", "Monitored: Alarm"), 1010),
        Shot("bad-month-alarm", f"/artifacts/artifact/{alarm.id}", ("Alarm", "distance"), 1000),
        Shot("bad-month-rollback", f"/artifacts/artifact/{serving.id}", ("version", "Ada"), 720),
    )


def deployed(client: SyncPrefectClient, name: str, verb: str) -> DeploymentResponse:
    """A deployment that a verb of the Makefile leaves. Raises ``ScreenshotError`` where it was not run."""
    try:
        return client.read_deployment_by_name(name)
    except ObjectNotFound as error:
        raise ScreenshotError(f"nothing is deployed here as {name}: make {verb}, then this again.") from error


def latest(client: SyncPrefectClient, deployment: DeploymentResponse, state: str) -> FlowRun | None:
    """The newest run of a deployment that is in a state of that name."""
    runs = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC)
    return next((run for run in runs if run.deployment_id == deployment.id and run.state_name == state), None)


def fail(client: SyncPrefectClient, ingest: DeploymentResponse, bucket: str) -> FlowRun:
    """A run that ends Failed: it is to land a file that is not there. Raises ``ScreenshotError`` where none does."""
    asked = {"month": "2023-04", "source": f"s3://{bucket}/examples/tlc/green_tripdata_2023-04.parquet"}
    run = client.create_flow_run_from_deployment(ingest.id, parameters=asked)
    deadline = time.monotonic() + RUN_PATIENCE
    while not (run.state and run.state.is_final()):
        if time.monotonic() > deadline:
            raise ScreenshotError(f"the run {run.name} did not end within {RUN_PATIENCE:.0f} s: see make kind-status.")
        time.sleep(1)
        run = client.read_flow_run(run.id)
    return run


def said(run: FlowRun) -> str:
    """The sentence a run ended with."""
    return (run.state.message or "") if run.state else ""


def artifact(client: SyncPrefectClient, key: str) -> Artifact:
    """The newest artifact of a key. Raises ``ScreenshotError`` where there is none."""
    for found in client.read_artifacts(sort=ArtifactSort.CREATED_DESC, limit=200):
        if found.key == key:
            return found
    raise ScreenshotError(f"there is no artifact {key}: run what the pictures are of, then this again.")


def small(png: bytes) -> bytes:
    """The picture in as many colours as fit the limit. Raises ``ScreenshotError`` where it stays too large."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in COLOURS:
        out = io.BytesIO()
        picture.quantize(colours, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
        if out.tell() <= LIMIT:
            return out.getvalue()
    raise ScreenshotError(f"a picture of {out.tell()} bytes does not go below {LIMIT}: let it be less high.")


if __name__ == "__main__":
    sys.exit(main())
