"""The Jobs of flow runs, asked of Kubernetes from within a pod that has a service account for it.

Two calls of its API need no client of it: a further package in the flows' lock would give every training another
fingerprint.
"""

import contextlib
import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from flows.ml.errors import TrainyardError
from flows.reconciling.runs import Job

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
API = "https://kubernetes.default.svc"
RUN = "prefect.io/flow-run-id"
PAGE = 500


class JobsRefused(TrainyardError):
    """Kubernetes does not answer, or does not let Jobs be listed or deleted."""


@dataclass(frozen=True)
class Jobs:
    """The Jobs of a release in its namespace. Raises ``JobsRefused``."""

    client: httpx.Client
    namespace: str
    release: str

    def list(self) -> list[Job]:
        """Those of flow runs."""
        selector = f"app.kubernetes.io/instance={self.release},app.kubernetes.io/component=job,{RUN}"
        found: list[Job] = []
        more = ""
        while True:
            answer = self._ask("GET", "", params={"labelSelector": selector, "limit": PAGE, "continue": more})
            found += [_job(item) for item in answer["items"]]
            more = answer["metadata"].get("continue", "")
            if not more:
                return found

    def delete(self, name: str, uid: str) -> None:
        """Delete a Job with its pods; not another one that has its name by now."""
        body = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        self._ask("DELETE", f"/{name}", json=body, gone=True)

    def _ask(self, verb: str, path: str, *, gone: bool = False, **request: Any) -> Any:
        url = f"/apis/batch/v1/namespaces/{self.namespace}/jobs{path}"
        try:
            answer = self.client.request(verb, url, **request)
        except httpx.HTTPError as error:
            raise JobsRefused(f"Kubernetes does not answer ({type(error).__name__}: {error}).") from error
        if gone and answer.status_code in (404, 409):
            return {}
        with contextlib.suppress(ValueError):  # a proxy's own words
            if answer.is_success:
                return answer.json()
        raise JobsRefused(f"Kubernetes answers {answer.status_code} to {verb} jobs: {answer.text[:500]}")


def connect(release: str, account: Path = ACCOUNT) -> Jobs:
    """The Jobs of a release, by this pod's service account. Raises ``JobsRefused`` where there is none."""
    try:
        token, namespace = (account / "token").read_text(), (account / "namespace").read_text()
    except OSError as error:
        raise JobsRefused(f"there is no service account at {account}: this is no pod that may see Jobs") from error
    tls = ssl.create_default_context(cafile=str(account / "ca.crt"))
    client = httpx.Client(base_url=API, headers={"Authorization": f"Bearer {token}"}, verify=tls, timeout=20)
    return Jobs(client, namespace, release)


def _job(item: dict[str, Any]) -> Job:
    conditions = item["status"].get("conditions", ())
    ends = [each["lastTransitionTime"] for each in conditions if each["type"] in ("Complete", "Failed")]
    meta = item["metadata"]
    ended = datetime.fromisoformat(ends[0]) if ends else None
    made = datetime.fromisoformat(meta["creationTimestamp"])
    return Job(meta["name"], meta["uid"], meta["labels"][RUN], made, ended)
