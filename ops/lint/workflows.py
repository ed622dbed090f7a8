"""The rules of the workflows: no right that is not asked for, nothing that can move, no logic in YAML.

Whatever a step does is a verb of the Makefile, so that it can be run and tested where there is no GitHub.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ops.lint import repository
from ops.lint.finding import Finding

FOLDER = ".github/workflows"
SECRETS = frozenset({"GITHUB_TOKEN"})
"""The secrets a workflow may read; the token of its own run is the only one there is."""
CONDITIONS = frozenset({"inputs.rollback == ''", "inputs.rollback != ''", "failure()"})
"""The conditions there may be: which of its jobs a workflow is started for, and what is kept of one that failed."""
WRITES = {
    "deploy.yaml": frozenset({"id-token"}),
    "environment.yaml": frozenset({"id-token"}),
    "scheduled.yaml": frozenset({"contents", "pull-requests", "actions"}),
}
"""The workflows that may write, and what: to be known to AWS and Sigstore, to open a pull request.

What runs there comes from no cache, which a branch could have filled.
"""

ACTIONS = {
    "actions/cache": "55cc8345863c7cc4c66a329aec7e433d2d1c52a9 # v6.1.0",
    "actions/checkout": "3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1",
    "actions/upload-artifact": "043fb46d1a93c77aae656e7c1c64a875d1fc6a0a # v7.0.1",
    "astral-sh/setup-uv": "20cfd1bf945f4377ade1205e4dbc17946fc9a30d # v10.0.1",
    "aws-actions/configure-aws-credentials": "e6de054238d6b7531b4efff3b6587d9aade6a06c # v6.2.3",
    "azure/setup-helm": "9bc31f4ebc9c6b171d7bfbaa5d006ae7abdb4310 # v5.0.1",
    "docker/login-action": "dbcb813823bdd20940b903addbd779551569679f # v4.6.0",
    "hashicorp/setup-terraform": "dfe3c3f87815947d99a8997f908cb6525fc44e9e # v4.0.1",
    "helm/kind-action": "ef37e7f390d99f746eb8b610417061a60e82a6cc # v1.14.0",
    "sigstore/cosign-installer": "6f9f17788090df1f26f669e9d70d6ae9567deba6 # v4.1.2",
}
"""The actions a workflow may use: each by its one commit, and the version that the comment beside it says."""
KEYS = {
    "the workflow": frozenset({"name", "on", True, "permissions", "concurrency", "env", "jobs"}),
    "a job": frozenset(
        {"name", "if", "needs", "permissions", "environment", "concurrency", "env", "uses", "with"}
        | {"runs-on", "timeout-minutes", "steps"}
    ),
    "a step": frozenset({"uses", "with", "run", "env", "if", "name", "id"}),
}
"""What each may say. So none goes on after an error, and none brings a shell of its own."""

_USES = re.compile(r"^\s*(?:- )?uses:\s*(?P<action>[^\s@#]+)(?:@(?P<pinned>.*)|\s+#.*)?$")
_VERB = re.compile(r"make (?P<verb>[a-z][a-z-]*)")
_SECRET = re.compile(r"\bsecrets(?:\.(\w+)|\b)")


@dataclass(frozen=True)
class Workflow:
    """A workflow: its file relative to the repository, its text, and what it says."""

    file: str
    text: str
    data: dict[Any, Any]

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        """Its jobs by name."""
        return self.data.get("jobs") or {}

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The steps of all its jobs."""
        return [step for job in self.jobs.values() for step in job.get("steps") or []]

    @property
    def triggers(self) -> list[str]:
        """What starts it. YAML reads a bare ``on`` as true."""
        on = self.data.get("on", self.data.get(True)) or []
        return [on] if isinstance(on, str) else list(on)


def check(root: Path) -> list[Finding]:
    """Every breach of a rule in any workflow."""
    found = []
    for path in sorted((root / FOLDER).glob("*.y*ml")):
        text = path.read_text("utf-8")
        workflow = Workflow(path.relative_to(root).as_posix(), text, yaml.safe_load(text))
        faults = [*_rights(workflow), *_actions(workflow), *_commands(workflow, repository.verbs(root))]
        faults += [
            *_caches(workflow),
            *_secrets(workflow),
            *_triggers(workflow),
            *_conditions(workflow),
            *_keys(workflow),
        ]
        found += [Finding(workflow.file, line, message) for line, message in faults]
    return found


def _rights(workflow: Workflow) -> Iterator[tuple[int | None, str]]:
    if workflow.data.get("permissions") != {}:
        yield None, "has no `permissions: {}` at its top: each job asks for what it needs"
    for name, job in workflow.jobs.items():
        if not isinstance(job.get("permissions"), dict):
            yield None, f"the job {name} does not list its permissions"
            continue
        wanted = {right for right, how in job["permissions"].items() if how == "write"}
        for right in sorted(wanted - WRITES.get(Path(workflow.file).name, frozenset())):
            yield None, f"the job {name} may write `{right}`, which no job of this workflow needs"


def _caches(workflow: Workflow) -> Iterator[tuple[int | None, str]]:
    """A workflow that may write takes nothing from a cache; setup-uv has one unless told otherwise."""
    if Path(workflow.file).name not in WRITES:
        return
    for step in workflow.steps:
        action = str(step.get("uses", "")).partition("@")[0]
        told = (step.get("with") or {}).get("enable-cache")
        if action == "actions/cache" or (action == "astral-sh/setup-uv" and told is not False):
            yield None, f"{action} takes from a cache what runs with the right to write: leave it out"


def _actions(workflow: Workflow) -> Iterator[tuple[int | None, str]]:
    """Actions that are known, by their commit with the version beside it; workflows of this repository."""
    lines = enumerate(workflow.text.splitlines(), start=1)
    named = [(number, match) for number, line in lines if (match := _USES.match(line))]
    for number, match in named:
        if match["action"].startswith(f"./{FOLDER}/"):
            continue
        if match["action"] not in ACTIONS:
            yield number, f"{match['action']} is none of the known actions: {', '.join(ACTIONS)}"
        elif match["pinned"] != (known := ACTIONS[match["action"]]):
            yield number, f"{match['action']} is not pinned by its commit and version: `@{known}`"
    if len(named) != sum("uses" in part for part in [*workflow.jobs.values(), *workflow.steps]):
        yield None, "says `uses` other than on a line of its own, as `uses: <action>@<commit> # <version>`"


def _keys(workflow: Workflow) -> Iterator[tuple[int | None, str]]:
    for what, parts in (
        ("the workflow", [workflow.data]),
        ("a job", workflow.jobs.values()),
        ("a step", workflow.steps),
    ):
        for key in sorted({str(key) for part in parts for key in part.keys() - KEYS[what]}):
            yield None, f"{what} says `{key}`, which none may"


def _commands(workflow: Workflow, verbs: frozenset[str]) -> Iterator[tuple[int | None, str]]:
    for step in workflow.steps:
        if "run" not in step:
            continue
        match = _VERB.fullmatch(step["run"].strip())
        if not match:
            yield None, f"`run: {step['run'].strip()}` is not one verb: `make <verb>`"
        elif match["verb"] not in verbs:
            yield None, f"`make {match['verb']}`: there is no such verb{repository.nearest(match['verb'], verbs)}"


def _secrets(workflow: Workflow) -> Iterator[tuple[int | None, str]]:
    for number, line in enumerate(workflow.text.splitlines(), start=1):
        for match in _SECRET.finditer(line.partition(" #")[0]):
            if match[1] not in SECRETS:
                yield number, f"`{match[0]}`: no key is stored; use the run's own identity (`id-token: write`)"


def _triggers(workflow: Workflow) -> Iterator[tuple[int | None, str]]:
    for trigger in {"pull_request_target", "workflow_run"} & {*workflow.triggers}:
        yield None, f"{trigger} runs what others wrote with the rights of main"


def _conditions(workflow: Workflow) -> Iterator[tuple[int | None, str]]:
    for part in [*workflow.jobs.values(), *workflow.steps]:
        if "if" in part and part["if"] not in CONDITIONS:
            yield None, f"`if: {part['if']}` is logic: put it into a verb"
