"""`make tune`: what a search reads, what it leaves with MLflow, and how one that was stopped goes on."""

import urllib.request
from dataclasses import replace

import polars as pl
import pytest
from mlflow import MlflowClient

from flows import models
from flows.ml.lake import Lake
from ops import tune
from ops.environment import Place
from tests.integration.home import MODEL, Home


@pytest.fixture
def searched(home: Home, tmp_path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home with three months, of which the newest judges; the study is kept in a folder of the test."""
    home.land("2023-01", "2023-02", "2023-03")
    monkeypatch.setattr(tune, "here", lambda: Place(tmp_path / "checkout"))
    return home


def search(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["tune", *arguments])
    return tune.main()


def runs() -> list:
    """The outcomes that MLflow holds, the newest first."""
    experiment = MlflowClient().get_experiment_by_name(f"{MODEL} tuning")
    return MlflowClient().search_runs([experiment.experiment_id]) if experiment else []


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The months of which a file was fetched."""
    found: set[str] = set()
    download = Lake.download

    def noted(lake: Lake, key: str, *rest, **named) -> None:
        found.add(key.split("/")[2])
        download(lake, key, *rest, **named)

    monkeypatch.setattr(Lake, "download", noted)
    return found


def test_a_search_before_an_earlier_month_sees_neither_it_nor_a_later_one(
    searched: Home, fetched: set[str], monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    assert search(monkeypatch, "--trials", "1", "--until", "2023-02") == 0

    assert fetched == {"2023-01"}
    assert f"{MODEL} on 2023-01 to 2023-01, 3 folds" in capsys.readouterr().err


def test_a_search_is_on_the_training_months_alone_and_goes_on_where_it_stopped(
    searched: Home, fetched: set[str], tmp_path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    before = searched.objects()

    first = search(monkeypatch, "--trials", "2")
    said = capsys.readouterr()
    again = search(monkeypatch, "--trials", "3")
    more = capsys.readouterr()

    assert (first, again) == (0, 0)
    assert fetched == {"2023-01", "2023-02"}
    assert searched.objects() == before
    assert f"{MODEL} on 2023-01 to 2023-02, 3 folds; 0 of 2 trials are there" in said.err
    assert "2 of 3 trials are there" in more.err
    assert "3 trials; error in minutes on days after those trained on, 3 folds" in more.out
    assert more.out.count('    "max_depth": ') == 2
    assert (tmp_path / "checkout" / ".trainyard" / "mlflow" / "tuning.db").stat().st_size
    url = more.out.splitlines()[-1]
    assert urllib.request.urlopen(url.partition("#")[0]).status == 200
    newest = runs()[0]
    assert url.endswith(newest.info.run_id)
    assert (newest.info.status, newest.info.run_name) == ("FINISHED", "3 trials")
    trials = pl.read_csv(MlflowClient().download_artifacts(newest.info.run_id, "trials.csv", str(tmp_path)))
    as_it_is, best = trials.row(0, named=True), trials.sort("value").row(0, named=True)
    assert trials.height == 3
    assert as_it_is["params_max_depth"] == models.load(MODEL).parameters["max_depth"]
    assert newest.data.metrics["error_now"] == pytest.approx(as_it_is["value"])
    assert newest.data.metrics["error"] == pytest.approx(best["value"])
    assert int(newest.data.params["max_depth"]) == best["params_max_depth"]
    assert {file.path for file in MlflowClient().list_artifacts(newest.info.run_id)} == {"search.png", "trials.csv"}


@pytest.mark.parametrize("kept", [0, 1])
def test_one_that_is_interrupted_goes_on_and_tries_the_model_as_it_is_in_any_case(
    searched: Home, monkeypatch: pytest.MonkeyPatch, capsys, kept: int
) -> None:
    calls, error = [], tune.error

    def interrupted(*given, **named) -> float:
        calls.append(given)
        if len(calls) > kept * tune.FOLDS + 1:
            raise KeyboardInterrupt
        return error(*given, **named)

    before = len(runs())
    monkeypatch.setattr(tune, "error", interrupted)
    status = search(monkeypatch, "--trials", "3")
    said = capsys.readouterr().err
    monkeypatch.setattr(tune, "error", error)
    again = search(monkeypatch, "--trials", "2")

    assert (status, again) == (130, 0)
    assert f"{kept} trials are kept" in said
    assert len(runs()) == before + 1
    assert "2 trials; error in minutes" in (out := capsys.readouterr().out)
    assert "now   " in out


def test_a_search_that_is_done_judges_the_model_that_was_changed_since(
    searched: Home, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    search(monkeypatch, "--trials", "1")
    capsys.readouterr()
    definition = models.load(MODEL)
    changed = replace(definition, parameters={**definition.parameters, "max_depth": 5})
    monkeypatch.setattr(tune.models, "load", lambda _: changed)

    status = search(monkeypatch, "--trials", "1")

    assert status == 0
    assert "2 trials; error in minutes" in capsys.readouterr().out


def test_no_number_of_trials_is_refused(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    with pytest.raises(SystemExit):
        search(monkeypatch, "--trials", "0")
    assert "0 is no number of trials, from 1" in capsys.readouterr().err


def test_with_one_month_there_is_nothing_to_search_on(home: Home, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    home.land("2023-01")

    assert search(monkeypatch) == 1
    assert "trainyard: the lake does not hold 2022-12" in capsys.readouterr().err
