"""``make tune``: a search for a model's parameters, on the months that it would be trained on and nothing later.

The newest month judges, so it is not read. A fold is judged on days that come after all it is trained on. The study is
kept beside MLflow's database, one for each model, window and feature definition: a search that was stopped goes on,
and its outcome is a run of MLflow with the plot. What is found is for a person to write into the model's file.
"""

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from mlflow import MlflowClient

from flows import models
from flows.ml import judging, report, training
from flows.ml import snapshot as snapshots
from flows.ml.definition import Model
from flows.ml.errors import TrainyardError
from flows.ml.fingerprint import TRAINING_SOURCES, Part, digest_of, file_digests
from flows.ml.settings import Settings
from flows.resources import open_resources, scratch
from ops import command
from ops.command import say, says_errors
from ops.environment import here

if TYPE_CHECKING:
    import optuna

FOLDS = 3
SPACE: Mapping[str, tuple[float, float, str]] = {
    "max_depth": (4, 10, "int"),
    "eta": (0.03, 0.3, "log"),
    "min_child_weight": (1, 100, "log"),
    "reg_lambda": (0.1, 100, "log"),
    "subsample": (0.5, 1, "linear"),
    "colsample_bytree": (0.4, 1, "linear"),
}
"""Lowest, highest, how values lie between. Depth and rounds bound the time of a training: rounds are the model's."""

Fold = tuple[pl.DataFrame, pl.DataFrame]


class NotSearched(TrainyardError):
    """A search that cannot begin."""


@says_errors
def main() -> int:
    """Search, print what was found; exit status 130 where it was interrupted."""
    parser = argparse.ArgumentParser(prog="python -m ops.tune", description=__doc__)
    parser.add_argument("--model", default="trip-duration", help="the model (default: %(default)s)")
    parser.add_argument("--until", default="", metavar="MONTH", help="only months before it (default: the newest)")
    trials = "trials in all, those before counted (default: %(default)s)"
    parser.add_argument("--trials", type=command.count_of("trials"), default=50, help=trials)
    given = parser.parse_args()
    opened, model = open_resources(), models.load(given.model)
    database = here().folder("mlflow") / "tuning.db"
    with scratch(opened.settings) as folder, alone(database.with_suffix(".lock")):
        snapshot = snapshots.take(opened.lake, model.dataset, given.until, None, model.window)
        rows = snapshots.read(opened.lake, model.dataset, snapshot.train, folder, judging.columns(model))
        parts = folds(training.in_scope(rows, model).collect(), model)
        study = load(model, snapshot.train, database)
        first, last = snapshot.train[0].month, snapshot.train[-1].month
        say(f"{model.name} on {first} to {last}, {FOLDS} folds; {len(ended(study))} of {given.trials} trials are there")
        try:
            search(study, model, parts, given.trials, partial(error, settings=opened.settings, folder=folder))
        except KeyboardInterrupt:
            say(f"{len(ended(study))} trials are kept")
            return 130
        print(told(study, model))
        run_id = keep(study, model, snapshot.train, folder)
    print(opened.registry.run_url(run_id, opened.settings.mlflow_url))
    return 0


def alone(lock: Path) -> contextlib.AbstractContextManager[None]:
    """No other search goes on in this checkout while the block lasts. Raises ``NotSearched`` where one does."""
    return command.alone(lock, NotSearched("another search goes on here: wait for its end."))


def folds(rows: pl.DataFrame, model: Model, count: int = FOLDS) -> list[Fold]:
    """Rows to train on and rows to judge by, ``count`` times; every day judged comes after all that are trained on.

    The days are cut into blocks of one length: the first fold is trained on the first block and judged on the second,
    the next is trained on both. Raises ``NotSearched`` where there are too few days.
    """
    day = pl.col(model.features.day).dt.date()
    days = rows.select(day.unique().sort()).to_series()
    if len(days) < count + 1:
        raise NotSearched(f"{count} folds need more days than {len(days)}: land more months.")
    ends = [days[round(len(days) * block / (count + 1)) - 1] for block in range(1, count + 2)]
    return [(rows.filter(day <= end), rows.filter((day > end) & (day <= judged))) for end, judged in pairwise(ends)]


def load(model: Model, months: Sequence[Part], file: Path) -> "optuna.Study":
    """The study of a model on these months, begun where there is none.

    Raises ``NotSearched`` where the model does not say what it has now, or has what cannot be searched around.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if missing := SPACE.keys() - model.parameters.keys():
        raise NotSearched(
            f"{model.name} lacks {', '.join(sorted(missing))}: add them to its parameters, with XGBoost's default."
        )
    if least := [name for name, (_, _, kind) in SPACE.items() if kind == "log" and float(model.parameters[name]) <= 0]:
        raise NotSearched(f"{', '.join(least)} of {model.name} must be above 0: they are tried by their magnitude.")
    searched = {
        "months": [asdict(month) for month in months],
        "features": asdict(model.features),
        "target": [str(model.target), model.target_unit, str(model.scope)],
        "files": dict(file_digests(TRAINING_SOURCES)),
        "else": {name: value for name, value in model.parameters.items() if name not in SPACE},
        "rounds and seed": [model.rounds, model.seed],
        "folds": FOLDS,
        "space": SPACE,
    }
    name = f"{model.name}-{digest_of(searched)[:12]}"
    study = optuna.create_study(storage=f"sqlite:///{file}", study_name=name, load_if_exists=True)
    study.sampler = optuna.samplers.TPESampler(seed=model.seed + len(study.trials))
    return study


def search(
    study: "optuna.Study", model: Model, parts: Sequence[Fold], trials: int, judged: Callable[..., float]
) -> None:
    """Try the model as it is, where nobody did, and then others until there are ``trials`` that ended.

    A trial's value is the mean of the folds' errors, in the unit of the model.
    """

    def tried(trial: "optuna.Trial") -> float:
        began = time.perf_counter()
        changed = replace(model, parameters={**model.parameters, **suggested(trial)})
        errors = [judged(changed, *fold) for fold in parts]
        trial.set_user_attr("seconds", time.perf_counter() - began)
        trial.set_user_attr("folds", errors)
        return float(np.mean(errors))

    if not as_it_is(study, model):
        study.enqueue_trial({name: model.parameters[name] for name in SPACE})
        study.optimize(tried, n_trials=1)
    if (left := trials - len(ended(study))) > 0:
        study.optimize(tried, n_trials=left, show_progress_bar=True)


def suggested(trial: "optuna.Trial") -> dict[str, Any]:
    """A trial's parameters."""
    return {
        name: trial.suggest_int(name, int(low), int(high))
        if kind == "int"
        else trial.suggest_float(name, low, high, log=kind == "log")
        for name, (low, high, kind) in SPACE.items()
    }


def error(model: Model, train: pl.DataFrame, judge: pl.DataFrame, *, settings: Settings, folder: Path) -> float:
    """The RMSE on rows of a model trained on others, in its unit."""
    trained = training.train(train, model, settings.threads, folder=folder)
    predictor = training.Predictor(trained.booster, trained.encoder, trained.code, settings.threads)
    actual = training.targets(judge, model) / model.target_unit
    return float(np.sqrt(np.mean((predictor.predict(judge) - actual) ** 2)))


def ended(study: "optuna.Study") -> list["optuna.trial.FrozenTrial"]:
    """The trials that ended, in their order; one that was killed is none of them."""
    return [trial for trial in study.trials if trial.value is not None]


def as_it_is(study: "optuna.Study", model: Model) -> list["optuna.trial.FrozenTrial"]:
    """The trials that ended of the parameters that the model has."""
    return [trial for trial in ended(study) if trial.params == {name: model.parameters[name] for name in SPACE}]


def no_slower(study: "optuna.Study", model: Model) -> "optuna.trial.FrozenTrial":
    """The best of the trials that took no longer than that of the parameters which the model has."""
    limit = as_it_is(study, model)[0].user_attrs["seconds"]
    fit = [trial for trial in ended(study) if trial.user_attrs["seconds"] <= limit]
    return min(fit, key=lambda trial: float(trial.value or 0.0))


def told(study: "optuna.Study", model: Model) -> str:
    """What was found, for people: errors and seconds of the model as it is, of the best, and of the best no slower.

    With the last two their parameters.
    """
    lines = [f"{len(ended(study))} trials; error in {model.unit} on days after those trained on, {FOLDS} folds"]
    found = {"now": as_it_is(study, model)[0], "best": study.best_trial, "no slower": no_slower(study, model)}
    for name, trial in found.items():
        each = ", ".join(f"{one:.3f}" for one in trial.user_attrs["folds"])
        lines.append(f"{name:9} {trial.value:.4f}  ({each})  {trial.user_attrs['seconds']:.1f} s")
        if name != "now":
            lines += [f'    "{parameter}": {value:.4g},' for parameter, value in trial.params.items()]
    return "\n".join(lines)


def keep(study: "optuna.Study", model: Model, months: Sequence[Part], folder: Path) -> str:
    """Leave the outcome as a run of MLflow: best parameters, errors, every trial, the plot. Gives its id."""
    client, name = MlflowClient(), f"{model.name} tuning"
    known = client.get_experiment_by_name(name)
    experiment = known.experiment_id if known else client.create_experiment(name)
    run = client.create_run(experiment, tags={"study": study.study_name}, run_name=f"{len(ended(study))} trials")
    with ending(client, run.info.run_id):
        best = study.best_trial
        for parameter, value in {**best.params, "months": ", ".join(month.month for month in months)}.items():
            client.log_param(run.info.run_id, parameter, value)
        for metric, figure in (("error", best.value), ("error_now", as_it_is(study, model)[0].value)):
            client.log_metric(run.info.run_id, metric, float(figure or 0.0))
        (plot := folder / "search.png").write_bytes(pictured(study, model))
        study.trials_dataframe().to_csv(trials := folder / "trials.csv", index=False)
        for path in (plot, trials):
            client.log_artifact(run.info.run_id, str(path))
    return str(run.info.run_id)


@contextlib.contextmanager
def ending(client: MlflowClient, run_id: str) -> Iterator[None]:
    """The run ends with the block, well or not."""
    try:
        yield
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id)


def pictured(study: "optuna.Study", model: Model) -> bytes:
    """A PNG: the errors in the order of the trials beside errors against seconds."""
    from matplotlib.figure import Figure

    found, at = ended(study), as_it_is(study, model)[0]
    errors = np.array([trial.value for trial in found])
    seconds = np.array([trial.user_attrs["seconds"] for trial in found])
    figure = Figure(figsize=(9.6, 4.2), dpi=100, layout="constrained")
    order, cost = figure.subplots(1, 2, sharey=True)
    order.plot(range(1, len(found) + 1), errors, ".", color="#b5b5b5", label="a trial")
    order.plot(range(1, len(found) + 1), np.minimum.accumulate(errors), color="#1f5fbf", label="best so far")
    order.axhline(float(at.value or 0.0), color="#e08a00", linewidth=1, label="the model as it is")
    order.set(xlabel="trial", ylabel=f"RMSE, {model.unit}", title="In order")
    order.legend(frameon=False)
    cost.plot(seconds, errors, ".", color="#b5b5b5")
    cost.plot(at.user_attrs["seconds"], at.value, "o", color="#e08a00")
    cost.plot(study.best_trial.user_attrs["seconds"], study.best_value, "o", color="#1f5fbf")
    cost.set(xlabel="seconds of its folds", title="Against their time")
    figure.suptitle(f"{model.name}: {len(found)} trials")
    return report.png(figure)


if __name__ == "__main__":
    raise SystemExit(main())
