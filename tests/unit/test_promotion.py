"""What an operator's word comes to by the ledger."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from flows.ml import promotion
from flows.ml.ledger import Entry, HeadMoved
from flows.ml.promotion import NoPrevious, NotAPerson, Wish

MODEL = "trip-duration"
ASKED = datetime(2024, 5, 1, 9, tzinfo=UTC)


def wish(version: str = "previous", operator: str = "ada", reason: str = "it is off", run: str = "r2") -> Wish:
    return Wish(MODEL, version, operator, reason, run, ASKED)


def chain(*moves: tuple[int, str]) -> list[Entry]:
    """A ledger of promotions of versions, each by an operator."""
    found: list[Entry] = []
    for version, operator in moves:
        before = found[-1].version if found else None
        what = (len(found) + 1, version, before, f"f{version}", f"d{len(found)}", "it is better", operator)
        found.append(Entry(*what, promoted_at="2024-05-01T10:00:00+00:00"))
    return found


def test_the_version_before_is_the_one_the_newest_entry_replaced() -> None:
    found = chain((1, "retrain"), (4, "retrain"), (6, "retrain"))

    assert promotion.previous(found, MODEL) == found[1]


def test_the_version_before_one_that_an_operator_chose_is_the_one_it_replaced() -> None:
    found = chain((1, "retrain"), (4, "ada"))

    assert promotion.previous(found, MODEL) == found[0]


def test_after_a_rollback_and_a_retrain_the_version_before_is_the_one_rolled_back_to() -> None:
    found = chain((1, "retrain"), (2, "retrain"), (1, "ada"), (3, "retrain"))

    assert promotion.previous(found, MODEL).version == 1


@pytest.mark.parametrize(
    ("moves", "sentence"),
    [((), "no version was ever promoted"), (((3, "retrain"),), "version 3 is the first. Name the version")],
)
def test_without_a_version_before_there_is_none_to_go_back_to(
    moves: tuple[tuple[int, str], ...], sentence: str
) -> None:
    with pytest.raises(NoPrevious, match=sentence):
        promotion.previous(chain(*moves), MODEL)


def test_an_operator_does_not_replace_what_another_put_in_service_after_they_asked() -> None:
    with pytest.raises(
        HeadMoved, match=r"version 2 was put in service meanwhile, 2024-05-01T10:\S+ by ben: it is better"
    ):
        promotion.require_seen(chain((1, "retrain"), (2, "ben")), wish("3"))


@pytest.mark.parametrize("operator", ["retrain", "ben", "ada"])
def test_the_version_before_is_that_before_the_one_in_service_when_they_asked(operator: str) -> None:
    with pytest.raises(HeadMoved, match="start a new run of promote with its number"):
        promotion.require_seen(chain((1, "retrain"), (2, "retrain"), (3, operator)), wish())


@pytest.mark.parametrize(
    "moves",
    [(), ((1, "ben"), (2, "retrain")), ((1, "retrain"), (2, "ada"))],
    ids=["none", "the schedule's", "their own"],
)
def test_by_its_number_they_replace_what_is_the_schedules_or_their_own(moves: tuple[tuple[int, str], ...]) -> None:
    promotion.require_seen(chain(*moves), wish("3"))


def test_what_was_in_service_when_they_asked_they_replace() -> None:
    later = ASKED + timedelta(hours=1)

    for version in ("3", "previous"):
        promotion.require_seen(chain((1, "retrain"), (2, "ben")), replace(wish(version), asked_at=later))


def test_a_second_operator_does_not_undo_the_rollback_of_the_first() -> None:
    found = chain((1, "retrain"), (2, "retrain"), (1, "ada"))

    with pytest.raises(NoPrevious, match=r"ada went back to version 1 already, from version 2 .* name the version"):
        promotion.previous(found, MODEL)


def test_the_same_wish_again_is_granted_and_another_ones_is_not() -> None:
    found = chain((1, "retrain"), (2, "retrain"))
    done = Entry(3, 1, 2, "f1", "r1", "it is off", "ada", "2024-05-02T10:00:00+00:00")

    assert promotion.granted([*found, done], wish()) == done
    assert promotion.granted([*found, done], wish(operator="ben")) is None
    assert promotion.granted(found, wish()) is None
    assert promotion.granted([], wish()) is None


def test_who_put_a_version_in_service_goes_back_from_it_for_the_same_reason() -> None:
    found = chain((1, "retrain"), (2, "retrain"), (3, "ada"))

    assert promotion.granted(found, wish(reason=found[-1].reason)) is None
    assert promotion.previous(found, MODEL) == found[1]


def test_a_run_that_is_started_again_by_itself_does_not_promote_over_what_came_since() -> None:
    found = chain((1, "retrain"), (2, "retrain"), (1, "ada"), (3, "retrain"))

    assert promotion.granted(found, wish("1", run=found[2].decision)) == found[2]
    assert promotion.granted(found, wish("1", run="another")) is None


def test_a_version_in_service_is_granted_to_anyone() -> None:
    found = chain((1, "retrain"), (2, "retrain"))

    assert promotion.granted(found, wish("2")) == found[-1]
    assert promotion.granted(found, wish("1")) is None


@pytest.mark.parametrize("name", ["retrain", "Retrain"])
def test_nobody_signs_as_the_schedule(name: str) -> None:
    with pytest.raises(NotAPerson, match="give the name of who decides"):
        wish(operator=name)


def test_a_bar_is_said_by_whom_when_and_why() -> None:
    found = chain((1, "retrain"), (2, "retrain"), (1, "ada"))

    assert promotion.bar(found, "f2") == "2024-05-01T10:00:00+00:00 by ada: it is better"
    assert promotion.bar(found, "f1") == ""


def test_the_card_shows_words_as_they_are_and_the_newest_ten_promotions() -> None:
    found = chain(*((number, "retrain") for number in range(1, 12)), (1, "a|b <i>"))

    text = promotion.card(MODEL, found, {"version 1 in MLflow": "http://mlflow/1"})

    assert text.startswith(
        "# trip-duration: version 1 is in service\n\nPut there, in place of version 11, by a\\|b \\<i\\>"
    )
    assert "[version 1 in MLflow](http://mlflow/1)" in text
    assert [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| 1")] == ["| 12", "| 11", "| 10"]
    assert "\n| 2 |" not in text
