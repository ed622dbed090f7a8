"""The platform on the suite's cluster, and what a test does with it."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import PrefectHTTPStatusError

from flows.ml.lake import Lake, connect
from flows.ml.registry import Registry
from ops.kind import deploy as deploying
from ops.kind.access import Access
from ops.kind.cluster import Cluster
from ops.kind.steps import Step
from ops.kind.tools import CommandFailed
from tests.cluster import sharing

TRAP = "{this: is no kubeconfig\n"
"""What the user's kubeconfig is in this suite: whoever reads it fails."""
POLL = 0.5
"""Seconds between two looks at a run."""
OTHERS = ("deploys/", "examples/", "mlflow/", "faults/", "kept/", "pull/")
"""What in the bucket is no part of the lake, or of other tests."""
AUTHOR = ("-c", "user.name=Tests", "-c", "user.email=tests@example.org")


@dataclass(frozen=True)
class Platform:
    """The platform as installed from ``root``, a clone of HEAD that tests may commit to.

    The environment of the tests leads to it: ``prefect``, ``mlflow`` and S3 clients find it by themselves.
    """

    place: Cluster
    root: Path
    access: Access

    def kubectl(self, *argv: str, stdin: str | None = None) -> str:
        """Run kubectl in the platform's namespace: what it printed. Raises ``CommandFailed``."""
        return self.place.kubectl(*argv, stdin=stdin)

    def get(self, kind: str, *selection: str) -> list[dict[str, Any]]:
        """Objects of the platform's namespace, e.g. ``get("pods", "--selector=app=x")``."""
        found = json.loads(self.kubectl("get", kind, "--output=json", *selection))
        items: list[dict[str, Any]] = found.get("items", [found])
        return items

    def client(self) -> SyncPrefectClient:
        """A client of the platform's Prefect; use it in a ``with``."""
        return get_client(sync_client=True)

    def lake(self, prefix: str | None = None) -> Lake:
        """The lake, or another one in the same bucket."""
        return connect(self.access.bucket, self.access.prefix if prefix is None else prefix)

    def registry(self) -> Registry:
        """The platform's MLflow."""
        return Registry(self.access.mlflow)

    @property
    def source(self) -> str:
        """Where flow runs find the months of ``examples/tlc``, with ``{month}`` to fill in."""
        return f"s3://{self.access.bucket}/examples/tlc/green_tripdata_{{month}}.parquet"

    def undisturbed(self) -> AbstractContextManager[None]:
        """The whole platform is there meanwhile, for those who are beside its own lane."""
        return sharing.undisturbed(self._disturbance)

    @contextmanager
    def disturbing(self) -> Iterator[None]:
        """A part of the platform may be away meanwhile: nobody beside its lane relies on it until it is whole again."""
        with sharing.disturbing(self._disturbance):
            try:
                yield
            finally:
                self.kubectl("rollout", "status", "deployments", "--timeout=300s")

    @property
    def _disturbance(self) -> Path:
        return self.place.state / "disturbance.lock"

    def deploy(self, *, unless_deployed: bool = False) -> str:
        """What ``make kind-deploy`` does with the clone."""
        return deploying.deploy(self.place, self.root, unless_deployed=unless_deployed)

    def unschedule(self) -> None:
        """Switch every schedule off, as an operator does: no run begins that no test began, at whatever time of day."""
        with self.client() as client:
            for made in client.read_deployments():
                for schedule in made.schedules:
                    client.update_deployment_schedule(made.id, schedule.id, active=False)

    def commit(self, files: Mapping[str, str], *, push: bool = True) -> str:
        """Commit files to the clone, and push the commit to the git server; its 40 hex digits."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", *files)
        self.git(*AUTHOR, "commit", "--quiet", "--message", "A test's own")
        made = self.git("rev-parse", "HEAD").strip()
        if push:
            deploying.push(self.place, self.root, made)
        return made

    def git(self, *argv: str) -> str:
        """Run git in the clone."""
        done = subprocess.run(["git", "-C", str(self.root), *argv], capture_output=True, text=True, check=True)
        return done.stdout

    def deployment(self, name: str) -> DeploymentResponse:
        """A deployment by its full name, ``flow/deployment``."""
        with self.client() as client:
            return client.read_deployment_by_name(name)

    def deploy_entry(self, base: str, name: str, job_variables: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """A deployment like ``base`` under another name; its full name.

        Job variables are added to those of ``base``; ``changes`` are arguments of ``create_deployment``:
        ``parameters``, ``schedules``, ``concurrency_limit``, ``entrypoint``, ``tags``, ``flow_id`` for another flow ...
        """
        like = self.deployment(base)
        given = {
            "flow_id": like.flow_id,
            "work_pool_name": like.work_pool_name,
            "entrypoint": like.entrypoint,
            "path": like.path,
            "pull_steps": like.pull_steps,
            "parameters": like.parameters,
            "parameter_openapi_schema": like.parameter_openapi_schema,
            "job_variables": {**(like.job_variables or {}), **(job_variables or {})},
        }
        with self.client() as client:
            made = client.create_deployment(name=name, **{**given, **changes})
            return f"{client.read_flow(client.read_deployment(made).flow_id).name}/{name}"

    def start(self, deployment: str, parameters: Mapping[str, Any] | None = None, **options: Any) -> FlowRun:
        """A run of a deployment, not waited for; ``options`` as ``job_variables`` or ``tags``.

        Where a dozen runs begin at once SQLite may refuse one for longer than Prefect's client tries: once more, then.
        """
        with self.client() as client:
            found = client.read_deployment_by_name(deployment)
            create = partial(client.create_flow_run_from_deployment, parameters=dict(parameters or {}), **options)
            try:
                return create(found.id)
            except PrefectHTTPStatusError as error:
                if error.response.status_code != 503:
                    raise
                return create(found.id)

    def wait(
        self, run: FlowRun, seconds: float, until: Callable[[FlowRun], bool] = lambda run: False, every: float = POLL
    ) -> FlowRun:
        """The run once it is as asked, or has ended; fails after ``seconds``, with where it is.

        What answers for a moment may be another pod, that got the address of one of Prefect's.
        """
        deadline = time.monotonic() + seconds
        with self.client() as client:
            while not (run.state and (run.state.is_final() or until(run))):
                assert time.monotonic() < deadline, f"after {seconds:.0f} s: {run.state!r}"
                time.sleep(every)
                with suppress(PrefectHTTPStatusError, httpx.TransportError):
                    run = client.read_flow_run(run.id)
        return run

    def run(
        self, deployment: str, parameters: Mapping[str, Any] | None = None, wait: float = 300, **options: Any
    ) -> State:
        """The state in which a run of a deployment ended."""
        state = self.wait(self.start(deployment, parameters, **options), wait).state
        assert state
        return state

    def forget(self, model: str = "trip-duration") -> None:
        """Empty the lake, and forget a model and its versions: for a test that begins where nothing was done."""
        lake = self.lake()
        for key in sorted(lake.keys()):
            if not key.startswith(OTHERS):
                lake.delete(key)
        with suppress(MlflowException):
            MlflowClient(self.access.mlflow).delete_registered_model(model)

    def pods(self, run: FlowRun) -> list[dict[str, Any]]:
        """The pods of a run, those of its retries among them."""
        return self.get("pods", f"--selector=prefect.io/flow-run-id={run.id}")

    def await_pod(self, run: FlowRun, seconds: float, phase: str = "Running") -> dict[str, Any]:
        """The pod of a run once it is in a phase; fails after ``seconds``, with the pods there are."""
        deadline = time.monotonic() + seconds
        while True:
            pods = self.pods(run)
            for pod in pods:
                if pod["status"].get("phase") == phase:
                    return pod
            assert time.monotonic() < deadline, f"after {seconds:.0f} s: {[pod['status'] for pod in pods]}"
            time.sleep(POLL)

    def await_no_job(self, run: FlowRun, seconds: float) -> None:
        """Return once the Job of a run is gone; fails after ``seconds``, with how it is."""
        deadline = time.monotonic() + seconds
        while found := self.get("jobs", f"--selector=prefect.io/flow-run-id={run.id}"):
            assert time.monotonic() < deadline, f"after {seconds:.0f} s: {found[0]['status']}"
            time.sleep(POLL)


def keep_evidence(place: Cluster, folder: Path) -> None:
    """Logs, events and descriptions of everything on the cluster, for whoever looks into a failure."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    export = ["kind", "export", "logs", "--name", place.name, str(folder / "kind")]
    subprocess.run(export, env=place.env(), capture_output=True, check=False)
    asked = {
        "objects": ("get", "events,pods,jobs,deployments,persistentvolumeclaims", "--all-namespaces", "--output=wide"),
        "pods": ("describe", "pods", "--all-namespaces"),
        "jobs": ("describe", "jobs", "--all-namespaces"),
        "nodes": ("describe", "nodes"),
    }
    for name, argv in asked.items():
        try:
            text = place.kubectl(*argv)
        except CommandFailed as failure:
            text = str(failure)
        (folder / f"{name}.txt").write_text(text)


def steps(say: Callable[[str], None]) -> Step:
    """Steps told in plain lines."""

    @contextmanager
    def step(text: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        say(f"{text}: {time.monotonic() - began:.0f} s")

    return step
