"""The pull step of the pool ``kubernetes``: ``flows/`` of one commit into the folder it runs in.

The deployments carry this text (``prefect.yaml``), and a pod runs it before it has any other file of the repository: it
needs git, Python and Prefect alone. Where it cannot do its work it ends the flow run with a sentence; of a step that
fails Prefect says no more than that a process exited with status 1. A run that has ended already, as one does whose pod
found no room in time, is let be: Prefect would have it do its work all the same. Why it is no ``git_clone``:
docs/decisions/0015-pull-step.md. A deploy in the cluster begins with the same text, and names more in ``GIT_PATHS``.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

PAUSES = (2.0, 5.0, 10.0)
"""Seconds between the attempts to reach a repository that does not answer."""
TIMEOUT = 20.0
"""Seconds a command of git may take."""

ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
"""The types of Prefect's states that are an end."""

FINAL = {
    r"not our ref|unadvertised object|remote ref": "has no commit {commit}. Push it, or deploy one that is pushed",
    r"Authentication failed|could not read|error: 40[13]": "refuses access. Set GIT_TOKEN to a token that may read it",
    r"not found|not appear|not exist|not export": "is no repository, or GIT_TOKEN may not see it. Correct either",
}
"""What git says of a fault that another attempt would meet again, and what is said of the repository then."""


class PullError(Exception):
    """The code of the run cannot be had; the text says why and what to do."""


class NoAnswer(PullError):
    """There was no answer, or no whole one; there may be one the next time."""


@dataclass(frozen=True)
class Source:
    """Where the code is: an address without a password, and a token or ``user:password``, empty for none.

    ``paths`` are the files and folders that are checked out; the first must be a folder of every commit.
    """

    address: str
    commit: str
    token: str
    paths: tuple[str, ...] = ("flows",)

    @property
    def environment(self) -> dict[str, str]:
        """What git is told. The token is in no argument and in no file: those can be read by others."""
        settings = {"http.lowSpeedLimit": "1000", "http.lowSpeedTime": "20", "maintenance.auto": "false"}
        if self.token:
            pair = self.token if ":" in self.token else f"x-access-token:{self.token}"
            basic = base64.b64encode(pair.encode()).decode()
            settings[f"http.{self.address}.extraHeader"] = f"Authorization: Basic {basic}"
        told = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "GIT_CONFIG_COUNT": str(len(settings))}
        for number, (key, value) in enumerate(settings.items()):
            told |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return told


def source(env: Mapping[str, str]) -> Source:
    """The source that the environment names. Raises PullError."""
    paths = tuple(env.get("GIT_PATHS", "flows").split())
    found = Source(env.get("GIT_REPOSITORY", ""), env.get("TRAINYARD_GIT_SHA", ""), env.get("GIT_TOKEN", ""), paths)
    if not re.fullmatch("[0-9a-f]{40}", found.commit):
        raise PullError(f"TRAINYARD_GIT_SHA is {found.commit!r}, not the 40 hex digits of a commit. Deploy again.")
    if not found.address:
        raise PullError("GIT_REPOSITORY is empty. Set it to the repository's address where the platform is installed.")
    if re.match(r"https?://[^/]*@", found.address):
        raise PullError("GIT_REPOSITORY holds a user or a password. Give them as GIT_TOKEN, and the address alone.")
    return found


def pull(wanted: Source, folder: Path, pauses: Sequence[float] = PAUSES) -> None:
    """Check out the commit's paths into ``folder``, trying again while there is no answer. Raises PullError."""
    for pause in (*pauses, None):
        try:
            _attempt(wanted, folder)
            return
        except NoAnswer as error:
            if pause is None:
                said = f"{error}, tried {len(pauses) + 1} times. See that pods reach it, then run this again."
                raise PullError(said) from error
            time.sleep(pause)


def _attempt(wanted: Source, folder: Path) -> None:
    shutil.rmtree(folder / ".git", ignore_errors=True)
    for command in (
        ("init", "--quiet", "--initial-branch=main"),
        ("remote", "add", "origin", wanted.address),
        ("sparse-checkout", "set", "--no-cone", *(f"/{path}" for path in wanted.paths)),
        ("fetch", "--quiet", "--depth=1", "--filter=blob:none", "origin", wanted.commit),
        ("checkout", "--quiet", wanted.commit),
    ):
        _git(wanted, folder, command)
    if not (folder / wanted.paths[0]).is_dir():
        raise PullError(
            f"Commit {wanted.commit} of {wanted.address} has no {wanted.paths[0]}/. Correct GIT_REPOSITORY."
        )


def _git(wanted: Source, folder: Path, command: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            ["git", *command],
            cwd=folder,
            env={**os.environ, **wanted.environment},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NoAnswer(f"{wanted.address} did not answer within {TIMEOUT:.0f} s") from None
    if done.returncode:
        raise _fault(wanted, done.stderr)


def _fault(wanted: Source, said: str) -> PullError:
    """The error for what git said."""
    last = next((line for line in reversed(said.splitlines()) if line.strip()), "nothing")
    for pattern, sentence in FINAL.items():
        if re.search(pattern, said):
            return PullError(f"{wanted.address} {sentence.format(commit=wanted.commit)} (git: {last}).")
    return NoAnswer(f"{wanted.commit} could not be fetched from {wanted.address} (git: {last})")


def ended(flow_run: str, env: Mapping[str, str]) -> str:
    """The name of the state in which a flow run has ended; empty where it has not, or where Prefect does not say.

    Asked without Prefect's client, whose import takes longer than the rest of this step.
    """
    try:
        asked = urllib.request.Request(f"{env.get('PREFECT_API_URL', '')}/flow_runs/{flow_run}")
        if login := env.get("PREFECT_API_AUTH_STRING"):
            asked.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
        with urllib.request.urlopen(asked, timeout=5) as answer:
            found = json.load(answer)
    except (OSError, ValueError, HTTPException):
        return ""
    return str(found["state_name"]) if found.get("state_type") in ENDED else ""


def _end(flow_run: str, sentence: str) -> None:
    """Let the flow run be Failed with a sentence."""
    from prefect.client.orchestration import get_client
    from prefect.states import Failed

    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run, Failed(message=sentence))


def main() -> int:
    """Pull what the environment names into the working directory; exit status 1 where that cannot or shall not be."""
    flow_run = os.environ.get("PREFECT__FLOW_RUN_ID")
    if flow_run and (state := ended(flow_run, os.environ)):
        print(f"trainyard: the run is {state} already, and its pod does nothing. Run it again.", file=sys.stderr)
        return 1
    try:
        pull(source(os.environ), Path.cwd())
    except PullError as error:
        print(f"trainyard: {error}", file=sys.stderr)
        if flow_run:
            _end(flow_run, str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
