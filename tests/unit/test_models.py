"""Every model and dataset there is, whichever they are: how they are found, and what no model may look at."""

from collections import defaultdict
from pathlib import Path

import pytest

from flows import datasets, models
from flows.ml.catalogue import definitions
from flows.ml.definition import Dataset
from ops.lint import prefect_yaml

ROOT = Path(__file__).resolve().parents[2]
FLOWS = {"retrain", "score", "monitor", "promote", "backfill-scores", "monthly"}
"""The flows that work on one model."""

every_model = pytest.mark.parametrize("name", [str(name) for name in models.ModelName])


@every_model
def test_a_model_is_found_by_its_file_and_bears_its_name(name):
    assert models.load(models.ModelName(name)).name == name


@every_model
def test_nothing_known_only_afterwards_is_an_input(name):
    model = models.load(name)
    dataset: Dataset = datasets.load(model.dataset)

    assert dataset.outcomes <= set(dataset.sources)
    assert set(model.inputs) <= set(dataset.sources) - dataset.outcomes


@every_model
def test_features_and_baseline_use_inputs_only(name):
    model = models.load(name)
    derived = {item.name: item.source for item in model.features.derived}
    encoded = {name for item in model.features.encodings for name in (*item.keys, item.value, item.per)}
    used = {model.features.day, *model.features.columns, *derived.values(), *encoded, *sum(model.naive, ())}

    assert used - {*derived, ""} <= set(model.inputs)


@every_model
def test_every_flow_is_deployed_for_a_model_under_its_name_in_both_pools(name):
    flows = defaultdict(set)
    for entry in prefect_yaml.load(ROOT).entries:
        if entry.config["parameters"].get("model") == name:
            flows[entry.config["name"]].add(entry.config["flow_name"])

    assert flows == {name: FLOWS, f"{name}-local": FLOWS}


def test_an_unknown_model_is_an_error_that_lists_those_there_are():
    known = ", ".join(models.ModelName)

    with pytest.raises(models.UnknownModelError, match=f"no model 'trips': choose one of {known}"):
        models.load("trips")


def test_an_unknown_dataset_is_an_error():
    with pytest.raises(datasets.UnknownDatasetError, match="no dataset 'taxi-zones'"):
        datasets.load("taxi-zones")


def test_a_definition_is_a_file_that_assigns_the_constant(tmp_path):
    (tmp_path / "one_model.py").write_text("import os\nMODEL = 1\n")
    (tmp_path / "typed.py").write_text("MODEL: int = 1\n")
    (tmp_path / "table.py").write_text("# MODEL = 1\nMODELS = 2\n")

    assert definitions(tmp_path, "MODEL") == {"one-model": "one_model", "typed": "typed"}
