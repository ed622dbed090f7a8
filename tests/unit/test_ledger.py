"""Promotions in the ledger; the lake is a stand-in in memory."""

import json

import pytest
from memory_lake import MemoryLake

from flows.ml import ledger
from flows.ml.ledger import Entry, HeadMoved

MODEL = "trip-duration"


@pytest.fixture
def lake() -> MemoryLake:
    return MemoryLake()


def promote(
    lake,
    version: int,
    against: Entry | None,
    fingerprint: str = "",
    decision: str = "",
    operator: str = ledger.SCHEDULE,
) -> Entry:
    return ledger.promote(
        lake,
        MODEL,
        against,
        version=version,
        fingerprint=fingerprint or f"f{version}",
        decision=decision or f"d{version}",
        reason="better",
        operator=operator,
    )


def chain(lake, *moves: tuple[int, str]) -> list[Entry]:
    """The ledger after these promotions of versions by operators."""
    head = None
    for number, (version, operator) in enumerate(moves):
        head = promote(lake, version, head, decision=f"d{number}", operator=operator)
    return ledger.entries(lake, MODEL)


def test_an_empty_ledger_has_no_head(lake) -> None:
    assert ledger.head(lake, MODEL) is None
    assert ledger.entries(lake, MODEL) == []
    assert ledger.standing(lake, MODEL, "f1") == ledger.Standing(None, None)


def test_entries_are_numbered_and_name_the_champion_they_replace(lake) -> None:
    first = promote(lake, 1, None)
    second = promote(lake, 4, first)

    assert (first.number, first.version, first.champion) == (1, 1, None)
    assert (second.number, second.version, second.champion) == (2, 4, 1)
    assert lake.keys() == ["ledger/trip-duration/00000001.json", "ledger/trip-duration/00000002.json"]
    assert ledger.entries(lake, MODEL) == [first, second]
    assert ledger.head(lake, MODEL) == second


def test_the_head_is_the_highest_number_beyond_ten_too(lake) -> None:
    head = None
    for version in range(1, 13):
        head = promote(lake, version, head)

    assert ledger.head(lake, MODEL) == head
    assert [entry.number for entry in ledger.entries(lake, MODEL)] == list(range(1, 13))


def test_an_entry_says_why_by_whom_and_when(lake) -> None:
    promote(lake, 1, None)

    kept = json.loads(lake.get("ledger/trip-duration/00000001.json"))
    assert (kept["reason"], kept["operator"], kept["decision"]) == ("better", "retrain", "d1")
    assert kept["promoted_at"].endswith("+00:00")


def test_another_promotion_against_the_same_head_is_refused_and_changes_nothing(lake) -> None:
    first = promote(lake, 1, None)
    second = promote(lake, 2, first)

    with pytest.raises(
        HeadMoved, match=r"version 2 was promoted as entry 2 .* by retrain .* version 3 must be judged against it"
    ):
        promote(lake, 3, first)

    assert ledger.entries(lake, MODEL) == [first, second]


def test_a_rerun_of_the_same_promotion_finds_its_own_entry(lake) -> None:
    first = promote(lake, 1, None)
    second = promote(lake, 2, first)

    again = promote(lake, 2, first)

    assert again == second
    assert lake.writes == 2


def test_the_same_training_under_another_decision_is_not_its_own_entry(lake) -> None:
    promote(lake, 1, None, decision="one gate")

    with pytest.raises(HeadMoved):
        promote(lake, 1, None, decision="another gate")


def test_a_training_stands_as_promoted_though_another_is_champion_now(lake) -> None:
    first = promote(lake, 1, None)
    second = promote(lake, 2, first)

    found = ledger.standing(lake, MODEL, "f1")

    assert found == ledger.Standing(champion=second, promotion=first)
    assert found.identity == (2, "f2")
    assert ledger.standing(lake, MODEL, "f3").promotion is None


def test_models_have_ledgers_of_their_own_even_where_one_name_begins_with_the_other(lake) -> None:
    promote(lake, 1, None)

    assert ledger.head(lake, "trip") is None
    assert ledger.head(lake, "trip-duration-2") is None


def test_what_the_schedule_replaces_is_not_barred(lake) -> None:
    found = chain(lake, (1, "retrain"), (2, "retrain"))

    assert ledger.bar(found, "f1") is None
    assert ledger.bar(found, "f2") is None


def test_what_an_operator_takes_out_of_service_is_barred_whatever_comes_after_it(lake) -> None:
    found = chain(lake, (1, "retrain"), (2, "retrain"), (1, "ada"), (3, "retrain"), (4, "retrain"))

    assert ledger.bar(found, "f2") == found[2]
    assert ledger.bar(found, "f1") is None
    assert ledger.standing(lake, MODEL, "f2") == ledger.Standing(found[-1], found[1], found[2])


def test_a_bar_is_lifted_by_an_operator_and_comes_back_with_the_next(lake) -> None:
    found = chain(lake, (1, "retrain"), (2, "retrain"), (1, "ada"), (2, "ben"), (1, "cy"))

    assert ledger.bar(found[:3], "f2") == found[2]
    assert ledger.bar(found[:4], "f2") is None
    assert ledger.bar(found[:4], "f1") == found[3]
    assert ledger.bar(found, "f2") == found[4]
    assert ledger.bar(found, "f1") is None


def test_the_first_entry_of_all_bars_nothing(lake) -> None:
    assert ledger.bar(chain(lake, (1, "ada")), "f1") is None


def test_a_training_stands_by_its_newest_promotion(lake) -> None:
    found = chain(lake, (1, "retrain"), (2, "retrain"), (1, "ada"))

    assert ledger.standing(lake, MODEL, "f1").promotion == found[2]
