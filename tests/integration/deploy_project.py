"""A small project that is deployed in tests: a checkout, the repository it is pushed to, a pool, a lake of its own."""

import contextlib
import os
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound

from flows.ml.lake import Lake, connect
from ops.deploy import POOL, deploying
from ops.deploy.plan import Plan
from tests.integration.servers import ROOT, at

IMAGE = "registry.example.org/trainyard/flows:0123456789ab"
AUTHOR = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
FLOW = """
from prefect import flow

@flow(name="{name}")
def {name}(times: int = 1, model: str = "a") -> int:
    return times
"""
PAIR = {"image": "{{ $FLOWS_IMAGE }}", "commit": "{{ $TRAINYARD_GIT_SHA }}"}
NIGHTLY = {"cron": "0 3 * * *", "timezone": "America/New_York", "slug": "nightly"}
TEMPLATE = {
    "job_configuration": {"image": "{{ image }}"},
    "variables": {
        "type": "object",
        "required": ["image"],
        "properties": {name: {"type": "string"} for name in ("image", "commit", "memory")}
        | {"labels": {"type": "object"}},
    },
}


def entry(flow: str, name: str = "it", **changed: Any) -> dict[str, Any]:
    """A deployment as ``prefect.yaml`` has it."""
    own = changed.pop("job_variables", {})
    return {
        "name": name,
        "flow_name": flow,
        "entrypoint": f"flows/{flow}.py:{flow}",
        "description": f"Runs {flow}.",
        "tags": ["a"],
        "work_pool": {"name": POOL, "job_variables": {**PAIR, **own}},
        **changed,
    }


@dataclass
class Project:
    """The checkout ``root``, pushed to ``repository``. ``entries`` are the deployments of its ``prefect.yaml``."""

    root: Path
    name: str
    env: Mapping[str, str]
    lake: Lake
    client: SyncPrefectClient
    entries: list[dict[str, Any]] = field(default_factory=list)

    @property
    def repository(self) -> str:
        """Where commits are pushed to."""
        return f"file://{self.root.parent / 'published'}"

    def git(self, *argv: str) -> str:
        """Run git in the checkout."""
        done = subprocess.run(["git", *AUTHOR, *argv], cwd=self.root, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def write(self, *entries: dict[str, Any]) -> None:
        """Let the file have these deployments, and commit, without a push."""
        self.entries = list(entries)
        for each in entries:
            flow = self.root / "flows" / f"{each['flow_name']}.py"
            if not flow.exists():
                flow.write_text(FLOW.format(name=each["flow_name"]))
        build = [{"prefect.deployments.steps.run_shell_script": {"id": "pull", "script": "echo pulled"}}]
        pull = [{"prefect.deployments.steps.run_shell_script": {"script": "{{ pull.stdout }}"}}]
        file = {"name": self.name, "build": build, "pull": pull, "deployments": self.entries}
        (self.root / "prefect.yaml").write_text(yaml.safe_dump(file))
        self.git("add", ".")
        self.git("commit", "--quiet", "--allow-empty", "--message", "A change")

    def push(self, *entries: dict[str, Any]) -> str:
        """The same, pushed; the commit."""
        self.write(*entries)
        self.git("push", "--quiet", "--force", self.repository, "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def deploy(self, *entries: dict[str, Any], **options: Any) -> str:
        """Commit, push and deploy; without entries, deploy what is there."""
        if entries:
            self.push(*entries)
        given = {"image": IMAGE, "by": "ann", "trust_image": True, **options}
        return deploying.deploy(self.root, given.pop("image"), self.repository, **given)

    def rollback(self, to: str = deploying.PREVIOUS, **options: Any) -> str:
        """Return to an earlier deploy."""
        return deploying.rollback(self.root, to, self.repository, trust_image=True, by="bob", **options)

    def plan(self) -> Plan:
        """What a deploy would change."""
        return deploying.plan(self.root, IMAGE, self.repository, trust_image=True)

    def there(self, name: str) -> DeploymentResponse | None:
        """A deployment on the server; None where it is not."""
        try:
            return self.client.read_deployment_by_name(name)
        except ObjectNotFound:
            return None

    def names(self) -> set[str]:
        """The full names of the pool's deployments."""
        found = self.client.read_deployments()
        flows = {each.id: each.name for each in self.client.read_flows()}
        return {f"{flows[each.flow_id]}/{each.name}" for each in found if each.work_pool_name == POOL}

    def events(self, count: int) -> list[dict[str, Any]]:
        """The events of the project's deploys, once there are so many."""
        wanted = {"resource": {"id": [f"trainyard.project.{self.name}"]}}
        deadline = time.monotonic() + 15
        while True:
            answer = self.client.request("POST", "/events/filter", json={"filter": wanted})
            found: list[dict[str, Any]] = answer.json()["events"]
            if len(found) >= count or time.monotonic() > deadline:
                return found
            time.sleep(0.1)


@contextlib.contextmanager
def server(platform: Mapping[str, str]) -> Iterator[SyncPrefectClient]:
    """A client of the server, where this process leads; on it the pool is made, and deleted in the end."""
    with at({**platform, "PYTHONPATH": str(ROOT)}), get_client(sync_client=True) as client:
        with contextlib.suppress(ObjectNotFound):  # that of another module, with another template
            client.delete_work_pool(POOL)
        client.create_work_pool(WorkPoolCreate(name=POOL, type="kubernetes", base_job_template=TEMPLATE))
        try:
            yield client
        finally:
            client.delete_work_pool(POOL)  # another module's has another template


@contextlib.contextmanager
def project(client: SyncPrefectClient, folder: Path) -> Iterator[Project]:
    """A project for as long as the block lasts, with a lake of its own in the environment of this process."""
    root = folder / "checkout"
    (root / "flows").mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(root)], check=True)
    subprocess.run(["git", "init", "--quiet", "--bare", str(folder / "published")], check=True)
    git = ("git", "-C", str(folder / "published"), "config")
    subprocess.run([*git, "uploadpack.allowAnySHA1InWant", "true"], check=True)
    (root / ".gitignore").write_text("__pycache__\n")
    prefix = f"tests/{uuid.uuid4().hex}"
    with mock.patch.dict(os.environ, {"TRAINYARD_LAKE_PREFIX": prefix}):
        lake = connect(os.environ["TRAINYARD_LAKE_BUCKET"], prefix)
        try:
            yield Project(root, f"project-{uuid.uuid4().hex[:8]}", dict(os.environ), lake, client)
        finally:
            for each in client.read_deployments():
                if each.work_pool_name in (POOL, None):  # a test that deleted the pool took it from them
                    client.delete_deployment(each.id)
