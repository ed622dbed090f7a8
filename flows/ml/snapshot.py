"""Which months a retrain uses: the newest one judges, the ones before it train."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from flows.ml import landing, months
from flows.ml.errors import TrainyardError
from flows.ml.fingerprint import Part, Snapshot
from flows.ml.lake import Lake


class WindowError(TrainyardError):
    """The lake does not hold the months that were asked for."""


def choose(have: list[str], until: str, window: int | None, most: int) -> tuple[list[str], str]:
    """The months to train on, in order, and the month to judge by.

    ``until`` empty means the newest month there is. ``window`` months are trained on; None means the unbroken run
    before ``until``, ``most`` at most. Raises ``WindowError`` that names the months missing.
    """
    if not have:
        raise WindowError("the lake holds no month yet: ingest at least two.")
    until = until or have[-1]
    wanted = [months.following(until, -back) for back in range(window or most, 0, -1)]
    if window is None:
        unbroken = next((n for n, month in enumerate(reversed(wanted)) if month not in have), len(wanted))
        wanted = wanted[len(wanted) - unbroken :] or wanted[-1:]
    if missing := [month for month in [*wanted, until] if month not in have]:
        raise WindowError(
            f"the lake does not hold {', '.join(missing)}, which a retrain until {until}, window {len(wanted)}, "
            f"needs (it holds {have[0]} to {have[-1]}, {len(have)} months). Ingest them, or ask for a smaller window."
        )
    return wanted, until


def take(lake: Lake, dataset: str, until: str, window: int | None, most: int) -> Snapshot:
    """Fix the addresses of the months a retrain uses. Raises ``WindowError`` and the lake's errors."""
    train, judge = choose(landing.months(lake, dataset), until, window, most)
    parts = [_part(lake, dataset, month) for month in [*train, judge]]
    return Snapshot(dataset, tuple(parts[:-1]), parts[-1])


def _part(lake: Lake, dataset: str, month: str) -> Part:
    manifest = landing.manifest(lake, dataset, month)
    return Part(month, manifest.address, manifest.rows_kept)


def read(lake: Lake, dataset: str, parts: Sequence[Part], folder: Path, columns: Sequence[str]) -> pl.LazyFrame:
    """The rows of months, in order of time, from files fetched to ``folder`` and held to their digests.

    Raises ``DigestMismatch`` where an object is not the one the snapshot fixed, ``WindowError`` where a month was
    landed before its dataset had one of the columns.
    """
    paths = fetch(lake, dataset, parts, folder)
    absent = [set(columns) - set(pl.read_parquet_schema(path)) for path in paths]
    if any(absent):
        older = ", ".join(part.month for part, lacks in zip(parts, absent, strict=True) if lacks)
        raise WindowError(
            f"{older} of {dataset} were landed before it had {', '.join(sorted(set().union(*absent)))}: "
            "run ingest for each of them again."
        )
    return pl.concat([pl.scan_parquet(path).select(columns) for path in paths])


def fetch(lake: Lake, dataset: str, parts: Sequence[Part], folder: Path) -> list[Path]:
    """The files of months, in their order, fetched to ``folder``. Raises ``ObjectMissing``, ``DigestMismatch``."""
    paths = [folder / f"{part.month}-{part.address[:12]}.parquet" for part in parts]
    for part, path in zip(parts, paths, strict=True):
        lake.download(f"raw/{dataset}/{part.month}/{part.address}/data.parquet", path, sha256=part.address)
    return paths
