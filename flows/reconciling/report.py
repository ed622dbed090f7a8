"""What a reconcile found and did, for people."""

import io
from collections import Counter

from rich.console import Console
from rich.table import Table

from flows.reconciling.whole import Reconcile

COLUMNS = ("found", "what", "why", "done")


def rows(found: Reconcile) -> list[dict[str, str]]:
    """A row for each finding."""
    return [
        dict(zip(COLUMNS, (str(one.finding.kind), one.finding.what, one.finding.why, one.done), strict=True))
        for one in found.outcomes
    ]


def summary(found: Reconcile) -> str:
    """In a sentence: how much of what."""
    counts = Counter(one.done.partition(":")[0].partition(" ")[0] for one in found.outcomes)
    words = {"done": "repaired", "would": "to repair", "let": "let be", "could": "failed", "needs": "for a person"}
    said = ", ".join(f"{counts[key]} {word}" for key, word in words.items() if counts[key])
    return said or "nothing to do"


def text(found: Reconcile, width: int = 160) -> str:
    """The whole, for a terminal or a log."""
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False, markup=False)
    if found.outcomes:
        table = Table(*COLUMNS)
        for row in rows(found):
            table.add_row(*row.values())
        console.print(table)
    for note in found.notes:
        console.print(note, soft_wrap=True)
    mode = "dry run: " if found.dry_run else ""
    console.print(f"{mode}{summary(found)}")
    return out.getvalue()
