"""Whether ``monthly`` still comes to a good end, and to new months: marks in the lake say when it last did."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flows.ml.lake import Conflict, Lake
from flows.ml.reconciling.finding import Finding, Kind, Limits

FOLDER = "marks/monthly/"
NO_NEWS = "Not published"
"""The good end of a run that found no new month."""
_RECORD = re.compile(r"deploys/\d+\.json")


@dataclass(frozen=True)
class Mark:
    """When ``monthly`` last came to a good end, and when to one with a new month.

    Where it never did, which ``ended`` says, both are when its schedule was deployed.
    """

    at: datetime
    news: datetime
    ended: bool = True


def note(lake: Lake, model: str, ended: str, at: datetime) -> None:
    """Note that ``monthly`` of a model came to a good end, ``ended`` being what its state is called."""
    key = f"{FOLDER}{model}.json"
    there = lake.find(key)
    now = at.isoformat(timespec="seconds")
    news = lake.get_json(key).get("news", now) if there and ended == NO_NEWS else now
    mark = json.dumps({"ended": ended, "at": now, "news": news}).encode()
    try:
        lake.replace(key, mark, there.etag if there else None)
    except Conflict:
        return  # another run came to a good end in the same moment


def marks(lake: Lake) -> dict[str, Mark]:
    """The mark of each model that has one or is scheduled; without a deploy none is known to be scheduled."""
    found: dict[str, Any] = {key: lake.get_json(key) for key in lake.keys(FOLDER)}
    ended = {key.removeprefix(FOLDER).removesuffix(".json"): mark for key, mark in found.items()}
    return _scheduled(lake, set(ended)) | {
        model: Mark(datetime.fromisoformat(mark["at"]), datetime.fromisoformat(mark.get("news", mark["at"])))
        for model, mark in ended.items()
    }


def _scheduled(lake: Lake, known: set[str]) -> dict[str, Mark]:
    """The models besides ``known`` whose ``monthly`` is scheduled, since the first of the deploys that say so."""
    records = sorted((one for one in lake.listed("deploys/") if _RECORD.fullmatch(one.key)), key=lambda one: one.key)
    since: dict[str, Mark] = {}
    left: set[str] | None = None
    for one in reversed(records):
        scheduled = set(_models(lake.get_json(one.key))) - known
        left = scheduled if left is None else left & scheduled
        if not left:
            break
        since |= {model: Mark(one.written, one.written, ended=False) for model in left}
    return since


def _models(record: Mapping[str, Any]) -> Iterator[str]:
    """The models whose ``monthly`` a deploy schedules."""
    for each in record.get("deployments", ()):
        if each["flow"] == "monthly" and each["schedules"]:
            yield str(each["settings"]["parameters"]["model"])


def find(found: Mapping[str, Mark], limits: Limits, now: datetime) -> list[Finding]:
    """The models whose last good end, or last new month, is too long ago."""
    if not limits.monthly_days:
        return []
    return [
        Finding(Kind.NO_MONTHLY, f"monthly {model}", why + (_gone(model) if mark.ended else ""))
        for model, mark in found.items()
        if (why := _late(mark, limits, now))
    ]


def _late(mark: Mark, limits: Limits, now: datetime) -> str:
    """Why a model is late; empty where it is not."""
    if now - mark.at > timedelta(days=limits.monthly_days):
        last = "it last ended well" if mark.ended else "it never ended well since its schedule was deployed,"
        return (
            f"{last} {(now - mark.at).days} days ago, on {mark.at:%Y-%m-%d}; the limit is {limits.monthly_days}. "
            "See its runs in Prefect, and whether its schedule is paused"
        )
    if now - mark.news > timedelta(days=limits.news_months * limits.monthly_days):
        return (
            f"no run with a new month ended well since {mark.news:%Y-%m-%d}, {(now - mark.news).days} days ago. "
            "See its runs in Prefect, and whether the dataset is still published where they look"
        )
    return ""


def _gone(model: str) -> str:
    return f"; a model that is no longer trained: delete {FOLDER}{model}.json from the lake"
