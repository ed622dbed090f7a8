"""What a check finds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Something that breaks a rule: the file (relative to the repository), the line where it is known, a sentence."""

    file: str
    line: int | None
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.message}"


class Skipped(Exception):
    """A check that cannot run here, and why."""
