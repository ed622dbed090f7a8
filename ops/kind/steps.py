"""Long steps, each with the seconds it takes: a moving line on a terminal while it lasts, a plain one at its end."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

Step = Callable[[str], AbstractContextManager[None]]
"""Wraps what takes long in a sentence for whoever waits."""


@contextmanager
def shown(console: Console) -> Iterator[Step]:
    """Steps on a console; several may be under way at once."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:

        @contextmanager
        def step(text: str) -> Iterator[None]:
            line = progress.add_task(text, total=None)
            if not console.is_terminal:
                console.print(f"{text} ...")
            began = time.monotonic()
            try:
                yield
                console.print(f"{text}: {time.monotonic() - began:.0f} s")
            finally:
                progress.remove_task(line)

        yield step
