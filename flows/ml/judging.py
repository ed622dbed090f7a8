"""Candidate, champion and naive baseline on the same rows of the judged month, and the gate's verdict on them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from flows.ml import candidate as staging
from flows.ml import champion as champions
from flows.ml import evaluation, report
from flows.ml.baseline import Baseline
from flows.ml.candidate import Candidate
from flows.ml.comparison import Tally, tally
from flows.ml.definition import Model, Verdict
from flows.ml.evaluation import Contender
from flows.ml.fingerprint import Snapshot
from flows.ml.lake import Lake, ObjectMissing
from flows.ml.ledger import Entry
from flows.ml.registry import Registry
from flows.ml.training import Predictor, targets


@dataclass(frozen=True)
class Judged:
    """A verdict, the candidate's errors by day and slice, and the plot (PNG) that goes with it."""

    verdict: Verdict
    errors: Tally | None
    plot: bytes


def key(decision: str, champion_fault: str) -> str:
    """What a judgement is cached by: a champion that was out of order is judged by again once it works."""
    return f"judge/{decision}" + (
        f"-{hashlib.sha256(champion_fault.encode()).hexdigest()[:12]}" if champion_fault else ""
    )


def columns(model: Model) -> list[str]:
    """The columns of the lake's rows that training and judging read."""
    expressions = [model.target, model.scope, *(one.label for one in model.slices)]
    return sorted({*model.inputs, *(name for each in expressions for name in each.meta.root_names())})


def judge(
    lake: Lake,
    model: Model,
    candidate: Candidate,
    snapshot: Snapshot,
    champion: Contender | None,
    rows: pl.DataFrame,
    threads: int,
) -> Judged:
    """The verdict on a candidate and its plot; ``rows`` are the judged month's, in the model's scope."""
    naive = Baseline.from_json(staging.read(lake, candidate, "baseline.json")).predict(rows)
    parts = [staging.read(lake, candidate, name) for name in ("booster.ubj", "encoder.json", "features.py")]
    predictor = Predictor(parts[0], parts[1], parts[2].decode(), threads)
    predictions = predictor.predict(rows)
    contender = Contender(tuple(part.month for part in snapshot.train), predictions)
    verdict = evaluation.judge(model, snapshot.judge.month, rows, naive, contender, champion)
    finite = rows.height and np.isfinite(predictions).all() and np.isfinite(naive).all()
    scored = report.Scored(
        hour=rows[model.features.day].dt.hour().cast(pl.Int64).to_numpy(),
        actual=targets(rows, model) / model.target_unit,
        candidate=predictions,
        champion=champion.predictions if champion else None,
        naive=naive,
    )
    return Judged(
        verdict,
        tally(model, rows, targets(rows, model), naive, predictions) if finite else None,
        report.error_plot(scored, f"{model.name}: {snapshot.span}", model.unit),
    )


def score_champion(
    registry: Registry, model: Model, entry: Entry, rows: pl.DataFrame, threads: int, folder: Path
) -> Contender:
    """The champion as the registry stores it, with its own code, on the rows.

    Raises ``ChampionUnusable`` where the stored version is at fault, ``RegistryUnreachable`` where the server is.
    """
    champion = champions.load(registry, model, entry, threads, folder)
    return Contender(champion.trained_on, champion.predict(rows, model))


def keep(lake: Lake, model: str, decision: str, judged: Judged) -> None:
    """Leave a decision's errors in the lake for monitoring, then its plot for the report.

    Those of a former judgement give way. A decision whose plot is there is whole.
    """
    if judged.errors:
        _put(lake, _key(model, decision, "errors.json"), judged.errors.to_json())
    _put(lake, _key(model, decision, "errors.png"), judged.plot)


def errors(lake: Lake, model: str, decision: str) -> Tally | None:
    """The candidate's errors by day and slice, as judged; None where they were not kept."""
    found = _get(lake, _key(model, decision, "errors.json"))
    return None if found is None else Tally.from_json(found)


def plot(lake: Lake, model: str, decision: str) -> bytes | None:
    """The plot (PNG) of a decision, None before it was judged."""
    return _get(lake, _key(model, decision, "errors.png"))


def _put(lake: Lake, key: str, data: bytes) -> None:
    if not lake.put_new(key, data) and (there := lake.find(key)):
        lake.replace(key, data, there.etag)


def _get(lake: Lake, key: str) -> bytes | None:
    try:
        return lake.get(key)
    except ObjectMissing:
        return None


def _key(model: str, decision: str, name: str) -> str:
    return f"decisions/{model}/{decision}/{name}"
