"""The models of this checkout against those of a base revision, on the same rows: ``make evaluate``.

Each is trained by the code of its own revision on the public months of ``examples/tlc`` before the newest, and judged
on that one by the gate of this checkout; with ``UNTIL`` an earlier month judges. Packages and months are those of this
checkout for both.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from flows import datasets, models
from flows.ml import evaluation, training
from flows.ml.definition import Model, Verdict
from flows.ml.errors import TrainyardError
from flows.ml.evaluation import Contender
from flows.ml.features import Floats
from flows.ml.fingerprint import model_file
from ops import evaluation_table, revisions, summary, trial
from ops.command import says_errors
from ops.environment import here
from ops.evaluation_table import Whole

MONTHS = "examples/tlc"
_STARTS = "green_tripdata_"


class NotEvaluated(TrainyardError):
    """The model of this checkout could not be trained or scored."""


def months(root: Path) -> dict[str, Path]:
    """The files of the example months, by month in order of time."""
    return {path.stem.removeprefix(_STARTS): path for path in sorted((root / MONTHS).glob(f"{_STARTS}*.parquet"))}


def evaluate(root: Path, model: Model, base: Path, files: dict[str, Path]) -> tuple[Verdict, Whole]:
    """The gate's verdict on the model of ``root`` as candidate and that of the checkout ``base`` as champion.

    With it the first's error on every row of its scope, whether that meets the contract or not. A base that has no
    such model is no champion; one that cannot be trained or scored is a fault the verdict tells of. Raises
    ``NotEvaluated`` for one's own.
    """
    *train, judge = files
    rows, broken = (
        training.in_scope(read(files[judge], datasets.load(model.dataset), judge), model)
        for read in (trial.valid_rows, trial.broken_rows)
    )
    with tempfile.TemporaryDirectory(prefix="trainyard-") as folder:
        judged, whole = Path(folder) / "judged.parquet", Path(folder) / "whole.parquet"
        rows.write_parquet(judged)
        (every := pl.concat([rows, broken])).write_parquet(whole)
        trained = {month: files[month] for month in train}
        found, naive = _try(root, model.name, trained, whole)
        champion = _champion(base, model, trained, judged)
    own = Contender(tuple(train), found[: rows.height])
    verdict = evaluation.judge(model, judge, rows, naive[: rows.height], own, champion)
    errors = found - training.targets(every, model) / model.target_unit
    return verdict, Whole(every.height, float(np.sqrt(np.mean(errors**2))))


def _champion(base: Path, model: Model, months: dict[str, Path], rows: Path) -> Contender | None:
    """The model of the base; None where the base has no such model yet."""
    if not (base / "flows" / model_file(model)).exists():
        return None
    try:
        return Contender(tuple(months), _try(base, model.name, months, rows)[0])
    except NotEvaluated as error:
        return Contender(tuple(months), None, str(error))


def _try(checkout: Path, model: str, months: dict[str, Path], rows: Path) -> tuple[Floats, Floats]:
    """Run the trial in a process that imports the flows of ``checkout``; predictions of the model and the baseline."""
    out = rows.with_suffix(".npz")
    command = [sys.executable, "-P", trial.__file__, "--model", model, "--rows", str(rows), "--out", str(out)]
    env = {**os.environ, "PYTHONPATH": str(checkout), "OMP_WAIT_POLICY": "PASSIVE"}
    named = [f"{month}={path}" for month, path in months.items()]
    done = subprocess.run([*command, *named], cwd=checkout, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotEvaluated((done.stderr.strip() or "it ended without a word").splitlines()[-1])
    with np.load(out) as found:
        return found["model"], found["naive"]


def report(root: Path, wanted: str, until: str = "") -> str:
    """The Markdown of every model of the checkout against the base, judged on a month or the newest.

    Raises ``UnknownRevision``, ``NotEvaluated``.
    """
    base, files = revisions.base(root, wanted), _up_to(months(root), until)
    with tempfile.TemporaryDirectory(prefix="trainyard-") as folder:
        checkout = revisions.unpack(root, base, Path(folder), "flows")
        pages = []
        for name in models.ModelName:
            model = models.load(name)
            verdict, whole = evaluate(root, model, checkout, files)
            pages.append(evaluation_table.page(model, verdict, whole, list(files), base[:12]))
    return "\n".join(pages)


def _up_to(files: dict[str, Path], until: str) -> dict[str, Path]:
    """The months until the one that judges."""
    if until and until not in list(files)[1:]:
        judges = ", ".join(list(files)[1:])
        raise NotEvaluated(f"no month {until} with one before it to train on is in {MONTHS}: there are {judges}.")
    return {month: path for month, path in files.items() if month <= (until or month)}


@says_errors
def main() -> int:
    """Print the report and add it to the job's summary; an error is a sentence on standard error and status 1."""
    parser = argparse.ArgumentParser(prog="python -m ops.evaluate", description=__doc__)
    parser.add_argument("--base", default="", help=f"the revision to compare with (default: where {revisions.MAIN} is)")
    parser.add_argument("--until", default="", metavar="MONTH", help="the month that judges (default: the newest)")
    given = parser.parse_args()
    page = report(here().root, given.base, given.until)
    print(page)
    summary.add(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
