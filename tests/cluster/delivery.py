"""What is pushed from a clone and deployed, a registry beside the cluster, and a run that says what it runs in."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
from prefect.client.schemas.objects import FlowRun

from ops import images
from ops import registry as pushing
from ops.deploy import POOL, deploying
from ops.images import Image
from ops.kind import access
from ops.kind.tools import run
from tests.cluster import registry
from tests.cluster.platform import Platform

PROBE = "probe/pair"
LOCK = "flows/requirements.txt"
FLOW = '''"""Says which pair it runs in."""

import importlib.util
import os
import time

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed


@flow(name="probe", timeout_seconds=600)
def probe(seconds: float = 0.0) -> State:
    """Wait, then end with the commit, {word}, and whether the new package is there."""
    time.sleep(seconds)
    there = importlib.util.find_spec("{package}") is not None
    return Completed(message=f"{{os.environ['TRAINYARD_GIT_SHA']}} {word} {{there}}")
'''
NEW_PACKAGE = """
FROM {image}
USER 0
RUN python3 -c "import pathlib, prefect; (pathlib.Path(prefect.__file__).parents[1] / 'arrived.py').write_text('')"
USER 10001:10001
"""


@dataclass(frozen=True)
class Delivery:
    """The suite's platform, a registry beside it, and the clone that is deployed from."""

    platform: Platform
    registry: str

    @property
    def flows(self) -> Image:
        """The image of the flow runs as the clone's files have it."""
        (found,) = (each for each in images.images(self.platform.root, self.registry) if each.name == "flows")
        return found

    @property
    def image(self) -> str:
        """Its reference."""
        return self.flows.reference

    @property
    def tags(self) -> set[str]:
        """The tags of the image of the flow runs in the registry."""
        found: list[str] = httpx.get(f"http://{self.registry}/v2/flows/tags/list").json()["tags"]
        return set(found)

    def push_code(self, word: str, cron: str = "", package: str = "arrived", **changed: str) -> str:
        """Commit and push a probe that says a word and looks for a package, and ``cron`` as the days of publication.

        Gives the commit.
        """
        file = self.platform.root / "prefect.yaml"
        entry = {
            "name": "pair",
            "flow_name": "probe",
            "entrypoint": "flows/probe.py:probe",
            "description": "Says which pair it runs in.",
            "tags": ["probe"],
            "pull": yaml.safe_load(file.read_text())["definitions"]["kubernetes"]["pull"],
            "build": yaml.safe_load(file.read_text())["definitions"]["kubernetes"]["build"],
            "work_pool": {
                "name": POOL,
                "job_variables": {
                    "image": "{{ $FLOWS_IMAGE }}",
                    "commit": "{{ $TRAINYARD_GIT_SHA }}",
                    "cpu_request": "50m",
                    "memory": "512Mi",
                    "deadline_seconds": 1300,
                },
            },
        }
        text = file.read_text()
        if "flow_name: probe" not in text:
            text += yaml.safe_dump([entry], default_flow_style=False).replace("\n", "\n  ").join(("\n  ", "\n"))
        if cron:
            text = re.sub(r"(&publication_days {cron: )[^,]+", rf"\g<1>{cron}", text)
        return self.platform.commit(
            {"flows/probe.py": FLOW.format(word=word, package=package), "prefect.yaml": text, **changed}
        )

    def push_packages(self, word: str) -> str:
        """The same with a package more: a lock that is another, and its image in the registry; the commit.

        The package is a layer upon the image before, which is sooner there than an image that is built anew.
        """
        old = self.image
        commit = self.push_code(word, **{LOCK: f"{self.lock}# one more\n"})
        build = ["docker", "build", "--quiet", f"--label=word={word}", f"--tag={self.image}", "-"]
        run(build, stdin=NEW_PACKAGE.format(image=old))
        self.push_image(lambda line: None)
        return commit

    @property
    def lock(self) -> str:
        """The lock of the flow runs' packages as the clone has it."""
        return (self.platform.root / LOCK).read_text()

    def push_image(self, say: Callable[[str], None]) -> pushing.Stored:
        """Push the image of the flow runs as `make push-images` does, built first where it is not there."""
        (stored,) = pushing.push(self.platform.root, [self.flows], say)
        return stored

    def submit(self, *arguments: str) -> str:
        """What `python -m ops.deploy submit` prints."""
        command = [sys.executable, "-m", "ops.deploy", "submit", *arguments, "--registry", self.registry]
        done = subprocess.run(
            command, cwd=self.platform.root, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of the deploy: the cluster's kubeconfig, and no address of Prefect or S3."""
        own = self.platform.place.env()
        path = f"{Path(sys.executable).parent}:{own['PATH']}"
        hidden = ("PREFECT_API", "AWS_", "MLFLOW_", "TRAINYARD_")
        kept = {name: value for name, value in own.items() if not name.startswith(hidden)}
        return {**kept, "PATH": path, "PYTHONPATH": str(self.platform.root)}

    def deploy(self) -> None:
        """Deploy the clone's HEAD from here, in the image that the registry has."""
        deploying.deploy(self.platform.root, self.image, access.git_url(self.platform.place))

    def pair(self) -> tuple[str, str]:
        """Image and commit of the probe's deployment."""
        variables = self.platform.deployment(PROBE).job_variables
        return variables["image"], variables["commit"]

    def crons(self, name: str) -> list[str | None]:
        """When a deployment runs, as the server has it."""
        return [each.schedule.model_dump().get("cron") for each in self.platform.deployment(name).schedules]

    def pairs(self, found: FlowRun) -> set[tuple[str, str]]:
        """Image and commit of every pod a run has."""
        return {pair_of(pod) for pod in self.platform.pods(found)}


def pair_of(pod: dict[str, Any]) -> tuple[str, str]:
    (container,) = pod["spec"]["containers"]
    variables = {each["name"]: each.get("value") for each in container["env"]}
    return container["image"], str(variables["TRAINYARD_GIT_SHA"])


def both_differ(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two pairs have neither image nor commit in common."""
    return one[0] != other[0] and one[1] != other[1]


@contextlib.contextmanager
def delivered(cluster: Platform) -> Iterator[Delivery]:
    """A delivery from the suite's platform. Its clone is put back afterwards, and deployed as it was."""
    commit = cluster.git("rev-parse", "HEAD").strip()
    yield Delivery(cluster, registry.make(cluster))
    cluster.git("reset", "--quiet", "--hard", commit)
    cluster.git("clean", "--quiet", "--force", "-d")
    cluster.deploy()
    registry.remove(cluster)
