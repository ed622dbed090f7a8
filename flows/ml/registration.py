"""A judged candidate into the registry, and the alias behind the ledger."""

import contextlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from flows.ml import candidate as staging
from flows.ml import judging, ledger, promotion, report, training_record
from flows.ml.candidate import Candidate
from flows.ml.definition import Model, Verdict
from flows.ml.errors import TrainyardError
from flows.ml.fingerprint import Snapshot
from flows.ml.lake import Lake
from flows.ml.ledger import Entry
from flows.ml.registry import Input, Record, Registry, Version
from flows.ml.registry_errors import VersionMissing
from flows.ml.serving_requirements import trained_with
from flows.ml.training import as_pandas

if TYPE_CHECKING:
    import pandas as pd

SERVING = Path(__file__).with_name("serving.py")
"""What MLflow runs to load a stored model; its text is stored with each."""
ARTIFACTS = {"booster": "booster.ubj", "encoder": "encoder.json", "features": "features.py"}
"""The files of a candidate that make the stored model, by the names the serving code knows them by."""


class LedgerMissing(TrainyardError):
    """There is a champion of which the ledger knows nothing: a candidate would be promoted without a comparison."""


@dataclass(frozen=True)
class Judgement:
    """A verdict and what it rests on: the snapshot, the champion's version, the decision's fingerprint."""

    snapshot: Snapshot
    verdict: Verdict
    champion: int | None
    decision: str


def register(
    lake: Lake, registry: Registry, model: Model, candidate: Candidate, judged: Judgement, git_sha: str, folder: Path
) -> Version:
    """The version of a candidate, new or there already, with its verdict. ``folder`` is for files on the way."""
    paths = {name: folder / name for name in candidate.files}
    for name, path in paths.items():
        path.write_bytes(staging.read(lake, candidate, name))
    card = report.decision_card(model, judged.snapshot, judged.verdict, judged.champion, {})
    reports = {
        "decision.md": card.encode(),
        "errors.png": judging.plot(lake, model.name, judged.decision),
        training_record.NAME: training_record.to_json(training_record.take(model, judged.snapshot, candidate)),
    }
    record = Record(
        model=model.name,
        fingerprint=candidate.fingerprint,
        title=f"{model.name} {judged.snapshot.span}",
        description=f"{model.title}. Trained on {judged.snapshot.span}. {judged.verdict.reason}",
        tags=_tags(judged, git_sha),
        parameters={
            **{k: str(v) for k, v in model.parameters.items()},
            "rounds": str(model.rounds),
            "seed": str(model.seed),
        },
        metrics=_metrics(judged.verdict, candidate.rows),
        inputs=_inputs(lake, judged.snapshot),
        reports=[_written(folder / name, data) for name, data in reports.items() if data],
        code=Path(shutil.copy(SERVING, folder)),  # MLflow keeps the path: it shall be no place of this machine
        artifacts={role: paths[name] for role, name in ARTIFACTS.items()},
        example=_example(paths["example.json"], model),
    )
    return registry.register(record)


def align(lake: Lake, registry: Registry, model: str) -> None:
    """Let the alias follow the ledger. A promotion that comes meanwhile is followed too.

    A version that the registry has lost cannot bear the alias: the gate will refuse to judge against it. Nor can one
    of another training, which got its number after the registry was emptied. Raises ``LedgerMissing``.
    """
    while True:
        alias, head = registry.champion(model), ledger.head(lake, model)  # in this order: the ledger is written first
        if alias is not None and head is None:
            raise LedgerMissing(
                f"version {alias} of {model} is the champion in MLflow, and {lake.uri(f'ledger/{model}/')} is empty. "
                "Restore the ledger or correct the lake's settings; to begin anew, remove the alias."
            )
        if head is None or alias == head.version:
            return
        try:
            if registry.version(model, head.version).fingerprint != head.fingerprint:
                return
            registry.set_champion(model, head.version)
        except VersionMissing:
            return


def require_alias(registry: Registry, model: str, champion: Entry) -> None:
    """Make sure that the champion of the ledger is in service. Raises ``VersionMissing`` where MLflow has lost it."""
    if registry.champion(model) != champion.version:
        raise VersionMissing(
            f"the ledger names version {champion.version} of {model} as the champion and MLflow does not have it: "
            f"restore MLflow's database, or remove entry {champion.number} of the ledger to begin anew."
        )


def promotable(registry: Registry, model: str, number: int, fingerprint: str | None = None) -> Version:
    """A version that may be put in service: it is there, and is a training, that of ``fingerprint`` where one is given.

    Raises ``VersionMissing``.
    """
    have = registry.versions(model)
    version = next((one for one in have if one.number == number), None)
    if version is None:
        numbers = ", ".join(str(one.number) for one in have[-10:]) or "none"
        raise VersionMissing(f"MLflow has no version {number} of {model}. There are, the newest last: {numbers}.")
    if not version.fingerprint:
        raise VersionMissing(f"version {number} of {model} is no training of ours: its tag fingerprint is missing.")
    if fingerprint not in (None, version.fingerprint):
        raise VersionMissing(
            f"version {number} of {model} is another training than the one that was in service under that number: "
            "restore MLflow's database, or name a version."
        )
    return version


def mark(lake: Lake, registry: Registry, model: str) -> None:
    """Let tags of the two newest champions say by whom, when and why they were promoted or taken out of service.

    For people: the ledger decides. A promotion that comes meanwhile is followed too.
    """
    while found := ledger.entries(lake, model):
        newest = {entry.fingerprint: entry for entry in found[-2:]}
        for entry in newest.values():
            with contextlib.suppress(VersionMissing):  # what was taken out may be lost
                if registry.version(model, entry.version).fingerprint == entry.fingerprint:
                    registry.mark(model, entry.version, _marks(found, entry))
        if ledger.head(lake, model) == found[-1]:
            return


def _marks(found: list[Entry], entry: Entry) -> dict[str, str]:
    return {"promoted": promotion.said(entry), "taken_out": promotion.bar(found, entry.fingerprint)}


def links(registry: Registry, version: Version, ui: str) -> Mapping[str, str]:
    """Where people see a version and its run."""
    return {
        f"version {version.number} in MLflow": f"{ui}/#/models/{version.model}/versions/{version.number}",
        "its run": registry.run_url(version.run_id, ui),
    }


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _example(path: Path, model: Model) -> "pd.DataFrame":
    """A few raw rows, times as times again."""
    return as_pandas(pl.read_json(path).with_columns(pl.col(model.features.day).str.to_datetime(time_unit="us")))


def _tags(judged: Judgement, git_sha: str) -> dict[str, str]:
    return {
        "snapshot": json.dumps(asdict(judged.snapshot)),
        "judged": judged.snapshot.judge.month,
        "verdict": judged.verdict.decision,
        "reason": judged.verdict.reason,
        "decision": judged.decision,
        "judged_against": str(judged.champion or ""),
        "git_sha": git_sha,
        "packages": trained_with(),
    }


def _metrics(verdict: Verdict, trained_rows: int) -> dict[str, float]:
    found = {
        "rmse": verdict.rmse,
        "mae": verdict.mae,
        "naive_rmse": verdict.naive_rmse,
        "champion_rmse": verdict.champion_rmse,
        "judged_rows": float(verdict.rows),
        "trained_rows": float(trained_rows),
    }
    return {name: value for name, value in found.items() if value is not None}


def _inputs(lake: Lake, snapshot: Snapshot) -> list[Input]:
    uses = [*((part, "training") for part in snapshot.train), (snapshot.judge, "judging")]
    return [
        Input(
            name=f"{snapshot.dataset} {part.month}",
            uri=lake.uri(f"raw/{snapshot.dataset}/{part.month}/{part.address}/data.parquet"),
            digest=part.address[:32],
            context=use,
        )
        for part, use in uses
    ]
