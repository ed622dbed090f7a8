"""A reconcile: each part finds, and repairs unless it is a dry run, before the next one looks."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from flows.ml.errors import TrainyardError
from flows.ml.lake import Lake
from flows.ml.reconciling import facts, lake_findings, registry_findings, repairs, retention, schedule
from flows.ml.reconciling.finding import DELETES, REPAIRS, Finding, Kind, Limits
from flows.ml.reconciling.registry_findings import ModelFacts
from flows.ml.registry import Version
from flows.ml.registry_upkeep import Upkeep
from flows.reconciling import runs
from flows.reconciling.jobs import Jobs
from flows.reconciling.orchestrator import Orchestrator, PrefectUnreachable

POOL = "kubernetes"
"""The work pool each run of which has a Job."""


@dataclass(frozen=True)
class Systems:
    """What is reconciled; ``models`` maps names to datasets. ``jobs`` is None where none are seen, ``no_jobs`` why."""

    lake: Lake
    registry: Upkeep
    prefect: Orchestrator
    models: Mapping[str, str]
    jobs: Jobs | None = None
    no_jobs: str = ""


@dataclass(frozen=True)
class Outcome:
    """A finding and what was done about it; ``repaired`` where it is put right, or would be."""

    finding: Finding
    done: str
    failed: bool = False
    repaired: bool = False


@dataclass
class Reconcile:
    """A reconcile that is under way, and its report: ``outcomes``, and ``notes`` of what was left out.

    ``failed`` where something could not be looked at or repaired.
    """

    systems: Systems
    limits: Limits
    now: datetime
    dry_run: bool
    outcomes: list[Outcome] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: bool = False
    prefect_answers: bool = True
    torn: set[str] = field(default_factory=set)
    """Models whose champion MLflow has lost or whose ledger is empty, and their datasets: until a person has put that
    right, nobody knows what is referred to."""
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    def run(self) -> "Reconcile":
        """Find and repair everything. What cannot be reached is noted and left out."""
        self._part("runs and Jobs", self._runs, without=PrefectUnreachable)
        self.began = datetime.now(UTC)  # the runs that were ended just now were at nothing
        models: list[ModelFacts] = []
        staying: list[Version] = []
        read = self._part("MLflow and the ledger", lambda: self._models(models, staying))
        if read:  # what is referred to is known only then
            self._part("the lake", lambda: self._lake(models, staying))
        self._part("the mark of monthly", self._monthly)
        return self

    def _part(self, name: str, work: Callable[[], None], without: type[TrainyardError] | None = None) -> bool:
        try:
            work()
        except TrainyardError as error:
            self.notes.append(f"{name}: left out. {error}")
            self.failed |= not (without and isinstance(error, without))
            return False
        return True

    def _runs(self) -> None:
        try:
            under_way = self.systems.prefect.under_way()
        except PrefectUnreachable:
            self.prefect_answers = False
            raise
        dead: frozenset[str] = frozenset()
        if jobs := self.systems.jobs:
            there = jobs.list()
            lost = runs.without_job(list(under_way.values()), there, POOL, self.limits, self.now)
            self._all(lost, self._end)
            dead = frozenset(finding.target[0] for finding in lost)
            asked = self.systems.prefect.find({job.run_id for job in there})
            self._all(runs.without_run(asked, there, self.limits, self.now), lambda found: jobs.delete(*found.target))
        else:
            self.notes.append(f"Jobs: not looked at. {self.systems.no_jobs}")
        self._all(runs.orphans(under_way, dead, self.limits, self.now), self._end)

    def _models(self, models: list[ModelFacts], staying: list[Version]) -> None:
        for name, dataset in self.systems.models.items():
            found = facts.of_model(self.systems.lake, self.systems.registry, name)
            models.append(found)
            findings = registry_findings.find(found, self.limits, self.now)
            if any(finding.kind is Kind.CHAMPION for finding in findings):
                self.torn |= {name, dataset}
            gone = self._all(findings, self._repairing(found))
            gone += self._all(retention.old_versions(found, self.limits, self.now), self._repairing(found))
            numbers = {one.target[0] for one in gone if one.kind in (Kind.DOUBLE, Kind.OLD_VERSION)}
            staying += [version for version in found.versions if str(version.number) not in numbers]
        for name in self.systems.registry.models():
            if name not in self.systems.models:  # a later commit's, or another project's
                staying += [version for version in self.systems.registry.versions(name) if version.fingerprint]

    def _lake(self, models: list[ModelFacts], staying: list[Version]) -> None:
        found = facts.of_lake(self.systems.lake, models, staying, self.limits)
        old = retention.old_months(found.listed, found.current, found.used, self.limits, self.now)
        findings = lake_findings.find(found, self.limits, self.now, old)
        self._all([*old, *findings], lambda finding: repairs.in_lake(self.systems.lake, finding))

    def _monthly(self) -> None:
        marks = schedule.marks(self.systems.lake)
        if not marks:
            self.notes.append("monthly: it never came to a good end yet, and no schedule was ever deployed here")
        self._all(schedule.find(marks, self.limits, self.now), lambda finding: None)

    def _repairing(self, found: ModelFacts) -> Callable[[Finding], None]:
        return lambda finding: repairs.in_registry(self.systems.lake, self.systems.registry, found, finding)

    def _end(self, finding: Finding) -> None:
        run_id, state_id = finding.target
        why = f"reconcile: {finding.kind} ({finding.why}). Run it again; it goes on where it stopped."
        self.systems.prefect.end(run_id, state_id, why)

    def _all(self, findings: Iterable[Finding], repair: Callable[[Finding], None]) -> list[Finding]:
        """Repair findings; gives those that are repaired, or would be."""
        outcomes = []
        for finding in findings:
            outcomes.append(self._one(finding, repair))
            self.outcomes.append(outcomes[-1])
            self.failed |= outcomes[-1].failed
        return [outcome.finding for outcome in outcomes if outcome.repaired]

    def _one(self, finding: Finding, repair: Callable[[Finding], None]) -> Outcome:
        try:
            if kept := self._hands_off(finding):
                return Outcome(finding, kept)
            if finding.kind not in REPAIRS:
                return Outcome(finding, "needs a person", failed=True)
            if self.dry_run:
                return Outcome(finding, f"would {REPAIRS[finding.kind]}", repaired=True)
            repair(finding)
        except TrainyardError as error:
            return Outcome(finding, f"could not {REPAIRS.get(finding.kind, 'look')}: {error}", failed=True)
        return Outcome(finding, f"done: {REPAIRS[finding.kind]}", repaired=True)

    def _hands_off(self, finding: Finding) -> str:
        """Why a finding is let be. Prefect is asked anew each time: a run may have begun since the last one, and ended,
        and what was found may be in use by now."""
        if finding.kind in DELETES and finding.owner in self.torn:
            return "let be: MLflow or the ledger has lost the champion"
        if not self.prefect_answers:
            return "let be: only Prefect knows what is under way" if finding.kind in DELETES else ""
        if finding.owner and finding.owner in self.systems.prefect.busy(self.began):
            return f"let be: a run of {finding.owner} is under way, or was since this began"
        return ""
