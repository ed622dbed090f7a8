"""Retrains that answer an alarm, in the lake: at most one for a month and a cause, whatever runs again.

monitoring/<model>/<month>/<cause>.json   written only where there is none; how it ended is written into it
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from flows.ml import landing
from flows.ml import snapshot as snapshots
from flows.ml.definition import Model
from flows.ml.lake import Conflict, Lake


@dataclass(frozen=True)
class Answer:
    """A retrain until the month ``until`` on ``window`` months, for an alarm of ``month`` under ``version``.

    ``outcome`` is how it ended, empty while it has not: then whoever finds it runs it, to the same end.
    """

    model: str
    month: str
    cause: str
    version: int
    until: str
    window: int
    decided_at: str
    outcome: str = ""

    @property
    def key(self) -> str:
        """Where it is in the lake."""
        return f"monitoring/{self.model}/{self.month}/{self.cause}.json"


def decide(lake: Lake, model: Model, month: str, version: int, causes: Iterable[str]) -> list[Answer]:
    """The retrains that answer the causes of an alarm, decided now or by an earlier run.

    A new one is until the newest month, on the model's second window or as many months as there are without a gap.
    Raises ``WindowError``, and the lake's errors.
    """
    train, until = snapshots.choose(landing.months(lake, model.dataset), "", None, model.limits.second_window)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    wanted = [Answer(model.name, month, cause, version, until, len(train), now) for cause in causes]
    return [one if lake.put_new(one.key, _text(one)) else Answer(**lake.get_json(one.key)) for one in wanted]


def end(lake: Lake, answer: Answer, outcome: str) -> None:
    """Write down how a retrain ended; what another run has written of it stays."""
    text, etag = lake.read(answer.key)
    there = Answer(**json.loads(text))
    if there.outcome:
        return
    try:
        lake.replace(answer.key, _text(replace(there, outcome=outcome)), etag)
    except Conflict:
        return


def _text(answer: Answer) -> bytes:
    return json.dumps(asdict(answer), indent=1).encode()
