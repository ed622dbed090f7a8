"""The record of every deploy, append-only, in the lake: who brought which pair, when, and what that changed.

Record n is the object ``deploys/<n>.json``, written before anything is changed and only while that number is free. When
all is done ``deploys/<n>.done.json`` is written beside it: a record without one is of a deploy that was interrupted.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from flows.ml.lake import Lake
from ops.deploy.errors import NotDeployed
from ops.deploy.spec import Deployment, read

FOLDER = "deploys/"
_NAME = re.compile(rf"{FOLDER}(\d+)\.json")


@dataclass(frozen=True)
class Record:
    """A deploy. ``changes`` are the lines of its plan; ``returned_to`` is the record a rollback took up again."""

    number: int
    pool: str
    commit: str
    image: str
    by: str
    environment: str
    at: str
    changes: tuple[str, ...]
    deployments: tuple[Mapping[str, Any], ...]
    returned_to: int | None = None

    @property
    def wanted(self) -> tuple[Deployment, ...]:
        """The deployments as this deploy made them."""
        return tuple(read(each) for each in self.deployments)

    def same(self, other: "Record") -> bool:
        """Whether the other is a deploy of the same."""
        return (self.pool, self.commit, self.deployments) == (other.pool, other.commit, other.deployments)


def draft(wanted: Sequence[Deployment], pair: tuple[str, str], **given: Any) -> Record:
    """A record that has no number yet, and does not know yet what it changes."""
    return Record(
        number=0,
        image=pair[0],
        commit=pair[1],
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        changes=(),
        deployments=tuple(json.loads(json.dumps(each.record())) for each in wanted),
        **given,
    )


def numbers(lake: Lake) -> list[int]:
    """The numbers of all records, the newest first."""
    found = (_NAME.fullmatch(key) for key in lake.keys(FOLDER))
    return sorted((int(match[1]) for match in found if match), reverse=True)


def get(lake: Lake, number: int) -> Record:
    """A record by its number."""
    found = lake.get_json(_key(number))
    return Record(**{**found, "changes": tuple(found["changes"]), "deployments": tuple(found["deployments"])})


def head(lake: Lake) -> Record | None:
    """The newest record; None before the first deploy."""
    return get(lake, found[0]) if (found := numbers(lake)) else None


def is_done(lake: Lake, record: Record) -> bool:
    """Whether a deploy came to its end."""
    return lake.find(_done(record.number)) is not None


def begin(lake: Lake, drafted: Record, changes: Sequence[str]) -> Record:
    """Write the record of a deploy that is about to begin. Raises ``NotDeployed`` where another came first."""
    newest = numbers(lake)
    record = replace(drafted, number=newest[0] + 1 if newest else 1, changes=tuple(changes))
    if not lake.put_new(_key(record.number), json.dumps(asdict(record), indent=1).encode()):
        raise NotDeployed(f"another deploy took the number {record.number} meanwhile. Run this again.")
    return record


def end(lake: Lake, record: Record) -> None:
    """Note that a deploy came to its end."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    lake.put_new(_done(record.number), json.dumps({"at": at}).encode())


def before(lake: Lake) -> Record:
    """What a rollback returns to: the newest finished deploy of something else than the head's.

    Where the head was interrupted it is what was there before it. Where it is a rollback it is what that returned to,
    so that one that is done again completes the first, or finds nothing to do. Raises ``NotDeployed``.
    """
    newest = head(lake)
    interrupted = newest is not None and not is_done(lake, newest)
    if newest and newest.returned_to:
        return get(lake, newest.returned_to)
    for number in numbers(lake)[1:]:
        record = get(lake, number)
        if is_done(lake, record) and (interrupted or not (newest and record.same(newest))):
            return record
    raise NotDeployed("the lake holds no record of an earlier deploy to return to. Deploy the commit that is meant.")


def require_commit(text: str) -> None:
    """Raises ``NotDeployed`` where a text cannot be a commit."""
    if not re.fullmatch("[0-9a-f]{7,40}", text):
        raise NotDeployed(f"{text!r} is neither `previous` nor 7 to 40 hex digits of a commit. Correct it.")


def of(lake: Lake, commit: str) -> Record:
    """The newest finished deploy of a commit, given by at least 7 of its digits. Raises ``NotDeployed``."""
    require_commit(commit)
    known = []
    for number in numbers(lake):
        record = get(lake, number)
        if record.commit.startswith(commit) and is_done(lake, record):
            return record
        known.append(record.commit[:12])
    listed = ", ".join(dict.fromkeys(known[:10])) or "none"
    raise NotDeployed(f"the lake holds no record of a deploy of commit {commit}. The last ones deployed: {listed}.")


def _key(number: int) -> str:
    return f"{FOLDER}{number:08d}.json"


def _done(number: int) -> str:
    return f"{FOLDER}{number:08d}.done.json"
