"""What a reviewer reads of a change to a model; and what a verb tells the workflow it runs in."""

from dataclasses import replace
from pathlib import Path

import pytest

from flows import models
from flows.ml.definition import Interval, SliceResult, Verdict
from ops import evaluation_table, summary

MODEL = models.load("trip-duration")
PART = SliceResult("day", "weekend", 900, 6.1, 4.2, 4.0, Interval(0.2, 0.1, 0.3), matters=True, judged=True)
VERDICT = Verdict("refuse", "It is worse.", 1_200, 4.3, 3.1, 6.5, 4.1, Interval(0.2, 0.1, 0.3), (PART,))
WHOLE = evaluation_table.Whole(1_261, 4.3456)


def page(verdict: Verdict) -> str:
    return evaluation_table.page(MODEL, verdict, WHOLE, ["2023-01", "2023-02", "2023-03"], "abc123")


def test_every_part_has_its_errors_before_and_after_and_the_interval() -> None:
    lines = page(VERDICT).splitlines()

    assert "| all | 1,200 | 6.500 | 4.100 | 4.300 | +0.200 (+0.100 to +0.300) |" in lines
    assert "| **day: weekend** | 900 | 6.100 | 4.000 | 4.200 | +0.200 (+0.100 to +0.300) |" in lines


def test_the_gates_word_on_the_change_comes_first() -> None:
    assert page(VERDICT).splitlines()[2] == "**The gate would refuse it**, with this change as candidate: It is worse."


def test_the_error_with_what_is_in_quarantine_stands_beside_it() -> None:
    said = "With the 61 rows of its scope in quarantine counted in, this change's error is 4.346."

    assert said in page(VERDICT)


def test_a_change_that_does_not_reach_the_model_says_so() -> None:
    same = replace(VERDICT, decision="keep", difference=Interval(0.0, 0.0, 0.0))

    assert "The predictions are the same" in page(same)


def test_a_base_that_could_not_be_scored_leaves_its_columns_empty() -> None:
    alone = replace(VERDICT, champion_rmse=None, difference=None, slices=())

    assert "| all | 1,200 | 6.500 |  | 4.300 |  |" in page(alone).splitlines()


def test_a_summary_is_appended_where_the_workflow_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))

    summary.add("# one\n")
    summary.add("# two")

    assert (tmp_path / "summary").read_text() == "# one\n\n# two\n\n"


def test_outside_a_workflow_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)

    summary.add("# one")
