"""The predictions of a month by a version, in the lake, and out of it again.

    predictions/<model>/<month>/<month's address>/v<version>/<digest>-data.parquet   a row for each row of the month
    predictions/<model>/<month>/<month's address>/v<version>/manifest.json           written last: it makes them

Readers begin at the manifest, so what a crash leaves behind, or a writer who came second, is seen by no one.
The file has the rows of the month's own in their order: ``prediction`` (Float64, in the model's unit, null where the
row could not be scored) and ``reason`` (String, why not, null where it was).
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from pydantic import TypeAdapter, ValidationError

from flows.ml.errors import TrainyardError
from flows.ml.lake import Conflict, Lake, ObjectMissing
from flows.ml.manifest import File

SCHEMA = pl.Schema({"prediction": pl.Float64, "reason": pl.String})
"""The columns of ``data.parquet``."""
ATTEMPTS = 10
"""How many other writers of the same manifest at the same time are waited out."""


class PredictionsError(TrainyardError):
    """A text that is no manifest of predictions."""


@dataclass(frozen=True)
class Predictions:
    """What is known of the predictions of a month by a version.

    ``fingerprint`` and ``run_id`` (MLflow's) are those of the version's training. ``address`` is the sha256 of the
    month's rows, ``source`` the object that holds them; ``data`` is the object of the predictions. Of ``rows`` rows
    ``scored`` have a prediction, ``reasons`` counts the others. ``mean_predicted`` and ``mean_actual`` are in ``unit``,
    over the ``in_scope`` scored rows that are in the model's scope; None where there are none. ``revision`` is that of
    the code; ``created_at`` is in UTC, ISO 8601.
    """

    model: str
    version: int
    fingerprint: str
    run_id: str
    dataset: str
    month: str
    address: str
    source: File
    data: File
    rows: int
    scored: int
    reasons: Mapping[str, int]
    in_scope: int
    mean_predicted: float | None
    mean_actual: float | None
    unit: str
    revision: str
    created_at: str

    def to_json(self) -> bytes:
        """The manifest as a lake keeps it."""
        return _adapter().dump_json(self, indent=2)

    @classmethod
    def from_json(cls, text: bytes, name: str) -> "Predictions":
        """The manifest in ``text``, which was read from ``name``. Raises ``PredictionsError``."""
        try:
            return _adapter().validate_json(text)
        except ValidationError as error:
            raise PredictionsError(
                f"{name}: not a manifest of predictions ({error.error_count()} faults). Remove it and score again."
            ) from error


@dataclass(frozen=True)
class Published:
    """Predictions in the lake; ``new`` is False where they were there before and nothing was written."""

    predictions: Predictions
    new: bool


def find(lake: Lake, model: str, month: str, address: str, version: int) -> Predictions | None:
    """The predictions of the month's rows at ``address`` by a version, None where there are none.

    A version's number is given anew where the registry was emptied: whoever has the ledger's entry compares its
    ``fingerprint``. Raises ``PredictionsError`` and the lake's errors.
    """
    try:
        text, _ = lake.read(key := _manifest_key(model, month, address, version))
    except ObjectMissing:
        return None
    return Predictions.from_json(text, lake.uri(key))


def read(lake: Lake, found: Predictions, folder: Path, progress: Callable[[int], None] | None = None) -> pl.LazyFrame:
    """The predictions, from a file fetched to ``folder`` and held to the manifest's size and digest.

    Raises ``DigestMismatch`` and the other errors of the lake.
    """
    data = found.data
    path = folder / f"{found.model}-v{found.version}-{found.month}-{data.sha256[:12]}.parquet"
    lake.download(data.name, path, sha256=data.sha256, size=data.size, progress=progress)
    return pl.scan_parquet(path)


def is_whole(lake: Lake, found: Predictions) -> bool:
    """Whether the object that the manifest names is there."""
    there = lake.find(found.data.name)
    return there is not None and there.size == found.data.size


def find_whole(lake: Lake, model: str, month: str, address: str, version: int, fingerprint: str) -> Predictions | None:
    """Those that ``find`` gives where they are of that training and their file is there, else None."""
    found = find(lake, model, month, address, version)
    return found if found and found.fingerprint == fingerprint and is_whole(lake, found) else None


def publish(lake: Lake, made: Predictions, path: Path) -> Published:
    """Bring predictions into the lake: the file first, by the key that ``data_key`` gave it, then the manifest.

    Where another writer was first, its predictions stay; a manifest whose file is gone, or one of another training by
    the same number, gives way. Raises ``Conflict`` and the lake's other errors.
    """
    key = _manifest_key(made.model, made.month, made.address, made.version)
    former = find(lake, made.model, made.month, made.address, made.version)
    lost = former is not None and not is_whole(lake, former)
    lake.upload_new(made.data.name, path)
    if lake.put_new(key, made.to_json()):
        return Published(made, new=True)
    for _ in range(ATTEMPTS):
        text, etag = lake.read(key)
        first = Predictions.from_json(text, lake.uri(key))
        if first.fingerprint == made.fingerprint and is_whole(lake, first):
            return Published(first, new=lost)
        try:
            lake.replace(key, made.to_json(), etag)
            return Published(made, new=True)
        except Conflict:
            continue
    raise Conflict(f"{lake.uri(key)}: others keep changing it. Let one scoring of {made.month} run at a time.")


def data_key(model: str, month: str, address: str, version: int, sha256: str) -> str:
    """Where predictions whose file has that digest (hex) lie in the lake."""
    return f"{_folder(model, month, address, version)}/{sha256}-data.parquet"


def _manifest_key(model: str, month: str, address: str, version: int) -> str:
    return f"{_folder(model, month, address, version)}/manifest.json"


def _folder(model: str, month: str, address: str, version: int) -> str:
    return f"predictions/{model}/{month}/{address}/v{version}"


@functools.cache
def _adapter() -> TypeAdapter[Predictions]:
    return TypeAdapter(Predictions)
