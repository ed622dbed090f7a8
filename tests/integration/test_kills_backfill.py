"""``backfill`` and ``backfill-scores`` killed at their calls: the next run does what is left, and nothing twice."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from flows.ml import landing, predictions
from flows.retrain import retrain
from tests.integration import calls
from tests.integration import home as homes
from tests.integration.disturbed import Trial
from tests.integration.home import DATASET, MODEL, Home, run
from tests.integration.slots import limited

pytestmark = calls.timeout()

MONTHS = ["2023-01", "2023-02", "2023-03"]
PLENTY = 1000
"""Places within the limit: a backfill that was killed keeps its own for a minute, and none shall wait for them."""


def test_a_backfill_leaves_every_month_whole_and_once(platform, tmp_path_factory, warm, table) -> None:
    @contextlib.contextmanager
    def published() -> Iterator[tuple[Home, Mapping[str, Any]]]:
        with homes.home(platform, tmp_path_factory.mktemp("home")) as own, limited(PLENTY):
            for month in MONTHS:
                own.publish(month)
            yield own, {"dataset": DATASET, "first": MONTHS[0], "last": MONTHS[-1], "source": own.source}

    def survived(own: Home) -> None:
        assert landing.months(own.lake, DATASET) == MONTHS
        for month in MONTHS:
            landing.fetch(own.lake, landing.manifest(own.lake, DATASET, month), own.folder)  # held to its digest
        files = Counter((key.split("/")[2], key.rpartition("/")[2]) for key in own.objects())
        once = {(month, name): 1 for month in MONTHS for name in ("data.parquet", "rows.parquet")}
        assert files == once | {(month, "manifest.json"): 2 for month in MONTHS}
        assert own.lake.uploads() == []

    Trial("backfill", published, survived, ordered=False).endure("killed", warm, table)


def test_a_backfill_of_scores_leaves_every_month_scored_whole_and_once(platform, tmp_path_factory, warm, table) -> None:
    with homes.home(platform, tmp_path_factory.mktemp("home")) as served, limited(PLENTY):
        served.land(*MONTHS)
        assert run(retrain, model=MODEL, until="2023-02").name == "Promoted"
        before = served.objects()

        @contextlib.contextmanager
        def unscored() -> Iterator[tuple[Home, Mapping[str, Any]]]:
            for key in served.objects().keys() - before.keys():
                served.lake.delete(key)
            yield served, {"model": MODEL}

        def survived(own: Home) -> None:
            for month in MONTHS:
                address = landing.manifest(own.lake, DATASET, month).address
                scored = predictions.find(own.lake, MODEL, month, address, 1)
                assert scored
                assert predictions.is_whole(own.lake, scored)
            written = Counter(key.split("/")[2] for key in own.objects().keys() - before.keys())
            assert written == dict.fromkeys(MONTHS, 2)  # the rows and their manifest
            assert before.items() <= own.objects().items()
            assert own.lake.uploads() == []

        Trial("backfill-scores", unscored, survived, ordered=False).endure("killed", warm, table)
