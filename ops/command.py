"""What commands share: counts they take, one at a time, how they end on a named error, what they repeat of programs."""

import argparse
import contextlib
import fcntl
import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from flows.ml.errors import TrainyardError


def says_errors[**P](main: Callable[P, int]) -> Callable[P, int]:
    """A command that tells a named error as a sentence on standard error, and ends with exit status 1."""

    @functools.wraps(main)
    def command(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return main(*args, **kwargs)
        except TrainyardError as error:
            sys.stderr.write(f"trainyard: {error}\n")
            return 1

    return command


def sentence(error: BaseException) -> str:
    """What an error says. Prefect's own for what it does not know says nothing: what the server answered does."""
    answered = getattr(error, "http_exc", None)
    return str(error) if answered is None or str(error) not in ("", "None") else f"Prefect: {answered}".splitlines()[0]


def count_of(what: str) -> Callable[[str], int]:
    """The type of an argument that counts something: a whole number from 1, or a sentence that names ``what``."""

    def count(text: str) -> int:
        if not text.isdecimal() or int(text) < 1:
            raise argparse.ArgumentTypeError(f"{text} is no number of {what}, from 1")
        return int(text)

    return count


@contextlib.contextmanager
def alone(lock: Path, refusal: Exception) -> Iterator[None]:
    """Held by one process while the block lasts, however it ends; raises ``refusal`` while another holds it."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise refusal from error
        yield


def say(line: str) -> None:
    """Tell whoever waits, on standard error: standard output holds the result."""
    print(line, file=sys.stderr, flush=True)


def last_line(*texts: str) -> str:
    """The last line of the first text that says something: of standard error, then of standard output."""
    lines = next((found for text in texts if (found := text.strip().splitlines())), ["no word why"])
    return lines[-1].strip()
