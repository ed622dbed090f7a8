"""The datasets, one file each: a file of this folder that assigns ``DATASET`` is a dataset, named after the file."""

from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.ml.catalogue import definitions
from flows.ml.errors import TrainyardError

if TYPE_CHECKING:

    class DatasetName(StrEnum):
        """The datasets there are, as a choice in a form."""
else:
    DatasetName = StrEnum(
        "DatasetName", {name: name for name in definitions(Path(__file__).parent, "DATASET")}, module=__name__
    )


class UnknownDatasetError(TrainyardError):
    """No file defines a dataset of that name."""


def load(name: str) -> Any:
    """The definition of a dataset. Raises UnknownDatasetError."""
    known = definitions(Path(__file__).parent, "DATASET")
    if name not in known:
        raise UnknownDatasetError(f"There is no dataset {name!r}: choose one of {', '.join(known) or 'none yet'}.")
    return import_module(f"{__name__}.{known[name]}").DATASET
