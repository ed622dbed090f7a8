"""A deploy against a real Prefect and a real S3: what becomes new, changed and removed, and what is left alone."""

import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate

from ops.deploy import POOL, deploying, records
from tests.integration.deploy_project import IMAGE, NIGHTLY, Project, entry, project, server
from tests.integration.servers import ROOT

RUNBOOK = ROOT / "docs/runbooks/roll-back-a-deploy.md"
LIMIT = {"limit": 1, "collision_strategy": "ENQUEUE"}


@pytest.fixture(scope="module")
def client(platform: Mapping[str, str]) -> Iterator[SyncPrefectClient]:
    with server(platform) as found:
        yield found


@pytest.fixture
def own(client: SyncPrefectClient, tmp_path: Path) -> Iterator[Project]:
    with project(client, tmp_path) as found:
        yield found


def variables(own: Project, name: str) -> dict[str, Any]:
    found = own.there(name)
    assert found
    return dict(found.job_variables)


def test_a_new_deployment_has_all_that_the_file_says(own: Project) -> None:
    commit = own.push(
        entry(
            "greet",
            parameters={"times": 3},
            schedules=[NIGHTLY],
            concurrency_limit=LIMIT,
            job_variables={"memory": "2Gi"},
        )
    )

    told = own.deploy()

    found = own.there("greet/it")
    assert found
    assert told == f"Deployed commit {commit[:12]} in {IMAGE}: 1 new, 0 changed, 0 removed (deploy 1)"
    assert found.job_variables == {"image": IMAGE, "commit": commit, "memory": "2Gi"}
    assert (found.parameters, found.tags, found.version) == ({"times": 3}, ["a"], commit[:12])
    assert found.pull_steps == [{"prefect.deployments.steps.run_shell_script": {"script": "pulled"}}]
    assert found.global_concurrency_limit
    assert found.global_concurrency_limit.limit == 1
    assert [(each.slug, each.active, each.schedule.cron) for each in found.schedules] == [
        ("nightly", True, "0 3 * * *")
    ]


def test_the_plan_names_all_that_changes_and_is_empty_afterwards(own: Project) -> None:
    first = own.push(entry("greet", schedules=[NIGHTLY], parameters={"times": 1}), entry("leave"))
    own.deploy()
    later = {**NIGHTLY, "cron": "0 4 * * *"}
    second = own.push(
        entry("greet", schedules=[later], parameters={"times": 2}, tags=["b"], concurrency_limit=2), entry("come")
    )

    lines = own.plan().lines()
    own.deploy()

    assert lines == [
        f"+ come/it: new, commit {second[:12]} in {IMAGE}",
        "~ greet/it: changed",
        "    tags: -a +b",
        "    parameter times: 1 -> 2",
        f"    commit: {first} -> {second}",
        f"    version: {first[:12]} -> {second[:12]}",
        "    concurrency_limit: none -> 2",
        "    ~ schedule nightly: 0 3 * * * America/New_York -> 0 4 * * * America/New_York",
        "- leave/it: removed",
    ]
    assert own.plan().lines() == []
    assert own.names() == {"greet/it", "come/it"}


@pytest.mark.parametrize(
    "schedule",
    [
        NIGHTLY,
        {"interval": 3600, "slug": "hourly"},
        {"interval": 3600, "anchor_date": "2026-01-01T00:00:00+00:00", "timezone": "UTC", "slug": "anchored"},
        {
            "rrule": "DTSTART:20260101T030000\nRRULE:FREQ=DAILY;INTERVAL=2",
            "slug": "by-rule",
            "parameters": {"times": 2},
        },
        {**NIGHTLY, "active": False},
    ],
    ids=lambda schedule: str(schedule["slug"]) + str(schedule.get("active", "")),
)
def test_a_deploy_of_what_is_deployed_changes_and_records_nothing(own: Project, schedule: dict[str, Any]) -> None:
    own.deploy(entry("greet", schedules=[schedule], concurrency_limit=LIMIT, parameters={"model": "b"}))
    before = own.there("greet/it")

    told = own.deploy()

    assert told.startswith("Nothing to change: commit")
    assert own.there("greet/it") == before
    assert records.numbers(own.lake) == [1]


def test_what_prefect_deploy_makes_of_the_file_is_what_is_planned(own: Project) -> None:
    commit = own.push(entry("greet", schedules=[NIGHTLY], parameters={"times": 2}, concurrency_limit=LIMIT))
    deploying.apply(own.root, POOL, {"FLOWS_IMAGE": IMAGE, "TRAINYARD_GIT_SHA": commit})

    (change,) = own.plan().changed

    assert set(change.settings) <= {"version"}
    assert (change.schedules, change.gone) == ((), ())
    own.deploy()
    assert not own.plan()


def test_what_an_operator_paused_stays_paused_whatever_else_changes(own: Project) -> None:
    own.deploy(entry("greet", schedules=[NIGHTLY]))
    found = own.there("greet/it")
    assert found
    own.client.pause_deployment(found.id)
    own.client.update_deployment_schedule(found.id, found.schedules[0].id, active=False)

    own.deploy(entry("greet", schedules=[{**NIGHTLY, "cron": "0 5 * * *"}], tags=["b"]))

    after = own.there("greet/it")
    assert after
    assert (after.id, after.paused, after.tags) == (found.id, True, ["b"])
    assert [(each.active, each.schedule.cron) for each in after.schedules] == [(False, "0 5 * * *")]


def test_a_deployment_that_is_taken_over_stays_paused_as_well(own: Project) -> None:
    commit = own.push(entry("greet", schedules=[NIGHTLY]))
    deploying.apply(own.root, POOL, {"FLOWS_IMAGE": IMAGE, "TRAINYARD_GIT_SHA": commit})
    found = own.there("greet/it")
    assert found
    own.client.pause_deployment(found.id)
    own.client.update_deployment_schedule(found.id, found.schedules[0].id, active=False)

    own.deploy()

    after = own.there("greet/it")
    assert after
    assert (after.id, after.paused, [each.active for each in after.schedules]) == (found.id, True, [False])
    assert not own.plan()


def test_a_schedule_gone_from_the_file_goes_and_the_other_one_stays(own: Project) -> None:
    weekly = {"cron": "0 0 * * 0", "slug": "weekly"}
    own.deploy(entry("greet", schedules=[NIGHTLY, weekly]))

    own.deploy(entry("greet", schedules=[weekly]))

    found = own.there("greet/it")
    assert found
    assert [each.slug for each in found.schedules] == ["weekly"]
    assert not own.plan()


def test_only_what_carries_the_projects_mark_is_removed(own: Project) -> None:
    flow = own.client.create_flow_from_name("smoke")
    own.client.create_deployment(flow, name="platform", work_pool_name=POOL, job_variables={"image": "a:1"})
    own.deploy(entry("greet"), entry("leave"))

    own.deploy(entry("greet"))

    assert own.names() == {"greet/it", "smoke/platform"}


def test_what_somebody_changed_by_hand_is_put_right_and_recorded(own: Project) -> None:
    own.deploy(entry("greet", parameters={"times": 1}))
    found = own.there("greet/it")
    assert found
    own.client.update_deployment(found.id, DeploymentUpdate(parameters={"times": 9}, work_queue_name="operators"))

    own.deploy()

    after = own.there("greet/it")
    assert after
    assert (after.parameters, after.work_queue_name) == ({"times": 1}, "default")
    newest = records.head(own.lake)
    assert newest
    assert "    parameter times: 9 -> 1" in newest.changes
    assert "    work_queue_name: operators -> default" in newest.changes


def test_a_deploy_leaves_a_record_and_an_event(own: Project) -> None:
    commit = own.push(entry("greet"))

    own.deploy(environment="staging")

    record = records.get(own.lake, 1)
    assert (record.by, record.commit, record.image, record.environment) == ("ann", commit, IMAGE, "staging")
    assert record.changes == (f"+ greet/it: new, commit {commit[:12]} in {IMAGE}",)
    assert records.is_done(own.lake, record)
    (event,) = own.events(1)
    payload = event["payload"]
    assert (event["event"], payload["number"], payload["by"]) == ("trainyard.deploy.deployed", 1, "ann")
    assert (payload["commit"], payload["image"], payload["at"]) == (commit, IMAGE, record.at)
    deployment = own.there("greet/it")
    assert deployment
    assert [each["prefect.resource.id"] for each in event["related"]] == [f"prefect.deployment.{deployment.id}"]


def test_a_rollback_returns_to_the_deploy_before_as_it_was(own: Project) -> None:
    first = own.push(entry("greet", schedules=[NIGHTLY], parameters={"times": 1}), entry("leave"))
    own.deploy()
    own.deploy(entry("greet", parameters={"times": 2}, tags=["b"]), entry("come"), image="registry.example.org/b:2")
    began = time.monotonic()

    told = own.rollback()

    assert time.monotonic() - began < 30
    assert told.startswith(f"Returned to deploy 1: commit {first[:12]} in {IMAGE}")
    assert own.names() == {"greet/it", "leave/it"}
    assert variables(own, "greet/it") == {"image": IMAGE, "commit": first}
    found = own.there("greet/it")
    assert found
    assert (found.parameters, found.tags, [each.slug for each in found.schedules]) == ({"times": 1}, ["a"], ["nightly"])
    newest = records.head(own.lake)
    assert newest
    assert (newest.number, newest.returned_to, newest.by) == (3, 1, "bob")
    assert [each["event"] for each in own.events(3)].count("trainyard.deploy.rolled-back") == 1


def test_a_rollback_that_is_done_again_does_not_bring_back_what_it_undid(own: Project) -> None:
    first = own.push(entry("greet"))
    own.deploy()
    own.deploy(entry("greet", tags=["b"]))
    own.rollback()

    told = own.rollback()

    assert told.startswith(f"Nothing to change: commit {first[:12]}")
    assert variables(own, "greet/it")["commit"] == first
    assert records.numbers(own.lake) == [3, 2, 1]


def test_a_rollback_to_a_commit_that_is_named_needs_neither_its_flows_nor_its_file(own: Project) -> None:
    first = own.push(entry("greet"))
    own.deploy()
    own.deploy(entry("come"))
    (own.root / "flows" / "greet.py").unlink()
    own.deploy(entry("other"))

    own.rollback(first[:10])

    assert own.names() == {"greet/it"}
    assert variables(own, "greet/it")["commit"] == first


@pytest.mark.parametrize("back", ["make deploy-rollback", "make deploy-rollback TO=<commit>"])
def test_the_commands_of_the_runbook_return_to_an_earlier_deploy(own: Project, back: str) -> None:
    first = own.push(entry("greet"))
    own.deploy()
    own.deploy(entry("greet", tags=["b"]))
    given = {"REPOSITORY": own.repository, "TRUST_IMAGE": "1"}

    command = back.replace("<commit>", first)
    done = subprocess.run(command, shell=True, cwd=ROOT, env={**own.env, **given}, capture_output=True, text=True)

    assert back in RUNBOOK.read_text()
    assert done.returncode == 0, done.stderr
    assert f"Returned to deploy 1: commit {first[:12]} in {IMAGE}" in done.stdout
    assert variables(own, "greet/it") == {"image": IMAGE, "commit": first}


def test_after_a_rollback_the_next_deploy_goes_forward_again(own: Project) -> None:
    own.deploy(entry("greet"))
    second = own.push(entry("greet", tags=["b"]))
    own.deploy()
    own.rollback()

    own.deploy()

    assert variables(own, "greet/it")["commit"] == second
    assert records.numbers(own.lake) == [4, 3, 2, 1]
