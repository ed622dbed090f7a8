"""A deploy from its checks to its end, and the way back.

Everything is checked before anything is changed. Then, while no other deploy is under way: the record is begun, the
deployments are brought to what is wanted, the event is sent, the record is ended. Whatever of it was done already is
found and not done again, so what was killed on the way is completed by running it again.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient

from flows.ml.lake import Lake
from ops.deploy import checkout, checks, lease, records, server
from ops.deploy import wanted as file
from ops.deploy.announcement import announce
from ops.deploy.errors import NotDeployed
from ops.deploy.plan import Plan, compare
from ops.deploy.programs import last_words
from ops.deploy.records import Record
from ops.deploy.server import POOL
from ops.deploy.spec import Deployment

Say = Callable[[str], None]
PREVIOUS = "previous"


def quiet(_: str) -> None:
    """Tell nobody."""


def apply(root: Path, pool: str, variables: Mapping[str, str]) -> None:
    """Apply every deployment of a pool by `prefect deploy`, ``variables`` filled in. Raises ``NotDeployed``.

    For a platform of one's own: nothing is checked, recorded or removed.
    """
    names = [argument for name in file.deployments(root, pool) for argument in ("--name", name)]
    prefect = str(Path(sys.executable).with_name("prefect"))
    env = {**os.environ, **variables, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [prefect, "--no-prompt", "deploy", *names], cwd=root, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NotDeployed(f"`prefect deploy` failed: {last_words(done.stdout + done.stderr, 12)}")


def check(root: Path) -> str:
    """Whether ``prefect.yaml`` is one to deploy, which takes no server; a sentence. Raises ``NotDeployed``."""
    checks.sound(root)
    return f"prefect.yaml is sound: {len(file.deployable(root, POOL))} deployments of the pool {POOL}"


def plan(root: Path, image: str, repository: str, *, trust_image: bool = False, say: Say = quiet) -> Plan:
    """What a deploy of HEAD would change; ``say`` is told of what stands in its way. Raises ``NotDeployed``."""
    server.require_named()
    checks.sound(root)
    wanted = _wanted(root, checks.image(image, trusted=trust_image))
    with server.connected() as client:
        checks.fitting(client, POOL, wanted)
        found = compare(wanted, server.read(client, file.project(root)), POOL)
    try:
        checks.published(root, repository)
    except NotDeployed as obstacle:
        say(f"Not to be deployed yet: {obstacle}")
    return found


def deploy(
    root: Path,
    image: str,
    repository: str,
    *,
    unless_deployed: bool = False,
    trust_image: bool = False,
    by: str = "",
    environment: str = "",
    say: Say = quiet,
) -> str:
    """Deploy HEAD of the checkout in the image; a sentence of what was done. Raises ``NotDeployed``."""
    server.require_named()
    commit = checkout.head(root)
    if unless_deployed and _is_deployed(root, image, commit):
        return f"Commit {commit[:12]} is deployed"
    checks.published(root, repository)
    checks.sound(root)
    pinned = checks.image(image, trusted=trust_image)
    wanted = _wanted(root, pinned)
    with server.connected() as client:
        checks.fitting(client, POOL, wanted)
        lake = checks.lake()
        drafted = records.draft(
            wanted, (pinned, commit), pool=POOL, by=by or checkout.author(root), environment=environment
        )
        return _bring(client, lake, drafted, file.project(root), say)


def rollback(
    root: Path,
    to: str = PREVIOUS,
    repository: str = "",
    *,
    trust_image: bool = False,
    by: str = "",
    environment: str = "",
    say: Say = quiet,
) -> str:
    """Return to the record of an earlier deploy; a sentence of what was done. Raises ``NotDeployed``."""
    with server.connected() as client:
        lake = checks.lake()
        target = records.before(lake) if to == PREVIOUS else records.of(lake, to)
        if repository:
            checkout.require_published(target.commit, repository)
        checks.image(target.image, trusted=trust_image)
        checks.fitting(client, target.pool, target.wanted)
        drafted = records.draft(
            target.wanted,
            (target.image, target.commit),
            pool=target.pool,
            by=by or checkout.author(root),
            environment=environment,
            returned_to=target.number,
        )
        return _bring(client, lake, drafted, file.project(root), say)


def _bring(client: SyncPrefectClient, lake: Lake, drafted: Record, project: str, say: Say) -> str:
    """Make the server have what a record says, alone, and keep the record."""
    with lease.held(lake, drafted.by, say) as require_lease:
        found = compare(drafted.wanted, server.read(client, project), drafted.pool)
        head = records.head(lake)
        interrupted = head is not None and not records.is_done(lake, head)
        for line in found.lines():
            say(line)
        if not found and head and head.same(drafted) and not interrupted:
            return f"Nothing to change: commit {drafted.commit[:12]} in {drafted.image} is deployed"
        record = head if head and interrupted and head.same(drafted) else records.begin(lake, drafted, found.lines())
        server.apply(client, found, project, require_lease)
        require_lease()
        announce(client, record, project)
        records.end(lake, record)
    return _told(record, found)


def _told(record: Record, found: Plan) -> str:
    counts = f"{len(found.new)} new, {len(found.changed)} changed, {len(found.removed)} removed"
    back = f"Returned to deploy {record.returned_to}: " if record.returned_to else "Deployed "
    return f"{back}commit {record.commit[:12]} in {record.image}: {counts} (deploy {record.number})"


def _wanted(root: Path, image: str) -> Sequence[Deployment]:
    return file.wanted(root, POOL, {"FLOWS_IMAGE": image, "TRAINYARD_GIT_SHA": checkout.head(root)})


def _is_deployed(root: Path, image: str, commit: str) -> bool:
    names = set(file.deployments(root, POOL))
    with server.connected() as client:
        found = [each.deployment for each in server.read(client, file.project(root))]
    pairs = {each.full_name: each.pair for each in found if each.full_name in names}
    return pairs == dict.fromkeys(names, (image, commit))
