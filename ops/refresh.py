"""New packages and Debian's fixes of the day, as a change to review: ``make refresh``, ``make refresh-pull-request``.

A pull request by a workflow's own token starts no workflow. So the branch is pushed, `ci.yaml` is started on it by
name, which that token may, and its checks show on the pull request, as they are of the same commit. No key is stored.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx

from flows.ml.errors import TrainyardError
from ops import images, sbom_diff
from ops.command import last_line, says_errors
from ops.environment import Place, here

BRANCH = "refresh"
WORKFLOW = "ci.yaml"
TITLE = "New packages, and Debian's fixes of the day"
AUTHOR = ("github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com")
PATIENCE = 60.0
"""Seconds GitHub may take to answer."""
_DATE = re.compile(r"^PATCHED=.*$", re.MULTILINE)


class NotRefreshed(TrainyardError):
    """The refresh, or its pull request, could not be made."""


def refresh(root: Path, today: date) -> None:
    """Compile the locks with the newest versions and set the date of the images' base. Raises ``NotRefreshed``."""
    base = root / images.BASE
    dated, count = _DATE.subn(f"PATCHED={today.isoformat()}", base.read_text("utf-8"))
    if count != 1:
        raise NotRefreshed(f"{images.BASE} has {count} lines PATCHED=…, not one: mend it.")
    programs = f"{Place(root).programs}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        [root / "ops" / "lock", "--upgrade"],
        cwd=root,
        env={**os.environ, "PATH": programs},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise NotRefreshed(f"the locks cannot be compiled: {last_line(done.stderr)}")
    base.write_text(dated, "utf-8")


def publish(root: Path, environment: Mapping[str, str]) -> str:
    """Push the changed files as the branch ``refresh``, open its pull request, start its CI; a sentence of it.

    ``environment`` is a workflow's, with ``GITHUB_TOKEN``. Raises ``NotRefreshed``.
    """
    missing = [name for name in ("GITHUB_TOKEN", "GITHUB_REPOSITORY", "GITHUB_API_URL") if not environment.get(name)]
    if missing:
        raise NotRefreshed(f"{', '.join(missing)} not set: this is for a workflow of GitHub Actions.")
    if not _git(root, environment, "status", "--porcelain", "--untracked-files=no").strip():
        return "Nothing is newer: no pull request."
    text = sbom_diff.report(root, "HEAD")
    _git(root, environment, "checkout", "--quiet", "-B", BRANCH)
    _git(root, environment, "commit", "--quiet", "--all", f"--message={TITLE}")
    _git(root, environment, "push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{BRANCH}")
    with _client(environment) as client:
        address = _pull_request(client, environment["GITHUB_REPOSITORY"].partition("/")[0], text)
        _call(client, "POST", f"actions/workflows/{WORKFLOW}/dispatches", {"ref": BRANCH})
    return f"Pull request {address}; its CI was started on {BRANCH}."


def _pull_request(client: httpx.Client, owner: str, text: str) -> str:
    """The address of the branch's open pull request, made where there is none, with the text of today."""
    open_ones = _call(client, "GET", f"pulls?state=open&head={owner}:{BRANCH}")
    if open_ones:
        _call(client, "PATCH", f"pulls/{open_ones[0]['number']}", {"body": text})
        return str(open_ones[0]["html_url"])
    made = _call(client, "POST", "pulls", {"title": TITLE, "head": BRANCH, "base": "main", "body": text})
    return str(made["html_url"])


def _client(environment: Mapping[str, str]) -> httpx.Client:
    return httpx.Client(
        base_url=f"{environment['GITHUB_API_URL']}/repos/{environment['GITHUB_REPOSITORY']}/",
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {environment['GITHUB_TOKEN']}",
            "X-GitHub-Api-Version": "2022-11-28",
        },
        timeout=PATIENCE,
    )


def _call(client: httpx.Client, method: str, path: str, body: Mapping[str, str] | None = None) -> Any:
    try:
        answer = client.request(method, path, json=body)
        answer.raise_for_status()
    except httpx.HTTPStatusError as error:
        said = f"{error.response.status_code}: {error.response.text[:200]}"
        raise NotRefreshed(f"GitHub refuses {method} {path} ({said}). Check the job's permissions.") from error
    except httpx.HTTPError as error:
        raise NotRefreshed(f"GitHub does not answer {method} {path} ({error}). Run the job again.") from error
    return answer.json() if answer.content else None


def _git(root: Path, environment: Mapping[str, str], *argv: str) -> str:
    """Run git as the workflow's bot; the token is in its environment, in no argument, address or file."""
    basic = httpx.BasicAuth("x-access-token", environment["GITHUB_TOKEN"])
    header = next(basic.auth_flow(httpx.Request("GET", "https://github.com"))).headers["Authorization"]
    server = environment.get("GITHUB_SERVER_URL", "https://github.com")
    settings = {
        f"http.{server}/.extraheader": f"Authorization: {header}",
        "user.name": AUTHOR[0],
        "user.email": AUTHOR[1],
    }
    told = {"GIT_CONFIG_COUNT": str(len(settings)), "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    for number, (name, value) in enumerate(settings.items()):
        told |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    done = subprocess.run(["git", "-C", root, *argv], env={**os.environ, **told}, capture_output=True, text=True)
    if done.returncode:
        raise NotRefreshed(f"git {argv[0]} says: {last_line(done.stderr)}")
    return done.stdout


@says_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Refresh, or publish what was refreshed; an error is a sentence on standard error and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m ops.refresh", description=__doc__)
    parser.add_argument("--pull-request", action="store_true", help="push what changed and open its pull request")
    given = parser.parse_args(arguments)
    if given.pull_request:
        print(publish(here().root, os.environ))
    else:
        refresh(here().root, datetime.now(UTC).date())
        print(sbom_diff.report(here().root, "HEAD"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
