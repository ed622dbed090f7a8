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


def promote(lake, version: int, against: Entry | None, fingerprint: str = "", decision: str = "") -> Entry:
    return ledger.promote(
        lake,
        MODEL,
        against,
        version=version,
        fingerprint=fingerprint or f"f{version}",
        decision=decision or f"d{version}",
        reason="better",
        operator="retrain",
    )


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

    with pytest.raises(HeadMoved, match=r"version 2 was promoted as entry 2 .* version 3 must be judged against it"):
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
