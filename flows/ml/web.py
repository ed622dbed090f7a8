"""Addresses a month's file may have, and asking an HTTP server for one."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import httpx
import tenacity

from flows.ml.errors import TrainyardError


class SourceError(TrainyardError):
    """A source that cannot be read, or whose file is not what was promised."""


class SourceUnreachable(SourceError):
    """No whole answer from a server; another attempt may get one."""


class MonthNotPublished(TrainyardError):
    """The source has no file of that month (yet)."""


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for (seconds), and how often it is asked; ``pause`` doubles with every attempt."""

    connect: float = 10.0
    read: float = 60.0
    attempts: int = 4
    pause: float = 1.0


def shown(address: str) -> str:
    """The address without user, password, query and fragment, as logs and manifests may keep it."""
    if not scheme(address):
        return address
    return re.sub(r"^(\w+://)[^/]*@", r"\1", re.split(r"[?#]", address)[0])


def scheme(address: str) -> str:
    """What the address begins with before ``://``, lower case; empty for a path."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", address)
    return match[1].lower() if match else ""


def ask[T](address: str, month: str, patience: Patience, use: Callable[[httpx.Response], T]) -> T:
    """What ``use`` makes of a server's good answer (its body not read yet); asked again while there is none.

    Raises ``MonthNotPublished``, ``SourceUnreachable`` after the last attempt, ``SourceError``.
    """
    again = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(SourceUnreachable),
        stop=tenacity.stop_after_attempt(patience.attempts),
        wait=tenacity.wait_exponential(multiplier=patience.pause, max=30),
        reraise=True,
    )
    return cast(T, again(_ask_once, address, month, patience, use))


def _ask_once[T](address: str, month: str, patience: Patience, use: Callable[[httpx.Response], T]) -> T:
    # GET to find out, too: a signed address is good for one verb only, and the body is not read unless used.
    timeout = httpx.Timeout(patience.read, connect=patience.connect)
    try:
        with httpx.stream(
            "GET", address, timeout=timeout, follow_redirects=True, headers={"Accept-Encoding": "identity"}
        ) as answer:
            _judge(answer.status_code, address, month)
            return use(answer)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
        # their text may quote the address
        raise SourceError(f"{shown(address)}: no usable address ({type(error).__name__}). Correct it.") from None
    except httpx.HTTPError as error:
        raise SourceUnreachable(
            f"{shown(address)}: no whole answer ({error}). Check the network, then run again."
        ) from error


def _judge(status: int, address: str, month: str) -> None:
    if status in (403, 404, 410):  # the TLC's server answers 403 where there is no file
        raise MonthNotPublished(
            f"{month}: not published at {shown(address)} (HTTP {status}). Wait for it, or check address and access."
        )
    if status == 429 or status >= 500:
        raise SourceUnreachable(f"{shown(address)}: the server cannot answer now (HTTP {status}). Run again later.")
    if status != 200:
        raise SourceError(f"{shown(address)}: the server answers HTTP {status}. Check address and access.")
