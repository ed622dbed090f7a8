"""A checked month into the lake, and out of it again.

    raw/<dataset>/<month>/<address>/data.parquet                the typed rows that are valid; address is their sha256
    raw/<dataset>/<month>/<address>/manifest.json               how they first came about
    quarantine/<dataset>/<month>/<source sha256>/rows.parquet   the broken rows with their reasons
    raw/<dataset>/<month>/manifest.json                         the current manifest, written last: it makes the month

Readers begin at the current manifest, so what a crash leaves behind is seen by no one until a rerun completes it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from flows.ml.contract import check_columns, check_rows, refuse
from flows.ml.definition import Dataset
from flows.ml.errors import TrainyardError
from flows.ml.lake import Conflict, Lake, ObjectMissing
from flows.ml.manifest import File, Manifest, contract_digest
from flows.ml.month_files import Written, write_broken, write_kept
from flows.ml.source import Fetched

ATTEMPTS = 10
"""How many other landings of the same month at the same time are waited out."""


class MonthMissing(TrainyardError):
    """The lake has no such month."""


@dataclass(frozen=True)
class Landed:
    """A month in the lake; ``new`` is False where the same bytes had been landed before and nothing was written."""

    manifest: Manifest
    new: bool


def land(
    lake: Lake, dataset: Dataset, month: str, source: Fetched, folder: Path, *, revision: str, created_at: str
) -> Landed:
    """Check a fetched file and make it the month. ``folder`` is for files on the way, ``created_at`` ISO 8601 in UTC.

    The same bytes under the same contract write nothing; other bytes get an address of their own and the old ones stay.
    Raises ``ContractError``, and then nothing is written; ``LakeError``, and then a rerun completes what was begun.
    """
    rules = contract_digest(dataset.name)
    current, etag = _current(lake, dataset.name, month)
    if current and current.same_origin(source.sha256, rules):
        return Landed(current, new=False)
    file = pl.scan_parquet(source.path)
    new_columns = check_columns(file.collect_schema(), dataset, month)
    checked = check_rows(file, dataset, month)
    refuse(checked, dataset, month)
    data = write_kept(file, checked, dataset, folder / f"{month}-kept.parquet")
    broken = write_broken(file, checked, folder / f"{month}-broken.parquet") if checked.broken.height else None
    manifest = Manifest(
        dataset=dataset.name,
        month=month,
        source=File(source.name, source.size, source.sha256),
        data=_object(data, f"raw/{dataset.name}/{month}/{data.sha256}/data.parquet"),
        quarantine=_object(broken, f"quarantine/{dataset.name}/{month}/{source.sha256}/rows.parquet")
        if broken
        else None,
        rows_in=checked.rows,
        rows_kept=checked.kept,
        broken=checked.reasons,
        columns={name: str(dtype) for name, dtype in pl.read_parquet_schema(data.path).items()},
        new_columns=new_columns,
        contract=rules,
        revision=revision,
        created_at=created_at,
    )
    return _publish(lake, _upload(lake, manifest, data, broken), etag)


def months(lake: Lake, dataset: str) -> list[str]:
    """The months of a dataset the lake has whole, oldest first."""
    pattern = re.compile(rf"raw/{re.escape(dataset)}/(\d{{4}}-\d{{2}})/manifest\.json")
    found = (pattern.fullmatch(key) for key in lake.keys(f"raw/{dataset}/"))
    return sorted(match[1] for match in found if match)


def manifest(lake: Lake, dataset: str, month: str) -> Manifest:
    """The current manifest of a month. Raises ``MonthMissing``, ``ManifestError``."""
    found, _ = _current(lake, dataset, month)
    if found is None:
        there = ", ".join(months(lake, dataset)) or "none"
        raise MonthMissing(f"The lake has no {month} of {dataset} (it has: {there}). Run ingest for {month} first.")
    return found


def manifest_at(lake: Lake, dataset: str, month: str, address: str) -> Manifest:
    """The manifest of a month's rows of an address, current or not. Raises ``ObjectMissing``, ``ManifestError``."""
    key = f"raw/{dataset}/{month}/{address}/manifest.json"
    return Manifest.from_json(lake.get(key), key)


def fetch(lake: Lake, manifest: Manifest, folder: Path, progress: Callable[[int], None] | None = None) -> Path:
    """Bring a month's typed Parquet to ``folder``, checked against its manifest's size and digest.

    ``progress`` is told how many more bytes are here. Raises ``DigestMismatch`` and the other errors of the lake.
    """
    path = folder / f"{manifest.dataset}-{manifest.month}-{manifest.address[:12]}.parquet"
    data = manifest.data
    lake.download(data.name, path, sha256=data.sha256, size=data.size, progress=progress)
    return path


def _object(written: Written, key: str) -> File:
    return File(key, written.size, written.sha256)


def _upload(lake: Lake, manifest: Manifest, data: Written, broken: Written | None) -> Manifest:
    """Write all but the month's own manifest; where a crash came after that, the manifest kept then is the one."""
    lake.upload_new(manifest.data.name, data.path)
    if broken and manifest.quarantine:
        _put(lake, manifest.quarantine.name, broken.path.read_bytes())
    key = f"raw/{manifest.dataset}/{manifest.month}/{manifest.address}/manifest.json"
    if lake.put_new(key, manifest.to_json()):
        return manifest
    first = Manifest.from_json(lake.get(key), key)
    return first if first.same_origin(manifest.source.sha256, manifest.contract) else manifest


def _publish(lake: Lake, manifest: Manifest, etag: str | None) -> Landed:
    """Make the manifest the month's; where another landing was first, after it, unless it was the same."""
    key = _key(manifest.dataset, manifest.month)
    for _ in range(ATTEMPTS):
        try:
            lake.replace(key, manifest.to_json(), etag)
            return Landed(manifest, new=True)
        except Conflict:
            current, etag = _current(lake, manifest.dataset, manifest.month)
            if current and current.same_origin(manifest.source.sha256, manifest.contract):
                return Landed(current, new=False)
    raise Conflict(f"{lake.uri(key)}: others keep changing it. Let one landing of {manifest.month} run at a time.")


def _put(lake: Lake, key: str, data: bytes) -> None:
    """Write an object, over the one that another version of the contract left."""
    if lake.put_new(key, data):
        return
    there, etag = lake.read(key)
    if there != data:
        lake.replace(key, data, etag)


def _current(lake: Lake, dataset: str, month: str) -> tuple[Manifest | None, str | None]:
    key = _key(dataset, month)
    try:
        text, etag = lake.read(key)
    except ObjectMissing:
        return None, None
    return Manifest.from_json(text, key), etag


def _key(dataset: str, month: str) -> str:
    return f"raw/{dataset}/{month}/manifest.json"
