"""The check of prefect.yaml finds what Prefect would pass over in silence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.lint import deployments, prefect_yaml

ROOT = Path(__file__).resolve().parents[2]
FLOW = """
from enum import StrEnum
from typing import Annotated
from prefect import flow
from pydantic import Field

class Model(StrEnum):
    TRIPS = "trips"

@flow(name="train")
def train(model: Model, month: Annotated[str, Field(pattern=r"^\\d{4}-\\d{2}$")], window: int = 3) -> None: ...

def plain() -> None: ...
"""

Change = Callable[[dict[str, Any]], object]


def document() -> dict[str, Any]:
    clone = {"prefect.deployments.steps.git_clone": {"repository": "r", "commit_sha": "{{ sha.stdout }}"}}
    script = {"prefect.deployments.steps.run_shell_script": {"id": "sha", "script": "git rev-parse HEAD"}}
    deployment = {
        "name": "nightly",
        "flow_name": "train",
        "entrypoint": "flow.py:train",
        "description": "Train.",
        "tags": ["model"],
        "parameters": {"model": "trips", "month": "2023-01"},
        "schedules": [{"cron": "0 6 * * *", "timezone": "Europe/Berlin"}],
        "concurrency_limit": {"limit": 1, "collision_strategy": "ENQUEUE"},
        "work_pool": {"name": "local"},
        "build": [script],
        "pull": [clone],
    }
    return {"name": "example", "definitions": {"anything": 1}, "deployments": [deployment]}


def findings(root: Path, change: Change) -> list[str]:
    data = document()
    change(data["deployments"][0])
    return findings_of(root, yaml.safe_dump(data))


def findings_of(root: Path, text: str) -> list[str]:
    (root / "flow.py").write_text(FLOW)
    (root / "prefect.yaml").write_text(text)
    return [str(finding) for finding in deployments.check(root)]


def test_the_repositorys_deployments_pass() -> None:
    found = deployments.check(ROOT)

    assert found == []
    assert prefect_yaml.load(ROOT).entries


def test_a_right_file_passes(tmp_path: Path) -> None:
    assert findings(tmp_path, lambda d: None) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(schedulez=d.pop("schedules")), "unknown key `schedulez`; did you mean `schedules`?"),
        (lambda d: d["schedules"][0].update(actve=True), "schedules: unknown key `actve`; did you mean `active`?"),
        (lambda d: d["work_pool"].update(job_variable={}), "work_pool: unknown key `job_variable`"),
        (lambda d: d["concurrency_limit"].update(limits=1), "concurrency_limit: unknown key `limits`"),
        (lambda d: d["concurrency_limit"].update(collision_strategy="WAIT"), "collision_strategy: Input should be"),
        (lambda d: d["schedules"][0].update(cron="0 6 * *"), "schedules: cron: "),
        (lambda d: d["schedules"][0].update(timezone="Europe/Berlinn"), "schedules: timezone: "),
        (lambda d: d["schedules"][0].update(interval=60), "Exactly one of"),
        (lambda d: d.update(schedule=d.pop("schedules")[0]), "unknown key `schedule`; did you mean `schedules`?"),
        (lambda d: d.update(schedules="daily"), "schedules: is no list"),
        (lambda d: d.update(parameters=[1]), "parameters: "),
        (lambda d: d.pop("description"), "has no description"),
        (lambda d: d.update(tags=[]), "has no tags"),
        (lambda d: d["work_pool"].pop("name"), "work_pool: has no name"),
    ],
)
def test_what_breaks_prefects_schema_is_found(tmp_path: Path, change: Change, message: str) -> None:
    found = findings(tmp_path, change)

    assert any(one.startswith("prefect.yaml:4: train/nightly: ") and message in one for one in found), found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d.update(pull=[{"prefect.deployments.steps.git_cloned": {}}]),
            "is no function that can be imported",
        ),
        (lambda d: d.update(pull=[{"nothing.here": {}}]), "is no function that can be imported"),
        (
            lambda d: d["pull"][0]["prefect.deployments.steps.git_clone"].update(commit="x"),
            "pull: prefect.deployments.steps.git_clone: got an unexpected keyword argument 'commit'",
        ),
        (
            lambda d: d["build"][0]["prefect.deployments.steps.run_shell_script"].pop("script"),
            "missing a required argument: 'script'",
        ),
        (lambda d: d["pull"][0].update(other={}), "a step is one function with its arguments"),
        (
            lambda d: d["build"][0]["prefect.deployments.steps.run_shell_script"].update(id="revision"),
            "`{{ sha.stdout }}` names the output of a step `sha`, and no step has that id",
        ),
    ],
)
def test_a_step_that_could_not_run_as_written_is_found(tmp_path: Path, change: Change, message: str) -> None:
    found = findings(tmp_path, change)

    assert any(message in one for one in found), found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(entrypoint="flows.py:train"), "entrypoint flows.py:train: there is no such file"),
        (lambda d: d.update(entrypoint="flow.py:trained"), "entrypoint flow.py:trained: "),
        (lambda d: d.update(entrypoint="flow.py:plain"), "entrypoint flow.py:plain: "),
        (lambda d: d.update(flow_name="retrain"), "the flow at flow.py:train is named `train`"),
        (lambda d: d["parameters"].update(windw=2), "the flow has no `windw`; did you mean `window`?"),
        (lambda d: d["parameters"].update(model="trip"), "parameters: model: 'trip' is not one of ['trips']"),
        (lambda d: d["parameters"].update(month="2023-1"), "parameters: month: '2023-1' does not match"),
        (lambda d: d["parameters"].update(window="two"), "parameters: window: 'two' is not of type 'integer'"),
        (lambda d: d["parameters"].pop("month"), "schedules: nothing gives the parameter `month`"),
        (lambda d: d["schedules"][0].update(parameters={"windw": 2}), "schedules: parameters: the flow has no `windw`"),
    ],
)
def test_what_the_flow_would_refuse_is_found(tmp_path: Path, change: Change, message: str) -> None:
    found = findings(tmp_path, change)

    assert any(message in one for one in found), found


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["parameters"].update(month="{{ sha.stdout }}"),
        lambda d: d.update(pull=d["pull"][0]),
        lambda d: (d["parameters"].pop("month"), d["schedules"][0].update(parameters={"month": "2023-02"})),
        lambda d: (d["parameters"].pop("month"), d.pop("schedules")),
    ],
    ids=["a template", "a single step", "given by the schedule", "left to the form"],
)
def test_what_prefect_takes_passes(tmp_path: Path, change: Change) -> None:
    assert findings(tmp_path, change) == []


def test_an_unknown_key_of_the_file_itself_is_found(tmp_path: Path) -> None:
    found = findings_of(tmp_path, yaml.safe_dump({**document(), "deploymentz": []}))

    assert found == ["prefect.yaml: unknown key `deploymentz`; did you mean `deployments`?"]


def test_two_deployments_of_one_name_are_found(tmp_path: Path) -> None:
    data = document()
    data["deployments"] *= 2

    found = findings_of(tmp_path, yaml.safe_dump(data))

    assert found == ["prefect.yaml: train/nightly: the name is given twice"]


def test_a_key_that_stands_twice_is_found_at_its_line(tmp_path: Path) -> None:
    text = yaml.safe_dump(document())

    found = findings_of(tmp_path, text + "name: other\n")

    assert found == [f"prefect.yaml:{text.count(chr(10)) + 1}: the key `name` stands twice; the last one counts"]


def test_merged_keys_are_checked_where_they_end_up(tmp_path: Path) -> None:
    first = yaml.safe_dump(document()["deployments"][0], default_flow_style=True, width=1000).strip()
    second = "{<<: *first, name: weekly, parameters: {model: trip, month: 2023-01}}"

    (found,) = findings_of(tmp_path, f"deployments:\n- &first {first}\n- {second}\n")

    assert found.startswith("prefect.yaml:3: train/weekly: parameters: model: 'trip' is not one of")


@pytest.mark.parametrize("text", ["", "[]", "deployments: []", "name: example"])
def test_a_file_without_deployments_does_not_pass(tmp_path: Path, text: str) -> None:
    assert "prefect.yaml: holds no deployment" in findings_of(tmp_path, text)
