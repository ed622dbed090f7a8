"""The rules of the workflows; each finds a workflow that was broken on purpose."""

from pathlib import Path

import pytest

from ops.lint import workflows

ROOT = Path(__file__).resolve().parents[2]
RIGHT = """
name: Right
on: [push]
permissions: {}
jobs:
  one:
    runs-on: ubuntu-24.04
    permissions:
      contents: read
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
      - run: make build
        env:
          TOKEN: ${{ secrets.GITHUB_TOKEN }}
"""
CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"


def findings(root: Path, before: str = "", after: str = "", name: str = "one.yaml") -> list[str]:
    """What is found in the right workflow after a change."""
    assert before in RIGHT
    folder = root / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / name).write_text(RIGHT.replace(before, after) if before else RIGHT)
    (root / "Makefile").write_text("build:\n\ttrue\n")
    return [str(one) for one in workflows.check(root)]


def test_the_repositorys_workflows_keep_every_rule() -> None:
    assert workflows.check(ROOT) == []


def test_the_repository_has_the_workflows_the_docs_speak_of() -> None:
    found = {path.name for path in (ROOT / workflows.FOLDER).iterdir()}

    assert found == {"ci.yaml", "deploy.yaml", "environment.yaml", "scheduled.yaml"}


def test_a_right_workflow_passes(tmp_path: Path) -> None:
    assert findings(tmp_path) == []


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("permissions: {}\n", "", "has no `permissions: {}` at its top"),
        ("permissions: {}\n", "permissions: write-all\n", "has no `permissions: {}` at its top"),
        ("    permissions:\n      contents: read\n", "", "the job one does not list its permissions"),
        ("    permissions:\n      contents: read\n", "    permissions: write-all\n", "the job one does not list"),
        ("contents: read", "contents: write", "the job one may write `contents`, which no job of this workflow needs"),
        ("contents: read", "id-token: write", "the job one may write `id-token`, which no job of this workflow needs"),
        (CHECKOUT, "actions/checkout@v7 # v7.0.1", "actions/checkout is not pinned by its commit"),
        (CHECKOUT, "actions/checkout@3d3c42e # v7.0.1", "is not pinned by its commit"),
        (CHECKOUT, f"actions/checkout@{'0' * 40} # v7.0.1", "is not pinned by its commit"),
        (CHECKOUT, CHECKOUT.partition(" #")[0], "is not pinned by its commit and version: `@3d3c42e5"),
        (CHECKOUT, f"actions/github-script@{'0' * 40} # v9.0.0", "actions/github-script is none of the known actions"),
        (CHECKOUT, "docker://alpine:3", "docker://alpine:3 is none of the known actions"),
        (f"uses: {CHECKOUT}", "uses:\n          evil/action@main", "says `uses` other than on a line of its own"),
        (f"- uses: {CHECKOUT}", "- {uses: evil/action@main}", "says `uses` other than on a line of its own"),
        (CHECKOUT, "./.github/actions/own", "./.github/actions/own is none of the known actions"),
        ("run: make build", "run: make build\n        continue-on-error: true", "a step says `continue-on-er"),
        ("run: make build", "run: make build\n        shell: python {0}", "a step says `shell`"),
        ("    steps:", "    continue-on-error: true\n    steps:", "a job says `continue-on-error`"),
        ("jobs:", "defaults: {run: {shell: sh}}\njobs:", "the workflow says `defaults`"),
        ("make build", "pip install x", "`run: pip install x` is not one verb"),
        ("make build", "make build && curl x", "is not one verb"),
        ("make build", "make build SHELL=./x", "is not one verb"),
        ("make build", "make build TAG=${{ github.ref_name }}", "is not one verb"),
        ("make build", "|\n          make build\n          make build", "is not one verb"),
        ("make build", "make biuld", "`make biuld`: there is no such verb; did you mean `build`?"),
        ("secrets.GITHUB_TOKEN", "secrets.AWS_SECRET_ACCESS_KEY", "`secrets.AWS_SECRET_ACCESS_KEY`: no key is stored"),
        ("secrets.GITHUB_TOKEN", "toJSON(secrets)", "`secrets`: no key is stored"),
        ("on: [push]", "on: [pull_request_target]", "pull_request_target runs what others wrote"),
        ("on: [push]", "on:\n  workflow_run:\n    workflows: [CI]", "workflow_run runs what others wrote"),
        ("      - run:", "      - if: github.actor == 'me'\n        run:", "`if: github.actor == 'me'` is logic"),
        ("    runs-on:", "    if: always()\n    runs-on:", "`if: always()` is logic"),
    ],
)
def test_a_workflow_broken_on_purpose_is_found(tmp_path: Path, before: str, after: str, message: str) -> None:
    (found,) = findings(tmp_path, before, after)

    assert message in found


@pytest.mark.parametrize("action", ["actions/cache", "astral-sh/setup-uv"])
def test_a_workflow_that_may_write_takes_nothing_from_a_cache(tmp_path: Path, action: str) -> None:
    pinned = f"{action}@{workflows.ACTIONS[action]}"

    (found,) = findings(tmp_path, CHECKOUT, pinned, "deploy.yaml")

    assert f"{action} takes from a cache what runs with the right to write" in found


def test_one_that_says_so_takes_nothing_from_a_cache_and_may_write_what_it_needs(tmp_path: Path) -> None:
    action = "astral-sh/setup-uv"
    pinned = f"{action}@{workflows.ACTIONS[action]}\n        with: {{enable-cache: false}}"

    assert findings(tmp_path, CHECKOUT, pinned, "deploy.yaml") == []


def test_a_finding_names_the_line_where_there_is_one(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, CHECKOUT, "actions/checkout@main # v7.0.1")

    assert found.startswith(".github/workflows/one.yaml:11: ")
