"""What is done about a finding in the lake or in MLflow. Each may be done again, and broken off at any place."""

from datetime import UTC, datetime

from flows.ml import registration
from flows.ml.lake import Lake, Upload
from flows.ml.reconciling.finding import Finding, Kind
from flows.ml.reconciling.registry_findings import VERDICT, ModelFacts
from flows.ml.registry import Version
from flows.ml.registry_upkeep import Upkeep

UNJUDGED = {
    "verdict": "refuse",
    "reason": "its registration was broken off before the verdict; the next retrain of its months judges it",
}
"""What a version is given whose verdict is nowhere: it was never promoted by the gate, and nothing promotes it so."""


def in_registry(lake: Lake, registry: Upkeep, facts: ModelFacts, finding: Finding) -> None:
    """Repair what was found of a model."""
    versions = {str(version.number): version for version in facts.versions}
    match finding.kind:
        case Kind.ALIAS:
            registration.align(lake, registry, facts.model)
        case Kind.VERDICT:
            registry.tag(versions[finding.target[0]], _verdict(facts, versions[finding.target[0]]))
        case Kind.DOUBLE:
            double, kept = finding.target
            registry.withdraw(versions[double], versions[kept])
        case Kind.OLD_VERSION:
            registry.retire(versions[finding.target[0]])
        case Kind.LEFT_RUNNING:
            registry.end_run(*finding.target)


def in_lake(lake: Lake, finding: Finding) -> None:
    """Repair what was found in the lake."""
    if finding.kind is Kind.UPLOAD:
        key, upload_id = finding.target
        lake.abort(Upload(key, upload_id, datetime.now(UTC)))
        return
    # Manifests first: data without one is half-written, and found again; a manifest without data would name nothing.
    for key in sorted(finding.target, key=lambda key: not key.endswith("/manifest.json")):
        lake.delete(key)


def _verdict(facts: ModelFacts, version: Version) -> dict[str, str]:
    """The verdict of a version as its run has it, else as the ledger has it, else that there is none."""
    tags = next((run.tags for run in facts.runs if run.run_id == version.run_id), {})
    written = {key: tags[key] for key in VERDICT if key in tags}
    if "verdict" in written:
        return written
    entry = next((entry for entry in facts.entries if entry.version == version.number), None)
    return {"verdict": "promote", "reason": entry.reason, "decision": entry.decision} if entry else UNJUDGED
