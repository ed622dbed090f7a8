"""A month scored batch by batch: the same rows in the same order, whatever the batches."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from strategies import small_model, trips

from flows.ml import predictions, scoring
from flows.ml.definition import Model
from flows.ml.features import Floats
from flows.ml.manifest import File, Manifest
from flows.ml.registry import Version
from flows.ml.scoring import MonthUnfit

MODEL = small_model()


class Pace:
    """A champion that knows the minutes of a mile; it remembers how many rows it was asked for at a time."""

    version = Version("trip-duration", 2, "r2", "f2", {})

    def __init__(self) -> None:
        self.asked: list[int] = []

    def predict(self, rows: pl.DataFrame, model: Model) -> Floats:
        self.asked.append(rows.height)
        return rows["distance"].to_numpy() * 6


def score(rows: pl.DataFrame, folder: Path, champion: object = None) -> tuple[scoring.Scored, pl.DataFrame]:
    """What is told of the rows, and what is written."""
    rows.write_parquet(folder / "rows.parquet")
    found = scoring.score(champion or Pace(), MODEL, folder / "rows.parquet", folder, lambda done, of: None)  # type: ignore[arg-type]
    return found, pl.read_parquet(found.file.path)


def month(**changed: object) -> Manifest:
    columns = dict.fromkeys(("pickup_at", "dropoff_at", "pickup_zone", "dropoff_zone", "distance"), "Int16")
    data = File("raw/green-trips/2023-03/a/data.parquet", 10, "a")
    found = Manifest(
        "green-trips", "2023-03", File("s", 1, "b"), data, None, 2, 2, {}, columns, (), "c", "c0ffee", "2023-04-01"
    )
    return replace(found, **changed)  # type: ignore[arg-type]


def test_rows_keep_their_order_over_all_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, champion = trips(1, 1_000), Pace()
    monkeypatch.setattr(scoring, "BATCH", 300)

    found, written = score(rows, tmp_path, champion)

    assert champion.asked == [300, 300, 300, 100]
    assert written.schema == predictions.SCHEMA
    assert np.array_equal(written["prediction"].to_numpy(), rows["distance"].to_numpy() * 6)
    assert (found.rows, found.reasons) == (1_000, {})


@pytest.mark.parametrize("batch", [1, 7, 299, 300, 5_000])
def test_the_bytes_do_not_depend_on_the_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    rows = holed(trips(2, 300))
    (tmp_path / "batched").mkdir()
    whole, _ = score(rows, tmp_path)
    monkeypatch.setattr(scoring, "BATCH", batch)

    batched, _ = score(rows, tmp_path / "batched")

    assert batched.file.sha256 == whole.file.sha256
    assert (batched.reasons, batched.in_scope) == (whole.reasons, whole.in_scope)
    assert batched.mean_predicted == pytest.approx(whole.mean_predicted)


def test_a_row_outside_the_training_scope_is_scored_and_kept_out_of_the_means(tmp_path: Path) -> None:
    rows = trips(3, 100)
    long = rows.with_columns(pl.col("pickup_at") - pl.duration(hours=5)).head(10)

    found, written = score(pl.concat([long, rows]), tmp_path)

    actual = (rows["dropoff_at"] - rows["pickup_at"]).dt.total_seconds().mean() / 60  # type: ignore[operator]
    assert written["prediction"].null_count() == 0
    assert (found.rows, found.in_scope) == (110, 100)
    assert found.mean_actual == pytest.approx(actual)
    assert found.mean_predicted == pytest.approx(float(rows["distance"].mean()) * 6)  # type: ignore[arg-type]


def test_a_row_that_cannot_be_scored_is_empty_with_the_reason_and_the_champion_is_not_asked(tmp_path: Path) -> None:
    champion = Pace()

    found, written = score(holed(trips(4, 10)), tmp_path, champion)

    assert champion.asked == [5]
    assert written["reason"].to_list() == ["no pickup_at", "no pickup_zone", *["no distance"] * 3, *[None] * 5]
    assert written["prediction"].is_null().to_list() == [True] * 5 + [False] * 5
    assert found.reasons == {"no distance": 3, "no pickup_at": 1, "no pickup_zone": 1}
    assert next(iter(found.reasons)) == "no distance"


def test_a_month_of_which_no_row_can_be_scored_has_all_its_rows_and_no_means(tmp_path: Path) -> None:
    found, written = score(trips(5, 10).with_columns(distance=pl.lit(None, pl.Float64)), tmp_path)

    assert written.equals(
        pl.DataFrame({"prediction": [None] * 10, "reason": ["no distance"] * 10}, schema=predictions.SCHEMA)
    )
    assert (found.in_scope, found.mean_predicted, found.mean_actual) == (0, None, None)


def test_a_month_without_rows_is_scored_to_none(tmp_path: Path) -> None:
    found, written = score(trips(6, 1).clear(), tmp_path)

    assert (found.rows, found.reasons, found.mean_actual) == (0, {}, None)
    assert written.schema == predictions.SCHEMA


def test_how_far_it_is_ends_with_all_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "BATCH", 40)
    trips(7, 100).write_parquet(tmp_path / "rows.parquet")
    told: list[tuple[float, float]] = []

    scoring.score(Pace(), MODEL, tmp_path / "rows.parquet", tmp_path, lambda *far: told.append(far))  # type: ignore[arg-type]

    assert told == [(40, 100), (80, 100), (100, 100)]


def test_the_manifest_says_who_predicted_what(tmp_path: Path) -> None:
    found, _ = score(holed(trips(8, 10)), tmp_path)

    made = scoring.describe(Pace(), MODEL, month(), found, revision="c0ffee", created_at="2023-04-01T00:00:00+00:00")  # type: ignore[arg-type]

    assert made.data.name == f"predictions/trip-duration/2023-03/a/v2/{found.file.sha256}-data.parquet"
    assert (made.version, made.fingerprint, made.run_id) == (2, "f2", "r2")
    assert (made.dataset, made.month, made.address, made.source) == ("green-trips", "2023-03", "a", month().data)
    assert (made.rows, made.scored, sum(made.reasons.values())) == (10, 5, 5)


def test_a_month_of_the_models_dataset_fits() -> None:
    scoring.require_fit(MODEL, "2023-03", month())


def test_a_month_of_another_dataset_is_refused_with_both_names() -> None:
    with pytest.raises(MonthUnfit, match=r"that of yellow-trips 2023-03, and trip-duration is for green-trips\. Put"):
        scoring.require_fit(MODEL, "2023-03", month(dataset="yellow-trips"))


def test_another_month_in_the_months_place_is_refused() -> None:
    with pytest.raises(MonthUnfit, match=r"that of green-trips 2023-02"):
        scoring.require_fit(MODEL, "2023-03", month(month="2023-02"))


def test_a_month_without_a_column_the_model_needs_is_refused_by_name() -> None:
    columns = {name: kind for name, kind in month().columns.items() if name not in ("distance", "dropoff_at")}

    with pytest.raises(MonthUnfit, match=r"no column distance, dropoff_at, which trip-duration needs"):
        scoring.require_fit(MODEL, "2023-03", month(columns=columns))


def holed(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of which the first five lack something."""
    at = pl.int_range(pl.len())
    return rows.with_columns(
        pickup_at=pl.when(at != 0).then("pickup_at"),
        pickup_zone=pl.when(at != 1).then("pickup_zone"),
        distance=pl.when(at == 2)
        .then(float("nan"))
        .when(at == 3)
        .then(float("inf"))
        .when(at != 4)
        .then(pl.col("distance")),
    )
