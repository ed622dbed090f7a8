"""A training is done again by whatever function its record holds."""

import inspect
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.ml import training
from ops import record_trial

ROWS = pl.LazyFrame({"distance": [1.0, 2.0]})
OFFERED = {"on_round": print, "folder": Path("scratch")}


def first(rows: pl.DataFrame, model: Any, threads: int, on_round: Any = None) -> Any:
    """As the first records have it: rows had to be there."""
    return rows.height, model, threads, on_round


def second(
    rows: pl.DataFrame | pl.LazyFrame, model: Any, threads: int, on_round: Any = None, folder: Any = None
) -> Any:
    """As they have it since rows may be lazy."""
    return rows.lazy().select(pl.len()).collect().item(), model, threads, on_round, folder


def third(
    rows: pl.DataFrame | pl.LazyFrame,
    model: Any,
    threads: int,
    on_round: Any = None,
    folder: Any = None,
    memory: int | None = None,
) -> Any:
    """As they had it while it went by the memory there is whether the matrix was on disk."""
    assert memory is None
    return rows.lazy().select(pl.len()).collect().item(), model, threads, on_round, folder


@pytest.mark.parametrize(("train", "takes"), [(first, 1), (second, 2), (third, 2)])
def test_every_function_that_records_hold_is_given_what_it_takes(train, takes) -> None:
    found = record_trial.call(train, ROWS, "a model", 2, OFFERED)

    assert found == (2, "a model", 2, *list(OFFERED.values())[:takes])


def test_the_present_one_takes_all_that_is_offered() -> None:
    assert inspect.signature(training.train).parameters.keys() >= OFFERED.keys()
