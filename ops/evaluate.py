"""The models of this checkout against those of a base revision, on the same rows: ``make evaluate``.

Each is trained by the code of its own revision on the public months of ``examples/tlc`` before the newest, and judged
on that one by the gate of this checkout. Packages and months are this checkout's for both.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

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

MONTHS = "examples/tlc"
_STARTS = "green_tripdata_"


class NotEvaluated(TrainyardError):
    """The model of this checkout could not be trained or scored."""


def months(root: Path) -> dict[str, Path]:
    """The files of the example months, by month in order of time."""
    return {path.stem.removeprefix(_STARTS): path for path in sorted((root / MONTHS).glob(f"{_STARTS}*.parquet"))}


def evaluate(root: Path, model: Model, base: Path, files: dict[str, Path]) -> Verdict:
    """The gate's verdict on the model of ``root`` as candidate and that of the checkout ``base`` as champion.

    A base that has no such model is no champion; one that cannot be trained or scored is a fault the verdict tells of.
    Raises ``NotEvaluated`` for one's own.
    """
    *train, judge = files
    rows = training.in_scope(trial.valid_rows(files[judge], datasets.load(model.dataset), judge), model)
    with tempfile.TemporaryDirectory(prefix="trainyard-") as folder:
        judged = Path(folder) / "judged.parquet"
        rows.write_parquet(judged)
        trained = {month: files[month] for month in train}
        found, naive = _try(root, model.name, trained, judged)
        champion = _champion(base, model, trained, judged)
    return evaluation.judge(model, judge, rows, naive, Contender(tuple(train), found), champion)


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


def report(root: Path, wanted: str) -> str:
    """The Markdown of every model of the checkout against the base. Raises ``UnknownRevision``, ``NotEvaluated``."""
    base, files = revisions.base(root, wanted), months(root)
    with tempfile.TemporaryDirectory(prefix="trainyard-") as folder:
        checkout = revisions.unpack(root, base, Path(folder), "flows")
        pages = []
        for name in models.ModelName:
            model = models.load(name)
            verdict = evaluate(root, model, checkout, files)
            pages.append(evaluation_table.page(model, verdict, list(files), base[:12]))
    return "\n".join(pages)


@says_errors
def main() -> int:
    """Print the report and add it to the job's summary; an error is a sentence on standard error and status 1."""
    parser = argparse.ArgumentParser(prog="python -m ops.evaluate", description=__doc__)
    parser.add_argument("--base", default="", help=f"the revision to compare with (default: where {revisions.MAIN} is)")
    given = parser.parse_args()
    page = report(here().root, given.base)
    print(page)
    summary.add(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
