"""The models, one file each: a file of this folder that assigns ``MODEL`` is a model, named after the file."""

from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from flows.ml.catalogue import definitions
from flows.ml.definition import Model
from flows.ml.errors import TrainyardError

if TYPE_CHECKING:

    class ModelName(StrEnum):
        """The models there are, as a choice in a form."""
else:
    ModelName = StrEnum(
        "ModelName", {name: name for name in definitions(Path(__file__).parent, "MODEL")}, module=__name__
    )


class UnknownModelError(TrainyardError):
    """No file defines a model of that name."""


def load(name: str) -> Model:
    """The definition of a model. Raises UnknownModelError."""
    known = definitions(Path(__file__).parent, "MODEL")
    if name not in known:
        raise UnknownModelError(f"There is no model {name!r}: choose one of {', '.join(known) or 'none yet'}.")
    model: Model = import_module(f"{__name__}.{known[name]}").MODEL
    return model
