"""A month under the champion in service: which one that is, what it predicted, and what is found of both."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from flows.ml import candidate as staging
from flows.ml import drift, judging, landing, ledger, monitoring, predictions
from flows.ml import snapshot as snapshots
from flows.ml.baseline import Baseline
from flows.ml.comparison import Tally, tally
from flows.ml.definition import Model
from flows.ml.drift import Drift
from flows.ml.errors import TrainyardError
from flows.ml.fingerprint import Part
from flows.ml.lake import Lake, ObjectMissing
from flows.ml.manifest import Manifest
from flows.ml.monitoring import Completeness, Findings, Promotion
from flows.ml.predictions import Predictions
from flows.ml.registry import Registry
from flows.ml.registry_errors import VersionMissing
from flows.ml.training import in_scope, targets


class NotMonitored(TrainyardError):
    """There is nothing to hold the month against, or nothing of the month."""


class Incomplete(TrainyardError):
    """Something that monitoring rests on is gone."""


@dataclass(frozen=True)
class Case:
    """A version in service and a month that it was not trained on.

    ``train`` are the months it was trained on, ``judged`` the one it was judged by at promotion, ``decision`` what its
    errors then are kept under and ``ratio`` that of its error to the baseline's, None where it is not on record.
    """

    model: str
    version: int
    fingerprint: str
    dataset: str
    month: Part
    train: tuple[Part, ...]
    judged: str
    decision: str
    ratio: float | None


def look_up(lake: Lake, registry: Registry, model: Model, month: str) -> Case:
    """The champion and a month of the lake, the newest where none is named.

    Raises ``NotMonitored``; ``VersionMissing`` where MLflow has lost the champion.
    """
    head = ledger.head(lake, model.name)
    if head is None:
        raise NotMonitored(f"no model of {model.name} is in service, so there is nothing to monitor: retrain first.")
    have = landing.months(lake, model.dataset)
    if (month or not have) and month not in have:
        there = ", ".join(have) or "none"
        raise NotMonitored(f"the lake has no {month or 'month'} of {model.dataset} (it has: {there}): ingest it first.")
    manifest = landing.manifest(lake, model.dataset, month or have[-1])
    version = registry.version(model.name, head.version)
    if version.fingerprint != head.fingerprint:
        raise VersionMissing(
            f"version {head.version} of {model.name} is another training than the one "
            "promoted: restore MLflow's database, or promote a version that is there."
        )
    train = tuple(Part(**part) for part in json.loads(version.tags.get("snapshot", "{}")).get("train", ()))
    if not train:
        raise NotMonitored(f"the months that version {head.version}, the champion, was trained on are not on record.")
    if manifest.month in {part.month for part in train}:
        raise NotMonitored(
            f"version {head.version}, the champion, was trained on {manifest.month}: its error there says nothing. "
            "Monitor a month it has not seen."
        )
    metrics = registry.metrics(version)
    ratio = metrics.get("rmse", math.nan) / (metrics.get("naive_rmse") or math.nan)
    return Case(
        model=model.name,
        version=head.version,
        fingerprint=head.fingerprint,
        dataset=model.dataset,
        month=Part(manifest.month, manifest.address, manifest.rows_kept),
        train=train,
        judged=version.tags.get("judged", ""),
        decision=version.tags.get("decision", ""),
        ratio=ratio if math.isfinite(ratio) else None,
    )


def scored(lake: Lake, case: Case) -> Predictions | None:
    """The champion's predictions of the month's rows, where they are there and whole."""
    return predictions.find_whole(
        lake, case.model, case.month.month, case.month.address, case.version, case.fingerprint
    )


def examine(lake: Lake, model: Model, case: Case, folder: Path) -> Findings:
    """All that is watched of a month that was scored. Raises ``Incomplete`` and the lake's errors."""
    columns = sorted({*judging.columns(model), *_watched(model)})
    month = snapshots.read(lake, case.dataset, (case.month,), folder, columns)
    rows = _scoped(lake, model, case, month, folder)
    able = rows.filter(pl.col("prediction").is_not_null())
    now = _errors(lake, model, case, able) if able.height else None
    promotion = Promotion(judging.errors(lake, case.model, case.decision) if case.decision else None, case.ratio)
    before, after = _broken(lake, case)
    missing = 1 - able.height / rows.height if rows.height else 0.0
    completeness = Completeness(broken=after, broken_before=before, unscored=missing)
    return monitoring.findings(model, now, promotion, _drifts(lake, model, case, month, folder), completeness)


def _watched(model: Model) -> set[str]:
    return {name for each in model.limits.watched for name in each.value.meta.root_names()}


def _scoped(lake: Lake, model: Model, case: Case, month: pl.LazyFrame, folder: Path) -> pl.DataFrame:
    """The month's rows in the model's scope, with the champion's ``prediction`` of each."""
    found = scored(lake, case)
    if found is None:
        raise Incomplete(
            f"version {case.version} has no predictions of {case.month.month}: another version may have been promoted "
            "meanwhile. Run this again."
        )
    rows = month.select(judging.columns(model)).collect()
    predicted = predictions.read(lake, found, folder).select("prediction").collect()
    return in_scope(pl.concat([rows, predicted], how="horizontal"), model)


def _errors(lake: Lake, model: Model, case: Case, rows: pl.DataFrame) -> Tally:
    kept = staging.of_training(lake, case.model, case.fingerprint, "baseline.json")
    if kept is None:
        raise Incomplete(
            f"the naive baseline of version {case.version} is gone from {lake.uri(f'candidates/{case.model}/')}: "
            "restore it, or retrain and promote another version."
        )
    naive = Baseline.from_json(kept).predict(rows)
    return tally(model, rows, targets(rows, model), naive, rows["prediction"].to_numpy())


def _drifts(lake: Lake, model: Model, case: Case, month: pl.LazyFrame, folder: Path) -> list[Drift]:
    """Each watched input of the month against the months trained on, which stream from the scratch folder."""
    before = snapshots.read(lake, case.dataset, case.train, folder, sorted(_watched(model)))
    references = [drift.reference(before, each) for each in model.limits.watched]
    return [
        drift.compare(each, drift.count(month, each.watched, each.edges), model.limits.min_bin_rows)
        for each in references
    ]


def _broken(lake: Lake, case: Case) -> tuple[float, float]:
    """The share of the rows in quarantine at training and now; of months whose manifest is gone nothing is known."""
    training = []
    for part in case.train:
        try:
            training.append(landing.manifest_at(lake, case.dataset, part.month, part.address))
        except ObjectMissing:
            continue
    return _share(training), _share([landing.manifest_at(lake, case.dataset, case.month.month, case.month.address)])


def _share(manifests: list[Manifest]) -> float:
    rows = sum(manifest.rows_in for manifest in manifests)
    return 1 - sum(manifest.rows_kept for manifest in manifests) / rows if rows else 0.0
