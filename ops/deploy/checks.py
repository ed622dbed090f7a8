"""What must be so before a deploy touches anything. Each check raises ``NotDeployed``: what is wrong, what to do."""

import os
from collections.abc import Sequence
from pathlib import Path

import yaml
from prefect.client.orchestration import SyncPrefectClient

from flows.ml.lake import Lake, connect
from ops import images, registry
from ops.deploy import checkout, server
from ops.deploy.errors import NotDeployed
from ops.deploy.spec import Deployment
from ops.lint import deployments as lint


def image(reference: str, *, trusted: bool) -> str:
    """The image as it is to be deployed: by the digest its registry has, unless nobody is to be asked."""
    if trusted:
        return reference
    try:
        return registry.pinned(images.engine(), reference)
    except (images.ImageError, registry.RegistryError) as error:
        raise NotDeployed(f"{error} Where no registry has it but the nodes do: --trust-image.") from error


def sound(root: Path) -> None:
    """``prefect.yaml`` keeps the project's own lint: every flow imports, parameters and schedules are taken."""
    try:
        found = lint.check(root)
    except (OSError, yaml.YAMLError) as error:
        raise NotDeployed(f"prefect.yaml cannot be read: {error}. Mend it.") from error
    if found:
        more = f" And {len(found) - 1} more: make lint." if len(found) > 1 else ""
        raise NotDeployed(f"{found[0]}. Mend it, commit and push.{more}")


def published(root: Path, repository: str) -> None:
    """All there is is in the commit, and pods can fetch that."""
    checkout.require_clean(root)
    checkout.require_published(checkout.head(root), repository)


def fitting(client: SyncPrefectClient, pool: str, wanted: Sequence[Deployment]) -> None:
    """The pool is there, and its base job template knows every job variable that is given."""
    template = server.pool(client, pool).base_job_template
    known = set(template.get("variables", {}).get("properties", {}))
    for each in wanted:
        unknown = sorted(set(each.settings["job_variables"]) - known)
        if unknown:
            raise NotDeployed(
                f"{each.full_name} gives the job variable `{unknown[0]}`, which the installed chart does not know (it"
                f" knows {', '.join(sorted(known)) or 'none'}). Upgrade the chart first: make chart-upgrade."
            )


def lake() -> Lake:
    """The lake that the environment names, found to answer."""
    bucket, block = os.environ.get("TRAINYARD_LAKE_BUCKET", ""), os.environ.get("TRAINYARD_LAKE_CREDENTIALS", "")
    if not bucket:
        raise NotDeployed("TRAINYARD_LAKE_BUCKET is not set. Set it to the lake's bucket, which keeps the deploys.")
    session = None
    if block:
        from prefect_aws import AwsCredentials

        session = AwsCredentials.load(block).get_boto3_session()  # type: ignore[union-attr]
    found = connect(bucket, os.environ.get("TRAINYARD_LAKE_PREFIX", ""), session)
    found.check()
    return found
