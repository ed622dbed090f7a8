"""Takes the pictures of the docs anew, of the Prefect UI of the kind cluster: ``make screenshots`` after a demo."""

import base64
import io
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
from PIL import Image
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import Artifact, FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import ArtifactSort, FlowRunSort
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from flows.ml.errors import TrainyardError
from ops.chromium import Page, browser
from ops.environment import here
from ops.kind import access, cluster
from ops.kind.access import Access

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
        place = cluster.of(here().root)
        cluster.require(place)
        take(access.find(place), here().root / FOLDER, lambda line: print(line, flush=True))
    except (TrainyardError, PrefectException, httpx.HTTPError) as error:
        sys.stderr.write(f"trainyard: {error}\n")
        return 1
    return 0


def take(found: Access, folder: Path, say: Callable[[str], None]) -> None:
    """Take the pictures of a platform on which the demo ran. Raises ``ScreenshotError`` or ``BrowserError``."""
    auth = found.keys["PREFECT_API_AUTH_STRING"]
    with browser() as page:
        with (
            temporary_settings({PREFECT_API_URL: f"{found.prefect}/api", PREFECT_API_AUTH_STRING: auth}),
            get_client(sync_client=True) as client,
        ):
            wanted = shots(client, found.bucket)
        log_in(page, found.prefect, auth)
        folder.mkdir(parents=True, exist_ok=True)
        for shot in wanted:
            page.size(WIDTH, shot.height)
            page.open(f"{found.prefect}/v2{shot.path}", shot.texts, PATIENCE)
            picture = small(page.picture(PATIENCE))
            (folder / f"{shot.name}.png").write_bytes(picture)
            say(f"{FOLDER / shot.name}.png  {len(picture) / 1000:.0f} kB")


def log_in(page: Page, address: str, auth: str) -> None:
    """Keep user and password in the browser as the UI's own form does."""
    page.open(address, ("Login",), PATIENCE)
    page.evaluate(f"localStorage.setItem('prefect-password', '{base64.b64encode(auth.encode()).decode()}')")


def shots(client: SyncPrefectClient, bucket: str) -> tuple[Shot, ...]:
    """The pictures of the docs. Raises ``ScreenshotError`` where there is nothing to be seen on one of them."""
    names = ("retrain/trip-duration", "monthly/trip-duration", "ingest/green-trips")
    retrain, monthly, ingest = (client.read_deployment_by_name(name) for name in names)
    promoted = latest(client, monthly, "Promoted")
    if promoted is None:
        raise ScreenshotError("no month was run on this cluster: make kind-demo, then this again.")
    failed = latest(client, ingest, "Failed") or fail(client, ingest, bucket)
    return (
        Shot("dashboard", "/dashboard", ("Task Runs", "Active Work Pools", "kubernetes")),
        Shot("runs", "/runs", (promoted.name, failed.name), 1000),
        Shot("monthly-run", f"/runs/flow-run/{promoted.id}", ("Promoted", "Logs")),
        Shot("decision", f"/artifacts/artifact/{decision(client).id}", ("Promote", "champion"), 1100),
        Shot("deployments", "/deployments", ("green-trips", "monthly", "retrain", "Ready")),
        Shot("retrain-form", f"/deployments/deployment/{retrain.id}/run", ("until", "Submit"), 1000),
        Shot("failed-run", f"/runs/flow-run/{failed.id}?tab=Details", ("State Message", said(failed)[:40]), 1150),
        Shot("job-variables", f"/deployments/deployment/{retrain.id}?tab=Configuration", ("commit", "image"), 480),
    )


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


def decision(client: SyncPrefectClient) -> Artifact:
    """The newest card of a decision. Raises ``ScreenshotError`` where there is none."""
    for artifact in client.read_artifacts(sort=ArtifactSort.CREATED_DESC, limit=200):
        if artifact.key == "decision-trip-duration":
            return artifact
    raise ScreenshotError("there is no artifact decision-trip-duration: make kind-demo, then this again.")


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
