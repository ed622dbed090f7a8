"""What lies in the lake that no reader looks at, by what a list of it says. Pure.

Writers put what makes a thing whole last: the manifest of a month or of predictions, the version of a candidate. What
has been without it for longer than any run lasts was left by a crash.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime

from flows.ml.lake import Listed, Upload
from flows.ml.reconciling.finding import Finding, Kind, Limits
from flows.ml.registry import Version

FOLDERS = ("raw", "quarantine", "candidates", "decisions", "predictions")
"""The folders that are searched: those that flow runs write without Prefect or MLflow between."""
DATASETS = ("raw", "quarantine")
"""Those whose folders are datasets; those in the others are models."""
ADDRESS = re.compile(r"raw/(?P<dataset>[^/]+)/(?P<month>\d{4}-\d{2})/(?P<address>[0-9a-f]{64})/[^/]+")
PREDICTIONS = re.compile(r"(?P<folder>predictions/(?P<model>[^/]+)/\d{4}-\d{2}/(?P<address>[^/]+)/[^/]+)/[^/]+")
STAGED = re.compile(r"(candidates|decisions)/([^/]+)/([^/]+)/[^/]+")


@dataclass(frozen=True)
class Address:
    """The objects of an address of a month; ``whole`` where its own manifest is among them."""

    dataset: str
    month: str
    address: str
    keys: tuple[str, ...]
    written: datetime

    @property
    def folder(self) -> str:
        """Where it is."""
        return f"raw/{self.dataset}/{self.month}/{self.address[:12]}"

    @property
    def whole(self) -> bool:
        """Whether its writer came as far as its manifest."""
        return any(key.endswith("/manifest.json") for key in self.keys)


@dataclass(frozen=True)
class LakeFacts:
    """What is in the lake, and what is referred to.

    ``current`` is the address of each (dataset, month); ``quarantined`` maps the keys of manifests to the objects of
    broken rows that they name; ``fingerprints`` and ``decisions`` are those of versions that stay, and of the ledger,
    whose last promotions MLflow may have lost;
    ``used`` are the addresses that these versions were trained on and judged by, and those that were scored.
    ``predicted`` maps the keys of manifests of predictions that can be read to the file that each names, None where
    that is gone. ``models`` are those whose versions and ledger these references are from: what is another's is let be.
    """

    listed: Sequence[Listed]
    uploads: Sequence[Upload]
    current: Mapping[tuple[str, str], str]
    quarantined: Mapping[str, str]
    fingerprints: Set[str]
    decisions: Set[str]
    used: Set[str]
    predicted: Mapping[str, str | None]
    models: Set[str]


def find(facts: LakeFacts, limits: Limits, now: datetime, old: Sequence[Finding] = ()) -> list[Finding]:
    """Everything but ``old``, which retention finds, and what goes along with it."""
    facts = replace(
        facts,
        listed=[one for one in facts.listed if _is_known(one.key, facts.models)],
        uploads=[upload for upload in facts.uploads if _is_known(upload.key, facts.models)],
    )
    months = list(_months(facts, limits, now))
    gone = {key for finding in (*months, *old) for key in finding.target}
    return [
        *months,
        *_predictions(facts, limits, now),
        *_quarantine(facts, limits, now, gone),
        *_staged(facts, limits, now),
        *_uploads(facts, limits, now),
    ]


def addresses(listed: Sequence[Listed]) -> Iterator[Address]:
    """The addresses of months among objects."""
    for (dataset, month, address), group in _grouped(listed, ADDRESS).items():
        yield Address(dataset, month, address, tuple(one.key for one in group), max(one.written for one in group))


def used(listed: Sequence[Listed], versions: Iterable[Version]) -> frozenset[str]:
    """The addresses of months that versions were trained on and judged by, and those of whose rows there are
    predictions: who reads these needs the rows."""
    found = (PREDICTIONS.fullmatch(one.key) for one in listed if one.key.endswith("/manifest.json"))
    scored = (match["address"] for match in found if match)
    return frozenset(scored).union(*(version.addresses for version in versions))


def _months(facts: LakeFacts, limits: Limits, now: datetime) -> Iterator[Finding]:
    for place in addresses(facts.listed):
        current = facts.current.get((place.dataset, place.month))
        kept = current == place.address or (place.whole and (current or place.address in facts.used))
        if kept or now - place.written < limits.stale:
            continue
        why = "whole, and no manifest makes it the month" if place.whole else "it has no manifest"
        yield Finding(Kind.HALF_WRITTEN, place.folder, f"{why} {_since(place.written)}", place.dataset, place.keys)


def _predictions(facts: LakeFacts, limits: Limits, now: datetime) -> Iterator[Finding]:
    for (folder, model, _), group in _grouped(facts.listed, PREDICTIONS).items():
        written = max(one.written for one in group)
        keys, manifest = tuple(one.key for one in group), f"{folder}/manifest.json"
        lost = manifest in facts.predicted and facts.predicted[manifest] is None
        if now - written >= limits.stale and (manifest not in keys or lost):
            why = "the file that its manifest names is gone" if lost else f"it has no manifest {_since(written)}"
            yield Finding(Kind.HALF_WRITTEN, folder, why, model, keys)
        elif named := facts.predicted.get(manifest):
            for one in group:
                if one.key not in (manifest, named) and now - one.written >= limits.stale:
                    why = f"its manifest names another {_since(one.written)}"
                    yield Finding(Kind.HALF_WRITTEN, one.key, why, model, (one.key,))


def _quarantine(facts: LakeFacts, limits: Limits, now: datetime, gone: Set[str]) -> Iterator[Finding]:
    named = {rows for manifest, rows in facts.quarantined.items() if manifest not in gone}
    for one in facts.listed:
        folder, dataset, *_ = one.key.split("/")
        if folder == "quarantine" and one.key not in named and now - one.written >= limits.stale:
            why = f"no manifest names it {_since(one.written)}"
            yield Finding(Kind.HALF_WRITTEN, one.key, why, dataset, (one.key,))


def _staged(facts: LakeFacts, limits: Limits, now: datetime) -> Iterator[Finding]:
    """Files of trainings and plots of decisions."""
    whys = {"candidates": "no version is of this training", "decisions": "no version rests on this decision"}
    referred = {"candidates": facts.fingerprints, "decisions": facts.decisions}
    for (folder, model, identity), group in _grouped(facts.listed, STAGED).items():
        written = max(one.written for one in group)
        if identity not in referred[folder] and now - written >= limits.stale:
            keys = tuple(one.key for one in group)
            why = f"{whys[folder]} {_since(written)}"
            yield Finding(Kind.STAGED, f"{folder}/{model}/{identity[:12]}", why, model, keys)


def _uploads(facts: LakeFacts, limits: Limits, now: datetime) -> Iterator[Finding]:
    for upload in facts.uploads:
        folder, _, rest = upload.key.partition("/")
        if folder in FOLDERS and now - upload.begun >= limits.stale:
            why = f"open {_since(upload.begun)}"
            yield Finding(Kind.UPLOAD, upload.key, why, rest.partition("/")[0], (upload.key, upload.upload_id))


def _is_known(key: str, models: Set[str]) -> bool:
    """Whether a key is of a dataset, or of one of these models."""
    folder, _, rest = key.partition("/")
    return folder in DATASETS or rest.partition("/")[0] in models


def _grouped(listed: Sequence[Listed], pattern: re.Pattern[str]) -> dict[tuple[str, ...], list[Listed]]:
    """Objects by the groups of a pattern of their keys."""
    groups: dict[tuple[str, ...], list[Listed]] = defaultdict(list)
    for one in listed:
        if found := pattern.fullmatch(one.key):
            groups[found.groups()].append(one)
    return groups


def _since(moment: datetime) -> str:
    return f"since {moment:%Y-%m-%d %H:%M} UTC"
