"""What a registry says of an image, asked through Docker, which knows how one logs in there."""

import re

from ops.deploy.errors import NotDeployed
from ops.deploy.programs import ProgramFailed, run

_ABSENT = re.compile(r"not found|manifest unknown|name unknown|does not exist|no such manifest", re.IGNORECASE)
_TAG = re.compile(r":[^:/]+$")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def digest(reference: str) -> str | None:
    """The digest a registry has for an image, ``sha256:`` and 64 hex digits; None where it has no such image.

    Raises ``NotDeployed`` where the registry does not answer or refuses.
    """
    try:
        said = run(["docker", "buildx", "imagetools", "inspect", "--format", "{{json .Manifest.Digest}}", reference])
    except ProgramFailed as error:
        if _ABSENT.search(error.said):
            return None
        raise NotDeployed(
            f"the registry of {reference} does not say whether it has the image. {error} Log in to it (docker login),"
            " see that it is reached from here, or give --trust-image where no registry has the image."
        ) from error
    found = _DIGEST.search(said)
    if not found:
        raise NotDeployed(f"the registry of {reference} gives no digest: {said.strip()[:200]!r}. Push the image again.")
    return found[0]


def pinned(reference: str) -> str:
    """The reference by the digest that the registry has for it. Raises ``NotDeployed`` where it has none."""
    found = digest(reference)
    if not found:
        raise NotDeployed(f"the registry has no image {reference}. Build and push it first: make images, docker push.")
    return f"{_TAG.sub('', reference.partition('@')[0])}@{found}"
