"""Which versions and which addresses of months nothing that is kept refers to any more. Pure."""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timedelta

from flows.ml.lake import Listed
from flows.ml.reconciling.finding import Finding, Kind, Limits
from flows.ml.reconciling.lake_findings import Address, addresses
from flows.ml.reconciling.registry_findings import ModelFacts, named


def old_versions(facts: ModelFacts, limits: Limits, now: datetime) -> list[Finding]:
    """The versions to delete.

    What stays: those of the ledger's last entries, those an alias names, the newest, the young ones, and those that
    bear no fingerprint and so are not Trainyard's. A model without a ledger has no champion to keep: nothing is old.
    """
    if not limits.keep_days or not facts.entries:
        return []
    promoted = {entry.version for entry in facts.promoted(limits)}
    newest = {version.number for version in facts.versions[-limits.keep_versions :]}
    kept = promoted | newest | set(facts.aliases.values())
    begin = (now - timedelta(days=limits.keep_days)).timestamp()
    why = f"older than {limits.keep_days} days, not among the newest {limits.keep_versions}, not in service"
    return [
        Finding(Kind.OLD_VERSION, named(version), why, facts.model, (str(version.number),))
        for version in facts.versions
        if version.fingerprint and version.number not in kept and version.made_at < begin
    ]


def old_months(
    listed: Sequence[Listed],
    current: Mapping[tuple[str, str], str],
    used: Set[str],
    limits: Limits,
    now: datetime,
) -> list[Finding]:
    """The addresses of months to delete: neither current nor ``used``, by a version or predictions, nor young.

    ``current`` is the address of each dataset and month; an address of a month that has none is no case for retention.
    """
    if not limits.keep_days:
        return []
    begin = now - timedelta(days=limits.keep_days)
    return [
        Finding(Kind.OLD_MONTH, f"{place.folder}", _why(limits), place.dataset, place.keys)
        for place in addresses(listed)
        if _is_former(place, current) and place.address not in used and place.written < begin
    ]


def _is_former(place: Address, current: Mapping[tuple[str, str], str]) -> bool:
    now = current.get((place.dataset, place.month))
    return place.whole and now is not None and now != place.address


def _why(limits: Limits) -> str:
    return f"a correction replaced it more than {limits.keep_days} days ago, no version knows it and it was not scored"
