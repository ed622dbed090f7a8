"""Waits, before the worker starts, for the pool that the bootstrap makes: ``python work_pool.py CONFIGURATION SECRET``

The configuration is that of the bootstrap, and the Secret the one the password in the environment is from. Prefect's
worker says of itself that it is well while it has never found its pool, and ends where its password is refused. This
says why it waits, each time that changes, and waits without end: a start anew would cure nothing. It does without
Prefect's own client, whose import takes seconds.
"""

import base64
import contextlib
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

POLL = 1.0
"""Seconds between two looks."""
A_LOOK_EACH = httpx.Limits(max_keepalive_connections=0)
"""No connection outlives a look: one made before the node knew the Service leads to whatever answers outside of the
cluster, for as long as it is kept."""
LOG = "kubectl logs --selector app.kubernetes.io/component=bootstrap --tail=20"


def main() -> int:
    """Wait for the pool of the configuration named on the command line."""
    wanted = yaml.safe_load(Path(sys.argv[1]).read_text("utf-8"))["pool"]
    login = base64.b64encode(os.environ["PREFECT_API_AUTH_STRING"].encode()).decode()
    said = ""
    headers = {"Authorization": f"Basic {login}"}
    with httpx.Client(headers=headers, limits=A_LOOK_EACH, timeout=10, follow_redirects=True) as client:
        while reason := lacking(client, wanted, sys.argv[2]):
            if reason != said:
                print(f"waiting: {reason}", flush=True)
            said = reason
            time.sleep(POLL)
    print(f"work pool {wanted['name']} is there", flush=True)
    return 0


def lacking(client: httpx.Client, wanted: Mapping[str, Any], secret: str) -> str:
    """Why the worker would find no pool, with the remedy; empty where it finds that of this installation."""
    api, name = os.environ["PREFECT_API_URL"].rstrip("/"), wanted["name"]
    try:
        answer = client.get(f"{api}/work_pools/{name}")
    except httpx.HTTPError as error:
        return (
            f"Prefect at {api} does not answer ({type(error).__name__}): see the server's pod and its log, or correct"
            " prefect.externalApiUrl."
        )
    if answer.status_code in {401, 403}:
        return (
            f"Prefect at {api} refuses these credentials ({answer.status_code}): `auth-string` in the Secret {secret}"
            " must be the one the server was started with (user:password). Restart the server, or correct the Secret"
            " and delete this pod, which read it when it started."
        )
    if answer.status_code == 404:
        return (
            f"there is no work pool {name} at {api} yet: the bootstrap makes it, and its log says why it has not: {LOG}"
        )
    if not answer.is_success:
        return f"Prefect at {api} answers {answer.status_code}: see its log, or correct prefect.externalApiUrl."
    return _another(answer, wanted, api)


def _another(answer: httpx.Response, wanted: Mapping[str, Any], api: str) -> str:
    try:
        found = answer.json()
        theirs, ours = installation(found["base_job_template"]), installation(wanted["base_job_template"])
        same = (found["type"], theirs) == (wanted["type"], ours)
    except (ValueError, LookupError, TypeError, AttributeError):
        return f"what answers at {api} is not Prefect's API: correct prefect.externalApiUrl (it ends in /api)."
    if same:
        return ""
    return f"the work pool {wanted['name']} at {api} is not this installation's: the bootstrap's log says more: {LOG}"


def installation(template: Mapping[str, Any]) -> str:
    """The namespace and the release whose Jobs a base job template makes."""
    job = template.get("job_configuration", {})
    release = None
    with contextlib.suppress(AttributeError):  # another's template may say it in a variable
        release = job.get("job_manifest", {}).get("metadata", {}).get("labels", {}).get("app.kubernetes.io/instance")
    return f"namespace {job.get('namespace', 'unnamed')}, release {release or 'unnamed'}"


if __name__ == "__main__":
    sys.exit(main())
