"""What crashes leave in the lake, found and taken away."""

import re
from datetime import timedelta
from typing import Any

import boto3
import pytest

from flows.ml import landing
from flows.ml.lake import Lake
from flows.ml.reconciling.finding import Limits
from flows.retrain import retrain
from flows.score import score
from tests.integration import scored
from tests.integration.home import DATASET, MODEL, Home, run
from tests.integration.reconciling import AT_ONCE, IN_A_YEAR, Plants, done, look
from tests.integration.servers import ROOT
from tests.unit.verdicts import snapshot

OTHER = "0" * 64

pytestmark = pytest.mark.usefixtures("calm")


def keys(home: Home, folder: str) -> list[str]:
    return list(home.lake.keys(f"{folder}/"))


def test_a_landed_month_is_no_finding(home: Home) -> None:
    home.land("2023-01")

    assert keys(home, "quarantine")
    assert done(look()) == []


def test_files_of_a_month_without_their_manifest_go(home: Home) -> None:
    home.land("2023-01")
    before = home.objects()
    home.lake.put_new(f"raw/{DATASET}/2023-02/{OTHER}/data.parquet", b"half")
    home.lake.put_new(f"quarantine/{DATASET}/2023-02/{OTHER}/rows.parquet", b"half")

    found = look()

    assert done(found) == [
        ("half-written object", f"raw/{DATASET}/2023-02/{OTHER[:12]}", "done: delete it"),
        ("half-written object", f"quarantine/{DATASET}/2023-02/{OTHER}/rows.parquet", "done: delete it"),
    ]
    assert home.objects() == before
    assert done(look()) == []


def test_a_month_whole_but_for_the_manifest_that_makes_it_goes_and_can_be_landed_again(home: Home) -> None:
    home.land("2023-01")
    home.lake.delete(f"raw/{DATASET}/2023-01/manifest.json")

    found = look()
    home.land("2023-01")

    assert [one[0] for one in done(found)][:1] == ["half-written object"]
    assert landing.months(home.lake, DATASET) == ["2023-01"]
    assert done(look()) == []


def test_a_candidate_a_plot_and_predictions_that_nothing_refers_to_go(home: Home) -> None:
    plants = Plants(home)
    plants.promote(plants.version("kept", tags={**snapshot("a", "b"), "decision": "kept"}), "kept", "first")
    home.registry.set_champion(MODEL, 1)
    for name in ("kept", "lost"):
        home.lake.put_new(f"candidates/{MODEL}/{name}/0-booster.ubj", b"x")
        home.lake.put_new(f"decisions/{MODEL}/{name}/errors.png", b"x")
        home.lake.put_new(f"predictions/{MODEL}/2023-01/a/{name}/0-data.parquet", b"x")
    home.lake.put_new(f"predictions/{MODEL}/2023-01/a/kept/manifest.json", b"{}")
    home.lake.put_new(f"decisions/{MODEL}/first/errors.png", b"x")

    found = look()

    assert sorted(one[1] for one in done(found)) == [
        f"candidates/{MODEL}/lost",
        f"decisions/{MODEL}/lost",
        f"predictions/{MODEL}/2023-01/a/lost",
    ]
    left = [*keys(home, "candidates"), *keys(home, "decisions"), *keys(home, "predictions")]
    assert not [key for key in left if "lost" in key]
    assert len(left) == 5
    assert done(look()) == []


def test_predictions_that_no_manifest_names_go_and_so_does_a_manifest_whose_file_is_gone(home: Home) -> None:
    home.land("2023-01", "2023-02", scored.MONTH)
    assert run(retrain, model=MODEL, until="2023-02").name == "Promoted"
    assert run(score, model=MODEL, month=scored.MONTH).name == "Scored"
    data = scored.found(home).data.name
    other = f"{data.rpartition('/')[0]}/0-data.parquet"
    home.lake.put_new(other, b"of a writer that was killed")

    strays = look()
    whole = scored.whole(home)
    home.lake.delete(data)
    lost = look()

    assert [one[:2] for one in done(strays)] == [("half-written object", other)]
    assert whole
    assert [one[:2] for one in done(lost)] == [("half-written object", data.rpartition("/")[0])]
    assert keys(home, "predictions") == []
    assert run(score, model=MODEL, month=scored.MONTH).name == "Scored"
    assert done(look()) == []


def test_what_is_young_or_elsewhere_is_let_be(home: Home) -> None:
    home.lake.put_new(f"candidates/{MODEL}/lost/0-booster.ubj", b"x")
    home.lake.put_new("notes/of-a-person.txt", b"x")

    assert done(look(Limits())) == []
    look()

    assert keys(home, "notes") == ["notes/of-a-person.txt"]


def test_a_dry_run_changes_nothing(home: Home) -> None:
    home.lake.put_new(f"candidates/{MODEL}/lost/0-booster.ubj", b"x")
    before = home.objects()

    found = look(dry_run=True)

    assert [one[2] for one in done(found)] == ["would delete it"]
    assert home.objects() == before


def test_an_open_upload_is_dropped_and_one_of_others_is_not(home: Home) -> None:
    client: Any = boto3.client("s3")

    def begin(key: str) -> None:
        begun = client.create_multipart_upload(Bucket=home.lake.bucket, Key=key)
        part = {"Bucket": home.lake.bucket, "Key": key, "UploadId": begun["UploadId"]}
        client.upload_part(**part, PartNumber=1, Body=b"x")

    begin(f"{home.lake.prefix}/raw/{DATASET}/2023-01/{OTHER}/data.parquet")
    begin(f"{home.lake.prefix}/mlflow/artifact")
    begin("tests/of-others/raw/data.parquet")

    found = look()

    assert done(found) == [
        ("open upload in parts", f"raw/{DATASET}/2023-01/{OTHER}/data.parquet", "done: let S3 drop its parts")
    ]
    assert [upload.key for upload in home.lake.uploads()] == ["mlflow/artifact"]
    assert done(look()) == []


def test_uploads_are_listed_and_dropped_on_every_s3_server(lake: Lake) -> None:
    begun = lake.client.create_multipart_upload(Bucket=lake.bucket, Key=f"{lake.prefix}/raw/a")
    (found,) = lake.uploads()

    lake.abort(found)
    lake.abort(found)

    assert (found.key, found.upload_id) == ("raw/a", begun["UploadId"])
    assert lake.uploads() == []


@pytest.mark.parametrize("trained_on", [True, False])
def test_a_corrected_month_keeps_its_former_address_while_a_version_was_trained_on_it(
    home: Home, trained_on: bool
) -> None:
    home.land("2023-01")
    former = landing.manifest(home.lake, DATASET, "2023-01").address
    home.land("2023-01", rows=lambda rows: rows.head(10_000))
    current = landing.manifest(home.lake, DATASET, "2023-01").address
    plants = Plants(home)
    plants.version("a", tags=snapshot(former if trained_on else OTHER, current))

    soon = look()
    found = look(now=IN_A_YEAR)

    assert done(soon) == []
    assert [one[1] for one in done(found)][:1] == ([] if trained_on else [f"raw/{DATASET}/2023-01/{former[:12]}"])
    left = {key.split("/")[3] for key in keys(home, f"raw/{DATASET}/2023-01")}
    assert left == {current, "manifest.json", *([former] if trained_on else [])}
    assert len(keys(home, "quarantine")) == 1 + trained_on
    assert done(look(now=IN_A_YEAR)) == []


def test_what_a_model_has_that_the_deployed_code_does_not_know_stays(home: Home) -> None:
    home.land("2023-01")
    former = landing.manifest(home.lake, DATASET, "2023-01").address
    home.land("2023-01", rows=lambda rows: rows.head(10_000))
    plants = Plants(home)
    plants.version("kept", tags=snapshot(former, OTHER))
    plants.version("", tags={"snapshot": "of another project"})
    for name in ("kept", "lost"):
        home.lake.put_new(f"candidates/{MODEL}/{name}/0-booster.ubj", b"x")
        home.lake.put_new(f"decisions/{MODEL}/{name}/errors.png", b"x")
        home.lake.put_new(f"predictions/{MODEL}/2023-01/a/{name}/0-data.parquet", b"x")
    before = home.objects()

    found = look(now=IN_A_YEAR, models={})

    assert done(found) == []
    assert not found.failed
    assert home.objects() == before


def test_a_reconcile_killed_in_the_middle_leaves_what_the_next_one_completes(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.land("2023-01")
    former = landing.manifest(home.lake, DATASET, "2023-01").address
    home.land("2023-01", rows=lambda rows: rows.head(10_000))
    deleted: list[str] = []

    def die(lake: Lake, key: str) -> None:
        if deleted:
            raise KeyboardInterrupt
        deleted.append(key)
        lake.client.delete_object(Bucket=lake.bucket, Key=f"{lake.prefix}/{key}")

    with monkeypatch.context() as broken:
        broken.setattr(Lake, "delete", die)
        with pytest.raises(KeyboardInterrupt):
            look(now=IN_A_YEAR)

    assert deleted == [f"raw/{DATASET}/2023-01/{former}/manifest.json"]
    assert {one[0] for one in done(look(now=IN_A_YEAR))} == {"half-written object"}
    assert done(look(now=IN_A_YEAR)) == []
    assert not [key for key in keys(home, "raw") if former in key]


def test_limits_are_longer_than_the_longest_run() -> None:
    deadlines = [int(each) for each in re.findall(r"deadline_seconds: (\d+)", (ROOT / "prefect.yaml").read_text())]

    assert len(deadlines) > 5
    assert Limits().stale > timedelta(seconds=max(deadlines))
    assert AT_ONCE.stale < Limits().settle
