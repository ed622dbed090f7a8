"""A step of the scenario that comes out otherwise, and the bad month it publishes."""

from pathlib import Path

import polars as pl
import pytest

from flows import datasets
from flows.ml import contract
from ops import scenario
from ops.scenario import BAD, ScenarioError


def test_a_step_that_ends_otherwise_is_told_with_what_it_said() -> None:
    with pytest.raises(ScenarioError, match=r"^monitor has to end as Alarm and ended as Within limits: all is well$"):
        scenario.require("monitor", "Alarm", "Within limits", "all is well")


def test_the_bad_month_meets_the_contract(tmp_path: Path) -> None:
    source = scenario.publish(tmp_path / "published")

    rows = pl.scan_parquet(source.replace("{month}", BAD))
    dataset = datasets.load(scenario.DATASET)
    contract.check_columns(rows.collect_schema(), dataset, BAD)
    checked = contract.check_rows(rows, dataset, BAD)
    contract.refuse(checked, dataset, BAD)
    assert (checked.rows, checked.kept) == (64_113, 64_062)
