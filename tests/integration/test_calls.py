"""The proxy between a flow and its servers: a run through it is the run it would be, and is killed where it is told."""

import pytest

from tests.integration import calls
from tests.integration.calls import Moment
from tests.integration.disturbed import FULL, Table
from tests.integration.home import DATASET, Home
from tests.integration.warm import Warm

MONTH = "2023-02"


def land(home: Home) -> dict[str, str]:
    """The parameters of an ingest of a published month."""
    home.publish(MONTH)
    return {"dataset": DATASET, "month": MONTH, "source": home.source}


def test_the_calls_of_a_run_are_counted_in_their_order(home: Home, warm: Warm) -> None:
    made = calls.of(warm, home.env, "ingest", **land(home))

    manifest = f"S3 PUT /{home.lake.bucket}/{home.lake.prefix}/raw/{DATASET}/{MONTH}/manifest.json"
    assert made[0].startswith("S3 GET")
    assert made.count(manifest) == 1
    assert len([what for what in made if what.startswith("S3 PUT")]) == len(home.objects())


@pytest.mark.parametrize("after", [False, True])
def test_a_run_is_killed_before_a_call_or_after_it(home: Home, warm: Warm, after: bool) -> None:
    manifest = f"raw/{DATASET}/{MONTH}/manifest.json"
    parameters = land(home)
    made = calls.of(warm, home.env, "ingest", **parameters)
    for key in home.objects():
        home.lake.delete(key)
    moment = Moment(1 + next(n for n, what in enumerate(made) if what.endswith(manifest) and "PUT" in what), after)

    killed = calls.kill(warm, home.env, moment, "ingest", **parameters)

    assert killed
    assert (manifest in home.objects()) is after


def test_moments_are_those_that_the_servers_can_tell_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    made = ["S3 GET /a", "S3 HEAD /b", "S3 PUT /b", "S3 GET /b", "S3 DELETE /a", "S3 GET /a"]

    some = [(moment.call, moment.after) for moment in calls.moments(made)]
    monkeypatch.setenv("EVERY_CALL", "1")
    every = [(moment.call, moment.after) for moment in calls.moments(made)]

    assert some == [(1, False), (3, False), (5, False), (5, True)]
    assert every == [
        *((1, False), (2, False), (3, False), (3, True)),
        *((4, False), (5, False), (5, True), (6, False)),
    ]


def test_the_table_has_what_was_tried_and_not_survived_as_well() -> None:
    table = Table(made={"promote": ["S3 PUT /a"]})
    for by_itself in (True, False, None):
        table.begin("promote", "killed")
        if by_itself is not None:
            table.note("promote", "killed", by_itself=by_itself)
    table.begin("ingest", FULL)

    assert [row.strip("| ").split(" | ") for row in table.text().splitlines()[2:]] == [
        ["`promote`", "1", "killed", "3", "2", "1", "1"],
        ["`ingest`", "", "full disk", "1", "0", "0", "0"],
    ]
