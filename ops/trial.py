"""One model of one checkout, trained and asked for predictions: ``ops.evaluate`` runs this in each checkout.

The imports of ``flows`` are those of the checkout under trial, so the file uses nothing else of the repository, and
of the flows only what every revision has.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import polars as pl

from flows import datasets, models
from flows.ml import contract, training
from flows.ml.baseline import Baseline
from flows.ml.definition import Dataset, Model
from flows.ml.errors import TrainyardError


def valid_rows(path: Path, dataset: Dataset, month: str) -> pl.DataFrame:
    """The rows of a published file (month as ``YYYY-MM``) that meet the contract, as an ingest lands them."""
    return _rows(path, dataset, month, broken=False)


def broken_rows(path: Path, dataset: Dataset, month: str) -> pl.DataFrame:
    """The others, typed as if they met it: what an ingest puts in quarantine."""
    return _rows(path, dataset, month, broken=True)


def _rows(path: Path, dataset: Dataset, month: str, *, broken: bool) -> pl.DataFrame:
    file = pl.scan_parquet(path)
    found = contract.check_rows(file, dataset, month).broken["index"]
    kept = file.with_row_index("__row").filter(pl.col("__row").is_in(found.implode()) == broken)
    return kept.select(contract.typed_columns(file.collect_schema(), dataset)).collect()


def predictions(model: Model, months: dict[str, Path], rows: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Train on months (their files by name) and predict rows: by the model and by the naive baseline, in its unit."""
    dataset: Dataset = datasets.load(model.dataset)
    threads = os.cpu_count() or 1
    fitted = training.train(pl.concat(valid_rows(p, dataset, m) for m, p in months.items()), model, threads)
    predictor = training.Predictor(fitted.booster, fitted.encoder, fitted.code, threads)
    return predictor.predict(rows), Baseline.from_json(fitted.baseline).predict(rows)


def main() -> int:
    """Write the predictions of ``--rows`` to ``--out``; an error is a sentence on standard error and exit status 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--rows", required=True, type=Path, help="the judged rows, Parquet")
    parser.add_argument("--out", required=True, type=Path, help="where the predictions go, npz")
    parser.add_argument("months", nargs="+", metavar="MONTH=FILE", help="what is trained on")
    given = parser.parse_args()
    files = {month: Path(file) for month, _, file in (one.partition("=") for one in given.months)}
    try:
        model, naive = predictions(models.load(given.model), files, pl.read_parquet(given.rows))
    except TrainyardError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    np.savez(given.out, model=model, naive=naive)
    return 0


if __name__ == "__main__":
    sys.exit(main())
