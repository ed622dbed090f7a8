"""cosign, which signs images and what is attested of them, and checks both. The only module that calls it.

Keyless, the identity of the workflow signs: Sigstore's certificate authority vouches for it, its log keeps it. With a
key, as in tests and on a workstation, nothing outside the registry is asked.
"""

import base64
import json
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.ml.errors import TrainyardError
from ops.command import last_line

ISSUER = "https://token.actions.githubusercontent.com"
NOTHING = {
    "signing-config": '{"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json", "rekorTlogConfig": {}, '
    '"tsaConfig": {}}',
    "trusted-root": '{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}',
}
"""With these a signature by key is kept in no log and asks no service."""


class NotVerified(TrainyardError):
    """An image has no valid signature or attestation."""


class NotSigned(TrainyardError):
    """cosign did not sign."""


@dataclass(frozen=True)
class Cosign:
    """The program, with a key (a file: the private one to sign, the public one to check) or keyless without.

    ``repository`` is the address (https) of the one whose workflows may sign keyless.
    """

    program: Path
    key: str
    repository: str

    def sign(self, pinned: str) -> None:
        """Sign an image by its digest. Raises ``NotSigned``."""
        self._sign("sign", "--yes", pinned)

    def attest(self, pinned: str, kind: str, predicate: Path) -> None:
        """Sign a statement (a predicate of ``kind``, JSON) on an image. Raises ``NotSigned``."""
        self._sign("attest", "--yes", "--type", kind, "--predicate", str(predicate), pinned)

    def verify(self, pinned: str) -> None:
        """Check the signature on an image. Raises ``NotVerified``."""
        self._verify("verify", pinned)

    def attested(self, pinned: str, kind: str) -> list[dict[str, Any]]:
        """The predicates of ``kind`` with a valid signature, at least one. Raises ``NotVerified``."""
        lines = self._verify("verify-attestation", "--type", kind, pinned).splitlines()
        statements = [json.loads(base64.b64decode(json.loads(line)["payload"])) for line in lines if line.strip()]
        return [statement["predicate"] for statement in statements]

    def _sign(self, verb: str, *rest: str) -> None:
        with tempfile.TemporaryDirectory(prefix="trainyard-") as folder:
            alone = []
            for name, text in NOTHING.items() if self.key else ():
                (Path(folder) / name).write_text(text)
                alone += [f"--{name}", str(Path(folder) / name)]
            done = self._run(verb, *(["--key", self.key] if self.key else []), *alone, *rest)
        if done.returncode:
            raise NotSigned(f"{rest[-1]} was not signed: {_said(done.stderr)}")

    def _verify(self, verb: str, *rest: str) -> str:
        done = self._run(verb, *self._trusted(), *rest)
        if done.returncode:
            by = f"the key {self.key}" if self.key else f"a workflow of {self.repository} on main or a tag"
            raise NotVerified(f"{rest[-1]} is not vouched for by {by}: {_said(done.stderr)}")
        return done.stdout

    def _trusted(self) -> Sequence[str]:
        """Whose signature counts: the key's, or the workflows' of the repository on main and on tags of versions."""
        if self.key:
            return ("--key", self.key, "--insecure-ignore-tlog=true")
        workflows = rf"^{re.escape(self.repository)}/\.github/workflows/[\w.-]+@refs/(heads/main|tags/v.+)$"
        return ("--certificate-identity-regexp", workflows, "--certificate-oidc-issuer", ISSUER)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(self.program), *arguments], capture_output=True, text=True, check=False)


def _said(text: str) -> str:
    """The first of cosign's errors: it repeats itself."""
    errors = [line.partition(":")[2].strip() for line in text.splitlines() if line.lower().startswith("error")]
    return errors[0] if errors else last_line(text)
