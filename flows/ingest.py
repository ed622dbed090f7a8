"""The flow ``ingest``: one month of a dataset from where it is published into the lake."""

from datetime import UTC, datetime
from typing import Annotated

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from flows import datasets
from flows.datasets import DatasetName
from flows.ml import landing, report, source
from flows.resources import RETRIES, Month, attach, open_resources, progress, scratch

Source = Annotated[str, Field(pattern=r"^[^?@]*$", examples=["", "examples/tlc/green_tripdata_{month}.parquet"])]
Digest = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]


@flow(
    name="ingest",
    description="Land one month of a dataset in the lake: fetch it, hold it to the contract, keep the valid rows.",
    flow_run_name="ingest {dataset} {month}",
    timeout_seconds=3600,
    persist_result=False,
)
def ingest(dataset: DatasetName, month: Month, source: Source = "", sha256: Digest = "") -> State:
    """Land one month of a dataset in the lake.

    Ends Completed as ``Landed``, or as ``Unchanged`` where the lake holds these very bytes. Fails with a sentence, and
    leaves no object, where the month is not published, its file is damaged, or it breaks the contract too far.

    Args:
        dataset: Which dataset.
        month: Which month, as YYYY-MM.
        source: Where the month's file is: a URL, an s3:// key or a path, with {dataset} and {month} to fill in. Empty:
            where the dataset is published. No password and no signed query (@, ?): parameters are shown to everyone.
        sha256: The digest the file must have, in hex. Empty: any.
    """
    open_resources(registry=False)
    landed = land(dataset, month, source, sha256)
    publish_landing(landed)
    found = landed.manifest
    text = f"{month}: {found.rows_kept:,} of {found.rows_in:,} rows kept, at {found.address[:12]}"
    return Completed(name="Landed" if landed.new else "Unchanged", message=text)


@task(task_run_name="see whether {month} of {dataset} is published", persist_result=False, **RETRIES)
def unpublished(dataset: DatasetName, month: str, source_template: str) -> str:
    """Where the month's file should be, while it is not; empty once it is."""
    definition = datasets.load(dataset)
    address = source.resolve(source_template or definition.url, definition.name, month)
    return "" if source.published(address, month, buckets=attach().bucket) else source.shown(address)


@task(task_run_name="fetch, check and land {dataset} {month}", persist_result=False, **RETRIES)
def land(dataset: DatasetName, month: str, source_template: str, sha256: str) -> landing.Landed:
    """Fetch the month's file to scratch, check it, write it to the lake. Data stays in this task."""
    resources = attach()
    definition = datasets.load(dataset)
    address = source.resolve(source_template or definition.url, definition.name, month)
    with scratch(resources.settings) as folder:
        tell = progress(f"fetch {source.shown(address)}")
        fetched = source.fetch(address, month, folder, sha256=sha256 or None, buckets=resources.bucket, progress=tell)
        get_run_logger().info("fetched %s bytes, sha256 %s", f"{fetched.size:,}", fetched.sha256)
        return landing.land(
            resources.lake,
            definition,
            month,
            fetched,
            folder,
            revision=resources.settings.git_sha,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )


@task(task_run_name="report the landing", persist_result=False)
def publish_landing(landed: landing.Landed) -> None:
    """Show the operator what was kept of the month and what was not."""
    found = landed.manifest
    create_markdown_artifact(
        report.landing_card(found),
        key=f"landing-{found.dataset.replace('_', '-')}-{found.month}",
        description=f"What was kept of {found.dataset} {found.month}",
    )
