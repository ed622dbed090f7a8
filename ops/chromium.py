"""A page in a headless Chromium, driven through the DevTools protocol.

The protocol: https://chromedevtools.github.io/devtools-protocol/. Only what a picture of a page needs is here.
"""

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from flows.ml.errors import TrainyardError

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # it opens the platform's own pages alone; without this it does not start in a container
    "--disable-dev-shm-usage",
    "--use-angle=swiftshader",  # Prefect draws its timelines with WebGL, and there may be no graphics processor
    "--enable-unsafe-swiftshader",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
START = 60.0
"""Seconds Chromium may take to start."""
ANSWER = 60.0
"""Seconds it may take for one answer."""
POLL = 0.3
"""Seconds between two looks at a page."""
LARGEST = 64 * 2**20
"""Bytes of the largest answer: a picture."""


class BrowserError(TrainyardError):
    """There is no Chromium, it does not answer, or a page does not show what it should."""


@dataclass(frozen=True)
class Page:
    """The one page of a browser."""

    connection: ClientConnection
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its answer. Raises ``BrowserError``."""
        number = next(self.numbers)
        try:
            self.connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
            while (answer := json.loads(self.connection.recv(ANSWER))).get("id") != number:
                pass  # an event
        except (WebSocketException, TimeoutError, OSError) as error:
            raise BrowserError(f"Chromium does not answer {method} ({type(error).__name__}): try again.") from error
        if "error" in answer:
            raise BrowserError(f"Chromium refuses {method}: {answer['error'].get('message')}")
        result: dict[str, Any] = answer["result"]
        return result

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page; None where it fails, as on a page that still loads."""
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def size(self, width: int, height: int) -> None:
        """Let the page be so many pixels wide and high."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def open(self, address: str, texts: tuple[str, ...], seconds: float) -> None:
        """Go to an address and wait until the page shows all the texts. Raises ``BrowserError``."""
        self.ask("Page.navigate", url=address)

        def shown() -> bool:
            loaded = self.evaluate("document.readyState") == "complete"
            return loaded and all(text in self.text() for text in texts)

        self.wait(shown, seconds, lambda: _lacking(self.text(), texts))

    def text(self) -> str:
        """What there is to read on the page, also in its fields."""
        fields = "[...document.querySelectorAll('input, textarea')].map(each => each.value)"
        return str(self.evaluate(f"[document.body.innerText, ...{fields}].join('\\n')") or "")

    def picture(self, seconds: float) -> bytes:
        """The page as PNG, once it stands still: two looks at it are the same. Raises ``BrowserError``."""
        seen = [b"", self._look()]

        def still() -> bool:
            seen[:] = seen[1], self._look()
            return seen[0] == seen[1]

        self.wait(still, seconds, lambda: "it keeps moving")
        return seen[1]

    def wait(self, until: Callable[[], bool], seconds: float, state: Callable[[], str]) -> None:
        """Return once ``until`` is true. Raises ``BrowserError`` with the state after so many seconds."""
        deadline = time.monotonic() + seconds
        while not until():
            if time.monotonic() > deadline:
                raise BrowserError(f"{self.evaluate('location.href')}: after {seconds:.0f} s {state()}")
            time.sleep(POLL)

    def _look(self) -> bytes:
        return base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])


@contextlib.contextmanager
def browser() -> Iterator[Page]:
    """A page of a new browser with an empty profile, gone at the end. Raises ``BrowserError``."""
    command = [program(), *OPTIONS]
    with TemporaryDirectory(prefix="trainyard-", ignore_cleanup_errors=True) as folder:
        profile = Path(folder)
        whole = [*command, f"--user-data-dir={profile}", "about:blank"]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(whole, stdout=quiet, stderr=quiet, start_new_session=True)
        try:
            address = _address(profile / "DevToolsActivePort", process)
            with contextlib.closing(connect(address, max_size=LARGEST, open_timeout=ANSWER)) as connection:
                yield Page(connection)
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # its children as well, which would go on writing to the profile
            process.wait(timeout=ANSWER)


def program() -> str:
    """The browser of this machine. Raises ``BrowserError``."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        raise BrowserError("there is no Chromium on PATH. Install it (Debian: apt install chromium), or Chrome.")
    return found


def _address(port_file: Path, process: subprocess.Popen[bytes]) -> str:
    """Where the page is to be driven; Chromium writes its port into its profile."""
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError, IndexError, httpx.HTTPError, StopIteration):
            port = port_file.read_text().splitlines()[0]
            pages = httpx.get(f"http://127.0.0.1:{port}/json/list", timeout=5, trust_env=False).json()
            return str(next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page"))
        time.sleep(POLL)
    raise BrowserError(f"Chromium did not start within {START:.0f} s: run {program()} by hand to see why.")


def _lacking(text: str, texts: tuple[str, ...]) -> str:
    missing = [each for each in texts if each not in text]
    return f"it does not show {', '.join(map(repr, missing))}. It shows: {' '.join(text.split())[:300]}"
