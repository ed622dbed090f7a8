"""``ingest`` against a real S3 and a real Prefect server."""

import functools
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import polars as pl
import pytest

from flows.ingest import ingest
from flows.ml import landing
from tests.integration.home import DATASET, GIT_SHA, Home, artifacts, run, sample

MONTH = "2023-02"


@contextmanager
def web(folder: Path) -> Iterator[str]:
    """The address of a web server for a folder."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_month_lands_whole_with_a_record_of_how_it_came_about(home: Home, tmp_path: Path) -> None:
    published = home.publish(MONTH)

    state = run(ingest, dataset=DATASET, month=MONTH, source=home.source)

    found = landing.manifest(home.lake, DATASET, MONTH)
    kept = pl.read_parquet(landing.fetch(home.lake, found, tmp_path))
    assert (state.type.value, state.name) == ("COMPLETED", "Landed")
    assert f"{found.rows_kept:,} of {found.rows_in:,} rows kept" in str(state.message)
    assert found.source.sha256 == hashlib.sha256(published.read_bytes()).hexdigest()
    assert found.revision == GIT_SHA
    assert found.rows_in == sample(MONTH).height
    assert kept.height == found.rows_kept == found.rows_in - sum(found.broken.values())
    assert kept.columns == ["pickup_at", "dropoff_at", "pickup_zone", "dropoff_zone", "distance", "fare"]
    assert list((tmp_path / "scratch").iterdir()) == []


def test_broken_rows_are_set_aside_with_their_reasons_and_the_operator_sees_how_many(
    home: Home, tmp_path: Path
) -> None:
    row = pl.int_range(pl.len())
    too_far = pl.when(row.is_between(200, 206)).then(500.0).otherwise(pl.col("trip_distance"))
    zone = pl.when(row.is_between(210, 212)).then(300).otherwise(pl.col("PULocationID"))
    home.publish(MONTH, home.rows(MONTH).with_columns(trip_distance=too_far, PULocationID=zone))

    state = run(ingest, dataset=DATASET, month=MONTH, source=home.source)

    found = landing.manifest(home.lake, DATASET, MONTH)
    assert found.quarantine is not None
    home.lake.download(found.quarantine.name, tmp_path / "broken.parquet", sha256=found.quarantine.sha256)
    reasons = pl.read_parquet(tmp_path / "broken.parquet")["reason"].value_counts()
    assert dict(reasons.iter_rows()) == found.broken
    assert found.broken["distance above 100 miles"] >= 7
    assert found.broken["pickup zone outside 1 to 265"] == 3
    card = artifacts(state)[f"landing-{DATASET}-{MONTH}"]
    assert "| pickup zone outside 1 to 265 | 3 |" in str(card.data)


def test_the_same_bytes_again_write_nothing(home: Home) -> None:
    home.publish(MONTH)
    run(ingest, dataset=DATASET, month=MONTH, source=home.source)
    before = home.objects()

    state = run(ingest, dataset=DATASET, month=MONTH, source=home.source)

    assert (state.type.value, state.name) == ("COMPLETED", "Unchanged")
    assert len(before) == 4
    assert home.objects() == before


def test_a_month_changed_upstream_becomes_a_new_address_and_the_old_one_stays(home: Home) -> None:
    home.land(MONTH)
    old, before = landing.manifest(home.lake, DATASET, MONTH), home.objects()
    home.publish(MONTH, home.rows(MONTH).head(10_500))

    state = run(ingest, dataset=DATASET, month=MONTH, source=home.source)

    new, after = landing.manifest(home.lake, DATASET, MONTH), home.objects()
    current = f"raw/{DATASET}/{MONTH}/manifest.json"
    assert state.name == "Landed"
    assert new.address != old.address
    assert {key: tag for key, tag in before.items() if key != current}.items() <= after.items()
    assert f"raw/{DATASET}/{MONTH}/{new.address}/data.parquet" in after


def test_a_month_comes_from_the_web_from_a_bucket_or_from_a_path_alike(home: Home) -> None:
    path = home.publish(MONTH)
    boto3.client("s3").upload_file(str(path), "lake", f"{home.lake.prefix}/green-trips_{MONTH}.parquet")

    with web(home.folder) as url:
        over_web = run(ingest, dataset=DATASET, month=MONTH, source=f"{url}/green_tripdata_{{month}}.parquet")
    named = landing.manifest(home.lake, DATASET, MONTH).source.name
    bucket = f"s3://lake/{home.lake.prefix}/{{dataset}}_{{month}}.parquet"
    from_bucket = run(ingest, dataset=DATASET, month=MONTH, source=bucket)
    from_path = run(ingest, dataset=DATASET, month=MONTH, source=home.source)

    assert named == f"{url}/green_tripdata_{MONTH}.parquet"
    assert [over_web.name, from_bucket.name, from_path.name] == ["Landed", "Unchanged", "Unchanged"]


@pytest.mark.parametrize("kept", [True, False])
def test_a_promised_digest_is_held(home: Home, kept: bool) -> None:
    digest = hashlib.sha256(home.publish(MONTH).read_bytes()).hexdigest()
    promised = digest if kept else "0" * 64

    state = run(ingest, dataset=DATASET, month=MONTH, source=home.source, sha256=promised)

    assert state.name == ("Landed" if kept else "Failed")
    assert kept or f"sha256 is {digest}, promised was {promised}" in str(state.message)
    assert bool(home.objects()) == kept
