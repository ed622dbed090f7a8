"""What a reconcile finds, by facts made up: the boundaries of age and number, and that nothing in use is found."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.ml.lake import Listed, Upload
from flows.ml.ledger import Entry
from flows.ml.reconciling import lake_findings, registry_findings, retention, schedule
from flows.ml.reconciling.finding import DELETES, REPAIRS, Finding, Kind, Limits
from flows.ml.reconciling.lake_findings import LakeFacts
from flows.ml.reconciling.registry_findings import ModelFacts
from flows.ml.reconciling.schedule import Mark
from flows.ml.registry import Version
from flows.ml.registry_upkeep import Run
from flows.reconciling import report
from flows.reconciling.whole import Outcome, Reconcile, Systems
from tests.unit.verdicts import VERDICT, snapshot

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LIMITS = Limits()
A, B = "a" * 64, "b" * 64


def ago(**length: float) -> datetime:
    return NOW - timedelta(**length)


def version(number: int, days: float = 1, fingerprint: str = "", **tags: str) -> Version:
    name = fingerprint or f"f{number}"
    made_at = ago(days=days).timestamp()
    return Version("m", number, f"run{number}", name, {**VERDICT, **tags}, made_at)


def entry(number: int, of: int) -> Entry:
    return Entry(number, of, None, f"f{of}", "d", "r", "o", "2026-01-01")


def month(address: str, at: datetime, *, whole: bool = True) -> list[Listed]:
    folder = f"raw/green/2024-01/{address}"
    return [Listed(f"{folder}/{name}", 1, at) for name in ("data.parquet", *(["manifest.json"] if whole else []))]


def old_months(listed: Sequence[Listed], versions: Sequence[Version], limits: Limits = LIMITS) -> list[Finding]:
    """What retention finds of a month whose address is A now."""
    used = lake_findings.used(listed, versions)
    return retention.old_months(listed, {("green", "2024-01"): A}, used, limits, NOW)


def lake(listed: Sequence[Listed], uploads: Sequence[Upload] = (), current: str = "") -> LakeFacts:
    months = {("green", "2024-01"): current} if current else {}
    return LakeFacts(listed, uploads, months, {}, frozenset({"kept"}), frozenset(), frozenset(), {}, {"m"})


def kinds(found: Sequence[Finding]) -> list[Kind]:
    return [finding.kind for finding in found]


def test_every_kind_has_a_repair_or_needs_a_person() -> None:
    assert set(Kind) - set(REPAIRS) == {Kind.CHAMPION, Kind.NO_MONTHLY}
    assert set(REPAIRS) >= DELETES


@pytest.mark.parametrize(("hours", "found"), [(23.9, []), (24, [Kind.HALF_WRITTEN])])
def test_half_a_month_is_one_once_no_run_can_be_at_work_on_it(hours: float, found: list[Kind]) -> None:
    assert kinds(lake_findings.find(lake(month(A, ago(hours=hours), whole=False)), LIMITS, NOW)) == found


def test_half_a_month_is_as_old_as_the_youngest_of_its_objects() -> None:
    listed = month(A, ago(days=9), whole=False)
    rewritten = [*listed, Listed(f"raw/green/2024-01/{A}/more", 1, ago(hours=1))]

    assert lake_findings.find(lake(rewritten), LIMITS, NOW) == []


def test_the_current_address_is_never_found_whatever_it_lacks() -> None:
    assert lake_findings.find(lake(month(A, ago(days=900), whole=False), current=A), LIMITS, NOW) == []


def test_a_former_address_is_for_retention_and_not_half_written() -> None:
    assert lake_findings.find(lake(month(B, ago(days=900)), current=A), LIMITS, NOW) == []


@pytest.mark.parametrize(("used", "found"), [({A}, []), ({B}, [Kind.HALF_WRITTEN])])
def test_a_whole_month_that_a_version_was_trained_on_stays_though_no_manifest_makes_it_the_month(
    used: set[str], found: list[Kind]
) -> None:
    facts = replace(lake(month(A, ago(days=9))), used=used)

    assert kinds(lake_findings.find(facts, LIMITS, NOW)) == found


PREDICTED = [f"predictions/m/2024-01/a/v1/{name}" for name in ("manifest.json", "1-data.parquet", "2-data.parquet")]


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ({PREDICTED[0]: PREDICTED[1]}, [(PREDICTED[2],)]),  # a writer that was killed had other bytes
        ({PREDICTED[0]: None}, [tuple(PREDICTED)]),
        ({}, []),  # nobody can read what it names
    ],
)
def test_what_a_manifest_of_predictions_does_not_name_goes_and_all_of_it_where_its_file_is_gone(
    named: dict[str, str | None], found: list[tuple[str, ...]]
) -> None:
    facts = replace(lake([Listed(key, 1, ago(days=2)) for key in PREDICTED]), predicted=named)
    young = replace(lake([Listed(key, 1, ago(hours=23)) for key in PREDICTED]), predicted=named)

    assert [finding.target for finding in lake_findings.find(facts, LIMITS, NOW)] == found
    assert lake_findings.find(young, LIMITS, NOW) == []


def test_files_of_a_training_that_a_version_is_of_stay() -> None:
    listed = [Listed(f"candidates/m/{name}/0-x", 1, ago(days=9)) for name in ("kept", "lost")]

    (found,) = lake_findings.find(lake(listed), LIMITS, NOW)

    assert (found.kind, found.target, found.owner) == (Kind.STAGED, ("candidates/m/lost/0-x",), "m")


def test_what_is_of_a_model_that_this_code_does_not_know_is_let_be() -> None:
    keys = ("candidates/later/lost/0-x", "decisions/later/lost/0-x", "predictions/later/2024-01/a/v1/1-data.parquet")

    uploads = [Upload(key, "id", ago(days=900)) for key in keys]

    assert lake_findings.find(lake([Listed(key, 1, ago(days=900)) for key in keys], uploads), LIMITS, NOW) == []


def test_uploads_are_found_in_the_folders_of_flows_alone() -> None:
    uploads = [Upload(f"{folder}/m/x", folder, ago(days=2)) for folder in ("raw", "mlflow", "results", "elsewhere")]

    (found,) = lake_findings.find(lake([], uploads), LIMITS, NOW)

    assert found.target == ("raw/m/x", "raw")


def test_a_model_in_order_is_no_finding() -> None:
    run = Run("run1", "r", "FINISHED", ago(days=1), {**VERDICT, "fingerprint": "f1"})
    facts = ModelFacts("m", [entry(1, 1)], {"champion": 1}, [version(1)], [run])

    assert registry_findings.find(facts, LIMITS, NOW) == []


def test_a_head_of_another_training_than_the_version_of_its_number_is_for_a_person() -> None:
    facts = ModelFacts("m", [entry(1, 1)], {"champion": 1}, [version(1, fingerprint="other")])

    assert kinds(registry_findings.find(facts, LIMITS, NOW)) == [Kind.CHAMPION]


@pytest.mark.parametrize(("minutes", "found"), [(59, []), (60, [Kind.DOUBLE])])
def test_two_that_register_at_once_are_given_time_to_agree(minutes: float, found: list[Kind]) -> None:
    made_at = ago(minutes=minutes).timestamp()
    twice = [Version("m", number, f"run{number}", "f", VERDICT, made_at) for number in (1, 2)]

    assert kinds(registry_findings.find(ModelFacts("m", versions=twice), LIMITS, NOW)) == found


@pytest.mark.parametrize(("hours", "found"), [(23.9, []), (24, [Kind.LEFT_RUNNING])])
@pytest.mark.parametrize("tag", ["fingerprint", "report"])
def test_a_run_in_mlflow_may_be_running_for_as_long_as_a_flow_run_may(
    tag: str, hours: float, found: list[Kind]
) -> None:
    run = Run("r", "r", "RUNNING", ago(hours=hours), {tag: "f"})

    assert kinds(registry_findings.find(ModelFacts("m", runs=[run]), LIMITS, NOW)) == found


def test_a_run_in_mlflow_that_is_not_of_a_training_is_let_be() -> None:
    run = Run("r", "r", "RUNNING", ago(days=9), {})

    assert registry_findings.find(ModelFacts("m", runs=[run]), LIMITS, NOW) == []


@given(
    ages=st.lists(st.integers(0, 800), max_size=40),
    promoted=st.lists(st.integers(1, 40), max_size=15),
    alias=st.integers(1, 40),
    limits=st.builds(
        Limits, keep_days=st.integers(0, 400), keep_versions=st.integers(1, 30), keep_promotions=st.integers(1, 12)
    ),
)
def test_retention_never_takes_what_serves_is_new_or_young(
    ages: list[int], promoted: list[int], alias: int, limits: Limits
) -> None:
    versions = [version(number, days) for number, days in enumerate(sorted(ages, reverse=True), 1)]
    facts = ModelFacts("m", [entry(n, of) for n, of in enumerate(promoted, 1)], {"champion": alias}, versions)

    gone = {int(one.target[0]) for one in retention.old_versions(facts, limits, NOW)}

    kept = {*promoted[-limits.keep_promotions :], alias}
    kept |= {found.number for found in versions[-limits.keep_versions :]}
    kept |= {found.number for found in versions if found.made_at >= ago(days=limits.keep_days).timestamp()}
    everything = {found.number for found in versions}
    assert gone == (everything - kept if limits.keep_days and promoted else set())


def test_no_days_is_for_ever() -> None:
    limits = Limits(keep_days=0)
    facts = ModelFacts("m", [entry(1, 30)], {}, [version(number, 900) for number in range(1, 31)])

    assert retention.old_versions(facts, limits, NOW) == []
    assert old_months(month(B, ago(days=900)), [], limits) == []


@pytest.mark.parametrize(
    ("days", "used", "found"), [(179, [], 0), (181, [], 1), (181, [snapshot(B, A)], 0), (181, [snapshot(A, B)], 0)]
)
def test_a_former_address_goes_once_it_is_old_and_no_version_used_it(
    days: float, used: list[dict[str, str]], found: int
) -> None:
    versions = [version(number, **tags) for number, tags in enumerate(used, 1)]

    gone = old_months(month(B, ago(days=days)), versions)

    assert len(gone) == found


def test_a_former_address_stays_for_as_long_as_its_predictions_do() -> None:
    folder = f"predictions/m/2024-01/{B}/v1"
    data = Listed(f"{folder}/{A}-data.parquet", 1, ago(days=900))
    manifest = Listed(f"{folder}/manifest.json", 1, ago(days=900))
    listed = month(B, ago(days=900))

    assert len(old_months([*listed, data], [])) == 1
    assert old_months([*listed, data, manifest], []) == []


@pytest.mark.parametrize(
    ("days", "news", "told"),
    [
        (40, 40, ""),
        (41, 41, "it last ended well 41 days ago"),
        (1, 120, ""),
        (1, 121, "no run with a new month ended well since .*, 121 days ago"),
    ],
)
def test_no_successful_monthly_or_no_new_month_is_said_after_the_days_it_may_be_without_one(
    days: int, news: int, told: str
) -> None:
    late = schedule.find({"m": Mark(ago(days=days), ago(days=news))}, LIMITS, NOW)

    assert len(late) == bool(told)
    assert all(re.search(told, one.why) and "delete marks/monthly/m.json" in one.why for one in late)


def test_a_monthly_that_never_ended_well_is_said_and_no_limit_is_for_ever() -> None:
    never = Mark(ago(days=50), ago(days=50), ended=False)

    (late,) = schedule.find({"m": never}, LIMITS, NOW)

    assert late.why.startswith("it never ended well since its schedule was deployed, 50 days ago")
    assert schedule.find({"m": never}, Limits(monthly_days=0), NOW) == []


def test_a_report_shows_what_stands_in_brackets_as_it_is() -> None:
    systems = Systems(*[None] * 3, models={})  # type: ignore[arg-type]
    what, why = "run [/red] of trip-duration", "INTERNAL_ERROR [parameters: ('a',)]"
    outcomes = [Outcome(Finding(Kind.NO_JOB, what, why), "done")]

    text = report.text(Reconcile(systems, Limits(), NOW, dry_run=False, outcomes=outcomes))

    assert what in text
    assert why in text
