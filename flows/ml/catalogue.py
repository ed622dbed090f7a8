"""Which definitions a folder holds: adding a model or a dataset is adding its file, and nothing else."""

import re
from pathlib import Path


def definitions(folder: Path, constant: str) -> dict[str, str]:
    """The names of a folder's definitions, as an operator reads them, with the modules that hold them.

    A definition is a file that assigns ``constant`` at the top level. Files are read, not imported: listing the choices
    must not cost the import of all of them.
    """
    assigned = re.compile(rf"^{constant}\s*[:=]", re.MULTILINE)
    files = sorted(folder.glob("*.py"))
    return {file.stem.replace("_", "-"): file.stem for file in files if assigned.search(file.read_text("utf-8"))}
