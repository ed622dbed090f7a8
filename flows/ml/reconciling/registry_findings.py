"""What of a model is not as it should be in MLflow, by what MLflow and the ledger say. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from flows.ml.ledger import Entry
from flows.ml.reconciling.finding import Finding, Kind, Limits
from flows.ml.registry import Version
from flows.ml.registry_upkeep import Run

VERDICT = ("snapshot", "judged", "verdict", "reason", "decision", "judged_against")
"""The tags of a version that are its verdict; its run has them as well."""

OURS = {"fingerprint", "report"}
"""The tags by which a run is known as that of a training or of a monitored month."""


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model: ``aliases`` maps names to versions, ``entries`` is its ledger, the oldest first."""

    model: str
    entries: Sequence[Entry] = ()
    aliases: Mapping[str, int] = field(default_factory=dict)
    versions: Sequence[Version] = ()
    runs: Sequence[Run] = ()

    @property
    def head(self) -> Entry | None:
        """The newest promotion."""
        return self.entries[-1] if self.entries else None

    def promoted(self, limits: Limits) -> Sequence[Entry]:
        """The last promotions, of which everything stays."""
        return self.entries[-limits.keep_promotions :]


def find(facts: ModelFacts, limits: Limits, now: datetime) -> list[Finding]:
    """Everything but what retention finds, in the order in which it is repaired."""
    own = [version for version in facts.versions if version.fingerprint]
    doubles = list(_doubles(facts, own, limits, now))
    gone = {finding.target[0] for finding in doubles}
    return [
        *_alias(facts),
        *doubles,
        *_verdicts(facts, [version for version in own if str(version.number) not in gone], limits, now),
        *_left_running(facts, limits, now),
    ]


def _alias(facts: ModelFacts) -> Iterator[Finding]:
    alias, head = facts.aliases.get("champion"), facts.head
    about = f"alias champion of {facts.model}"
    if head is None:
        if alias is not None:
            why = f"it names version {alias} and the ledger is empty: restore the ledger, or remove the alias"
            yield Finding(Kind.CHAMPION, about, why, facts.model)
        return
    version = next((version for version in facts.versions if version.number == head.version), None)
    if version is None or version.fingerprint != head.fingerprint:
        why = (
            f"MLflow has no version {head.version} of the training that entry {head.number} of the ledger promoted: "
            f"restore MLflow's database, or promote another version"
        )
        yield Finding(Kind.CHAMPION, about, why, facts.model)
    elif alias != head.version:
        why = f"it names {f'version {alias}' if alias else 'nothing'}, the ledger's head is version {head.version}"
        yield Finding(Kind.ALIAS, about, why, facts.model, (facts.model,))


def _doubles(facts: ModelFacts, own: Sequence[Version], limits: Limits, now: datetime) -> Iterator[Finding]:
    entries = {(entry.version, entry.fingerprint) for entry in facts.entries}
    promoted = {version.number for version in own if (version.number, version.fingerprint) in entries}
    alike: dict[str, list[Version]] = defaultdict(list)
    for version in own:
        alike[version.fingerprint].append(version)
    for same in alike.values():
        kept = next((version for version in same if version.number in promoted), same[0])
        for version in same:
            if version.number in promoted or version is kept:
                continue
            if _older(version.made_at, now, limits.settle.total_seconds()):
                why = f"version {kept.number} is of the same training, {kept.fingerprint[:12]}"
                target = (str(version.number), str(kept.number))
                yield Finding(Kind.DOUBLE, named(version), why, facts.model, target)


def _verdicts(facts: ModelFacts, own: Sequence[Version], limits: Limits, now: datetime) -> Iterator[Finding]:
    runs = {run.run_id: run for run in facts.runs}
    for version in own:
        if not _older(version.made_at, now, limits.settle.total_seconds()):
            continue
        run = runs.get(version.run_id)
        written = {key: run.tags[key] for key in VERDICT if key in run.tags} if run else {}
        if "verdict" in written and any(version.tags.get(key) != value for key, value in written.items()):
            why = f"its run says {written['verdict']}, the version {version.tags.get('verdict', 'nothing')}"
            yield Finding(Kind.VERDICT, named(version), why, facts.model, (str(version.number),))
        elif "verdict" not in version.tags:
            why = "neither the version nor its run has one: the next retrain of its months judges it"
            yield Finding(Kind.VERDICT, named(version), why, facts.model, (str(version.number),))


def _left_running(facts: ModelFacts, limits: Limits, now: datetime) -> Iterator[Finding]:
    registered = {version.run_id: version for version in facts.versions}
    for run in facts.runs:
        if run.status == "RUNNING" and OURS & run.tags.keys() and now - run.started_at >= limits.stale:
            version = registered.get(run.run_id)
            end = "FINISHED" if version else "FAILED"
            why = f"begun {run.started_at:%Y-%m-%d %H:%M} UTC, {named(version) if version else 'no version came of it'}"
            yield Finding(Kind.LEFT_RUNNING, f"run {run.name}", why, facts.model, (run.run_id, end))


def named(version: Version) -> str:
    """A version, for people."""
    return f"version {version.number} of {version.model}"


def _older(made_at: float, now: datetime, seconds: float) -> bool:
    return now.timestamp() - made_at >= seconds
