"""Whether ``monthly`` still comes to a good end: a mark in the lake says when it last did."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from flows.ml.lake import Conflict, Lake
from flows.ml.reconciling.finding import Finding, Kind, Limits

FOLDER = "marks/monthly/"


def note(lake: Lake, model: str, ended: str, at: datetime) -> None:
    """Note that ``monthly`` of a model came to a good end, ``ended`` being what its state is called."""
    key = f"{FOLDER}{model}.json"
    there = lake.find(key)
    try:
        lake.replace(
            key,
            json.dumps({"ended": ended, "at": at.isoformat(timespec="seconds")}).encode(),
            there.etag if there else None,
        )
    except Conflict:
        return  # another run came to a good end in the same moment


def good_ends(lake: Lake) -> dict[str, datetime]:
    """When ``monthly`` last came to a good end, by model; where it never did, under ``""`` since when it could have."""
    marks: dict[str, Any] = {key: lake.get_json(key) for key in lake.keys(FOLDER)}
    if marks:
        return {
            key.removeprefix(FOLDER).removesuffix(".json"): datetime.fromisoformat(mark["at"])
            for key, mark in marks.items()
        }
    deployed = min((one.written for one in lake.listed("deploys/")), default=None)
    return {"": deployed} if deployed else {}


def find(ends: Mapping[str, datetime], limits: Limits, now: datetime) -> list[Finding]:
    """The models whose last good end is too long ago."""
    if not limits.monthly_days:
        return []
    late = {model: at for model, at in ends.items() if now - at > timedelta(days=limits.monthly_days)}
    return [
        Finding(Kind.NO_MONTHLY, f"monthly {model}".strip(), _why(model, at, now, limits)) for model, at in late.items()
    ]


def _why(model: str, at: datetime, now: datetime, limits: Limits) -> str:
    days = (now - at).days
    last = "ended well" if model else "could have ended well, since the first deploy,"
    gone = f"; a model that is no longer trained: delete {FOLDER}{model}.json from the lake" if model else ""
    return (
        f"it last {last} {days} days ago, on {at:%Y-%m-%d}; the limit is {limits.monthly_days}. "
        f"See its runs in Prefect, and whether its schedule is paused{gone}"
    )
