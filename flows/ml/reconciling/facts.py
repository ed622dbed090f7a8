"""What a reconcile reads of the lake and of MLflow."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

from flows.ml import ledger, predictions
from flows.ml.lake import Lake, Listed, ObjectMissing
from flows.ml.manifest import Manifest
from flows.ml.reconciling import lake_findings
from flows.ml.reconciling.finding import Limits
from flows.ml.reconciling.lake_findings import ADDRESS, FOLDERS, PREDICTIONS, LakeFacts
from flows.ml.reconciling.registry_findings import ModelFacts
from flows.ml.registry import Version
from flows.ml.registry_upkeep import Upkeep


def of_model(lake: Lake, registry: Upkeep, model: str) -> ModelFacts:
    """What is known of a model. MLflow is asked first: what it has by then the ledger has."""
    aliases, versions, runs = registry.aliases(model), registry.versions(model), registry.runs(model)
    return ModelFacts(model, ledger.entries(lake, model), aliases, versions, runs)


def of_lake(lake: Lake, models: Sequence[ModelFacts], versions: Sequence[Version], limits: Limits) -> LakeFacts:
    """What is in the lake; ``versions`` are those that stay, of these models and of any other.

    Manifests are read before the list is: what a landing puts in between is young, and let be.
    """
    current = {(found.dataset, found.month): found for found in _current(lake)}
    listed = [one for folder in FOLDERS for one in lake.listed(f"{folder}/")]
    manifests = {**{_month(found): found for found in current.values()}, **_manifests(lake, listed)}
    entries = [entry for model in models for entry in model.entries]
    promoted = [entry for model in models for entry in model.promoted(limits)]
    return LakeFacts(
        listed=listed,
        uploads=lake.uploads(),
        current={place: found.address for place, found in current.items()},
        quarantined={key: found.quarantine.name for key, found in manifests.items() if found.quarantine},
        fingerprints={version.fingerprint for version in versions} | {entry.fingerprint for entry in promoted},
        decisions={version.tags.get("decision", "") for version in versions} | {entry.decision for entry in entries},
        used=lake_findings.used(listed, versions),
        predicted=dict(_predicted(lake, listed)),
        models={model.model for model in models},
    )


def _current(lake: Lake) -> list[Manifest]:
    """The current manifest of every month of every dataset."""
    months = [month for dataset in lake.folders("raw") for month in lake.folders(dataset)]
    keys = [f"{month}manifest.json" for month in months]
    return [Manifest.from_json(lake.get(key), key) for key in keys if lake.find(key)]


def _month(found: Manifest) -> str:
    return f"raw/{found.dataset}/{found.month}/manifest.json"


def _manifests(lake: Lake, listed: Sequence[Listed]) -> dict[str, Manifest]:
    """The manifests of the addresses, by key."""
    return {key: Manifest.from_json(lake.get(key), key) for key in _keys(listed, ADDRESS)}


def _predicted(lake: Lake, listed: Sequence[Listed]) -> Iterator[tuple[str, str | None]]:
    """The manifests of predictions with the file that each names, None where it is not there.

    One that was replaced since the list was made names a file that may not be on it: so that is looked up.
    """
    for key in _keys(listed, PREDICTIONS):
        with suppress(predictions.PredictionsError, ObjectMissing):
            found = predictions.Predictions.from_json(lake.get(key), lake.uri(key))
            yield key, found.data.name if predictions.is_whole(lake, found) else None


def _keys(listed: Sequence[Listed], pattern: re.Pattern[str]) -> list[str]:
    """The keys of the manifests among the objects that a pattern is of."""
    return [one.key for one in listed if pattern.fullmatch(one.key) and one.key.endswith("/manifest.json")]
