"""Signature, provenance and bill of materials of the images in a registry: ``make sign-images``, ``make verify-image``.

Only what this very checkout has pushed is signed. An image that lies in the registry without a signature came some
other way, and nobody can say which.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ops import go_programs, images, provenance, registry, sbom, summary
from ops.command import say, says_errors
from ops.cosign import Cosign, NotSigned, NotVerified
from ops.environment import here

PROVENANCE = "slsaprovenance1"
MATERIALS = "cyclonedx"


def sign(root: Path, prefix: str, cosign: Cosign, public_key: str, say: Callable[[str], None]) -> list[str]:
    """Sign and attest those images of the checkout that are not yet; a line of what was done for each.

    Raises ``NotSigned`` for an image that is unsigned and was not pushed from here, ``RegistryError`` for one missing.
    """
    docker, lines = images.engine(), []
    for image in images.images(root, prefix):
        pinned = registry.pinned(docker, image.reference)
        try:
            verify(pinned, Cosign(cosign.program, public_key, cosign.repository))
            lines.append(f"{pinned}: was signed")
            continue
        except NotVerified as error:
            if pinned not in registry.pushed_here(root):
                raise NotSigned(
                    f"{error}. It was not pushed from here, so it is not signed here: remove {image.reference} from "
                    "the registry, then run `make push-images` and this again."
                ) from error
        say(f"Signing {pinned}")
        _attest(root, docker, image, pinned, cosign)
        lines.append(f"{pinned}: signed, with provenance and bill of materials")
    return lines


def _attest(root: Path, docker: str, image: images.Image, pinned: str, cosign: Cosign) -> None:
    """The signature last: what is signed has everything."""
    with tempfile.TemporaryDirectory(prefix="trainyard-") as folder:
        origin, materials = Path(folder) / "provenance.json", Path(folder) / "sbom.json"
        origin.write_text(json.dumps(provenance.predicate(root, image.name)), "utf-8")
        materials.write_text(sbom.as_json(sbom.of_image(docker, image.reference)), "utf-8")
        cosign.attest(pinned, PROVENANCE, origin)
        cosign.attest(pinned, MATERIALS, materials)
    cosign.sign(pinned)


def verify(pinned: str, cosign: Cosign) -> list[dict[str, Any]]:
    """Check signature, provenance and bill of materials; the provenances. Raises ``NotVerified``."""
    cosign.verify(pinned)
    cosign.attested(pinned, MATERIALS)
    return cosign.attested(pinned, PROVENANCE)


def verify_own(root: Path, prefix: str, cosign: Cosign) -> list[str]:
    """Check the images of the checkout, and that they were built from the very files in it. Raises ``NotVerified``."""
    docker, lines = images.engine(), []
    for image in images.images(root, prefix):
        pinned = registry.pinned(docker, image.reference)
        wanted, stated = provenance.inputs(root, image.name), verify(pinned, cosign)
        if not any(provenance.stated_inputs(one) == wanted for one in stated):
            raise NotVerified(f"{pinned} was built from other files than those of this checkout: push it anew.")
        lines.append(_told(pinned, stated))
    return lines


def _told(pinned: str, stated: Sequence[dict[str, Any]]) -> str:
    commits = ", ".join(dict.fromkeys(provenance.stated_commit(one)[:12] for one in stated))
    builders = ", ".join(dict.fromkeys(str(one["runDetails"]["builder"]["id"]) for one in stated))
    return f"{pinned}: signed; built from {commits} by {builders}; with its bill of materials"


def _run(given: argparse.Namespace) -> list[str]:
    root = here().root
    program = go_programs.find(go_programs.COSIGN, go_programs.cache_folder(), say)
    cosign = Cosign(program, given.key, given.repository or images.source(root))
    if given.verb == "sign":
        return sign(root, given.registry, cosign, given.public_key, say)
    if given.image:
        pinned = registry.pinned(images.engine(), given.image)
        return [_told(pinned, verify(pinned, cosign))]
    return verify_own(root, given.registry, cosign)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ops.signing", description=__doc__)
    parser.add_argument("verb", choices=["sign", "verify"])
    parser.add_argument("--registry", default="", help="what the references of the checkout's images begin with")
    parser.add_argument("--image", default="", help="one image to verify (default: those of the checkout)")
    parser.add_argument("--key", default="", help="a key's file: private to sign, public to verify (default: keyless)")
    parser.add_argument("--public-key", default="", help="to sign with a key: its public half")
    parser.add_argument("--repository", default="", help="whose workflows may sign (default: the checkout's origin)")
    return parser


@says_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Sign or verify; an error is a sentence on standard error and exit status 1."""
    given = _parser().parse_args(arguments)
    if not (given.registry or given.image):
        raise NotVerified("neither REGISTRY nor IMAGE is given: say which images, e.g. REGISTRY=<host>/<path>.")
    lines = _run(given)
    print("\n".join(lines))
    summary.add(
        "## Signatures\n\n" + "\n".join(f"- `{line.partition(': ')[0]}`: {line.partition(': ')[2]}" for line in lines)
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
