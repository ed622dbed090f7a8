"""A month scored by the champion a batch at a time, so that memory does not grow with its rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from flows.ml import month_files, predictions
from flows.ml.champion import Champion
from flows.ml.definition import Model
from flows.ml.errors import TrainyardError
from flows.ml.features import BATCH
from flows.ml.manifest import File, Manifest
from flows.ml.month_files import Written
from flows.ml.predictions import Predictions
from flows.ml.training import in_scope, targets

Progress = Callable[[float, float], None]
"""Told after each batch how many of how many rows are done."""


class MonthUnfit(TrainyardError):
    """The month's rows are not those the model is for."""


@dataclass(frozen=True)
class Tally:
    """Of some rows those that are scored and in the model's scope: how many, and sums over them in its unit."""

    in_scope: int
    predicted: float
    actual: float


@dataclass(frozen=True)
class Scored:
    """A month's predictions in a local file, and what is told of them; means are None where no row is in scope."""

    file: Written
    rows: int
    reasons: Mapping[str, int]
    in_scope: int
    mean_predicted: float | None
    mean_actual: float | None


def columns(model: Model) -> list[str]:
    """The columns of the lake's rows that scoring reads."""
    expressions = (model.target, model.scope)
    return sorted({*model.inputs, *(name for each in expressions for name in each.meta.root_names())})


def require_fit(model: Model, month: str, found: Manifest) -> None:
    """See that a month is one of the model's dataset, with its columns. Raises ``MonthUnfit``."""
    if (found.dataset, found.month) != (model.dataset, month):
        raise MonthUnfit(
            f"raw/{model.dataset}/{month}/manifest.json is that of {found.dataset} {found.month}, and {model.name} is "
            f"for {model.dataset}. Put the month's own manifest back, or remove it and run ingest for {month}."
        )
    if missing := [name for name in columns(model) if name not in found.columns]:
        raise MonthUnfit(
            f"{found.dataset} {month} has no column {', '.join(missing)}, which {model.name} needs. "
            f"Correct flows/datasets/{found.dataset.replace('-', '_')}.py and run ingest for {month}."
        )


def score(champion: Champion, model: Model, source: Path, folder: Path, tell: Progress) -> Scored:
    """Score every row of a month's file, whatever the training scope; ``folder`` is for files on the way.

    Raises ``ChampionUnusable``.
    """
    rows = pl.scan_parquet(source).select(columns(model))
    count = int(rows.select(pl.len()).collect().item())
    parts, tallies = [], []
    for start in range(0, count, BATCH):
        batch = rows.slice(start, BATCH).collect()
        scored = predict(champion, model, batch)
        parts.append(folder / f"scored-{start:012}.parquet")
        scored.write_parquet(parts[-1], compression="lz4")
        tallies.append(_tally(batch, scored, model))
        tell(start + batch.height, count)
    whole = pl.scan_parquet(parts) if parts else pl.LazyFrame(schema=predictions.SCHEMA)
    written = month_files.write(whole, folder / "scored.parquet")
    found = sum(one.in_scope for one in tallies)
    return Scored(
        file=written,
        rows=count,
        reasons=_reasons(written.path),
        in_scope=found,
        mean_predicted=sum(one.predicted for one in tallies) / found if found else None,
        mean_actual=sum(one.actual for one in tallies) / found if found else None,
    )


def predict(champion: Champion, model: Model, rows: pl.DataFrame) -> pl.DataFrame:
    """``prediction`` and ``reason`` for every row, as ``predictions.SCHEMA`` has them. Raises ``ChampionUnusable``."""
    reason = rows.select(unusable(model, rows.schema))["reason"]
    usable = reason.is_null()
    found = np.full(rows.height, np.nan)
    if usable.any():
        found[usable.to_numpy()] = champion.predict(rows.filter(usable), model)
    return pl.DataFrame({"prediction": pl.Series(found).fill_nan(None), "reason": reason}, schema=predictions.SCHEMA)


def unusable(model: Model, schema: pl.Schema) -> pl.Expr:
    """Why a row cannot be scored: the first of the model's inputs that is null or no finite number; else null."""
    absent = (
        pl.when(
            ~pl.col(name).is_finite() | pl.col(name).is_null() if schema[name].is_float() else pl.col(name).is_null()
        ).then(pl.lit(f"no {name}"))
        for name in model.inputs
    )
    return pl.coalesce(*absent).cast(pl.String).alias("reason")


def describe(
    champion: Champion, model: Model, month: Manifest, scored: Scored, *, revision: str, created_at: str
) -> Predictions:
    """The manifest of a month's predictions. ``created_at`` is ISO 8601 in UTC."""
    version, file = champion.version, scored.file
    key = predictions.data_key(model.name, month.month, month.address, version.number, file.sha256)
    return Predictions(
        model=model.name,
        version=version.number,
        fingerprint=version.fingerprint,
        run_id=version.run_id,
        dataset=month.dataset,
        month=month.month,
        address=month.address,
        source=month.data,
        data=File(key, file.size, file.sha256),
        rows=scored.rows,
        scored=scored.rows - sum(scored.reasons.values()),
        reasons=scored.reasons,
        in_scope=scored.in_scope,
        mean_predicted=scored.mean_predicted,
        mean_actual=scored.mean_actual,
        unit=model.unit,
        revision=revision,
        created_at=created_at,
    )


def _tally(rows: pl.DataFrame, scored: pl.DataFrame, model: Model) -> Tally:
    judged = in_scope(rows.with_columns(scored).filter(pl.col("prediction").is_not_null()), model)
    return Tally(
        in_scope=judged.height,
        predicted=float(judged["prediction"].sum()),
        actual=int(targets(judged, model).sum()) / model.target_unit,
    )


def _reasons(path: Path) -> dict[str, int]:
    """The rows without a prediction by reason, the most frequent first."""
    without = pl.scan_parquet(path).filter(pl.col("reason").is_not_null())
    counts = without.group_by("reason").len().sort("len", "reason", descending=[True, False])
    return dict(counts.collect(engine="streaming").iter_rows())
