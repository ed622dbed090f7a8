"""Which months of a range are missing, and how filling them ended."""

import pytest

from flows.ml.gaps import MOST, Month, RangeError, asked, ending, missing, plan, table
from flows.ml.months import following

THERE = ["2023-02", "2023-03", "2023-05"]


def test_a_range_has_both_its_ends() -> None:
    assert asked("2022-11", "2023-01", THERE, "green-trips") == ["2022-11", "2022-12", "2023-01"]


def test_an_end_that_is_left_out_is_that_of_the_lake() -> None:
    assert asked("", "", THERE, "green-trips") == ["2023-02", "2023-03", "2023-04", "2023-05"]
    assert asked("2023-04", "", THERE, "green-trips") == ["2023-04", "2023-05"]
    assert asked("", "2023-03", THERE, "green-trips") == ["2023-02", "2023-03"]


def test_a_range_may_be_as_long_as_is_told() -> None:
    assert len(asked("2000-01", following("2000-01", MOST - 1), [], "green-trips")) == MOST


@pytest.mark.parametrize(
    ("first", "last", "sentence"),
    [
        ("2023-05", "2023-02", "2023-05 is after 2023-02: name the earlier month as the first."),
        ("2023-06", "", "2023-06 is after 2023-05, the newest month in the lake: name the last month, too."),
        ("", "2023-01", "2023-01 is before 2023-02, the oldest month in the lake: name the first month, too."),
        ("1023-01", "2023-01", "1023-01 to 2023-01 are 12,001 months, more than 120 at once: name fewer."),
    ],
)
def test_a_range_that_cannot_be_meant_is_a_sentence(first: str, last: str, sentence: str) -> None:
    with pytest.raises(RangeError) as error:
        asked(first, last, THERE, "green-trips")

    assert str(error.value) == sentence


@pytest.mark.parametrize(("first", "last"), [("", ""), ("2023-01", ""), ("", "2023-01")])
def test_an_empty_lake_asks_for_both_ends(first: str, last: str) -> None:
    with pytest.raises(RangeError, match="the lake holds no month of green-trips: name the first and the last month"):
        asked(first, last, [], "green-trips")


FOUND = [
    Month("2023-02", "there", 64_743),
    Month("2023-03", "filled", 71_980, "Landed"),
    Month("2023-04", "not published", None, "it is not at s3://a yet"),
]
BAD = Month("2023-05", "missing").now("failed", sentence="column trip_distance\n is missing")


def test_what_was_filled_and_what_is_not_published_is_told_and_no_failure() -> None:
    end = ending(FOUND)

    assert (end.well, end.name) == (True, "Filled")
    assert end.sentence == "1 filled: 2023-03; 1 not published yet: 2023-04"


def test_a_month_that_failed_is_named_with_its_reason_before_the_others() -> None:
    end = ending([*FOUND, BAD])

    assert (end.well, end.name) == (False, "Incomplete")
    assert end.sentence == (
        "1 failed: 2023-05: column trip_distance is missing. 1 filled: 2023-03; 1 not published yet: 2023-04"
    )


def test_months_that_all_failed_are_told_of_too() -> None:
    assert ending([BAD]).sentence.endswith("is missing. nothing was filled")


def test_where_nothing_was_missing_that_is_said() -> None:
    end = ending(FOUND[:1])

    assert (end.well, end.name) == (True, "Nothing missing")
    assert end.sentence == "nothing is missing from 2023-02 to 2023-02"


def test_a_dry_run_names_what_it_would_fill() -> None:
    found = [FOUND[0], Month("2023-03", "missing")]

    assert plan(found).sentence == "would fill 1 of 2 months: 2023-03"
    assert plan(FOUND[:1]).sentence == "nothing is missing from 2023-02 to 2023-02"
    assert missing(found) == found[1:]


def test_the_report_has_a_row_for_every_month() -> None:
    assert table([FOUND[0], BAD]) == [
        {"month": "2023-02", "state": "there", "rows": 64_743, "sentence": ""},
        {"month": "2023-05", "state": "failed", "rows": None, "sentence": "column trip_distance is missing"},
    ]
