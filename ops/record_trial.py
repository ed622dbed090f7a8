"""One training done again by the code and the packages of its record: ``ops.reproduce`` runs this in their environment.

The imports of ``flows`` are those the record holds, so the file uses nothing else of the repository.
"""

import argparse
import inspect
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl

from flows.ml import training
from flows.ml.errors import TrainyardError


def main() -> int:
    """Write what the training leaves to ``--out``; a named error is a sentence on standard error and exit status 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="its name, such as trip-duration")
    parser.add_argument("--columns", required=True, help="what is read of the months, with commas between")
    parser.add_argument("--threads", required=True, type=int)
    parser.add_argument("--out", required=True, type=Path, help="an empty folder")
    parser.add_argument("months", nargs="+", type=Path, help="the files of the months, in order of time")
    given = parser.parse_args()
    months = [pl.scan_parquet(path).select(given.columns.split(",")) for path in given.months]
    try:
        model = import_module(f"flows.models.{given.model.replace('-', '_')}").MODEL
        offered = {"on_round": _tell, "folder": given.out.parent}
        trained = call(training.train, pl.concat(months), model, given.threads, offered)
    except TrainyardError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for name, data in trained.files().items():
        (given.out / name).write_bytes(data)
    return 0


def call(train: Callable[..., Any], rows: pl.LazyFrame, model: Any, threads: int, offered: dict[str, Any]) -> Any:
    """Train by a function of any record: it is given what it takes of what is ``offered``, by name.

    The first of them took neither rows that are lazy nor a folder.
    """
    takes = inspect.signature(train).parameters
    known = rows if "folder" in takes else rows.collect()
    return train(known, model, threads, **{name: value for name, value in offered.items() if name in takes})


def _tell(done: int, rounds: int) -> None:
    """One line that grows, for whoever waits."""
    if sys.stdout.isatty():
        sys.stdout.write(f"\r  round {done} of {rounds}" + ("\n" if done == rounds else ""))
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
