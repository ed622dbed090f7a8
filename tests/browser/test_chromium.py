"""A page in a real headless Chromium: what it shows is waited for, what it never shows is named."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from ops import chromium
from ops.chromium import BrowserError, Page, browser

pytestmark = pytest.mark.timeout(120)

LATE = """<p>First</p><input id=field><script>
  setTimeout(() => { document.body.append("Then"); document.getElementById("field").value = "Filled in"; }, 1500)
</script>"""
MOVING = "<p>0</p><script>let n = 0; setInterval(() => document.querySelector('p').textContent = ++n, 20)</script>"


def address(html: str) -> str:
    return f"data:text/html,{quote(html)}"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    try:
        chromium.program()
    except BrowserError as missing:
        pytest.skip(str(missing))
    with browser() as found:
        found.size(400, 300)
        yield found


def test_a_page_is_open_once_it_shows_every_text_those_in_its_fields_among_them(page: Page) -> None:
    page.open(address(LATE), ("First", "Then", "Filled in"), 20)

    assert page.text().split("\n")[0] == "First"


def test_a_text_that_never_appears_is_named_with_what_the_page_shows(page: Page) -> None:
    with pytest.raises(BrowserError, match=r"after 5 s it does not show 'Third'\. It shows: First"):
        page.open(address(LATE), ("First", "Third"), 5)


def test_a_picture_is_a_png_of_the_pages_size(page: Page) -> None:
    page.open(address(LATE), ("Then",), 20)

    picture = page.picture(20)

    assert picture.startswith(b"\x89PNG")
    assert (int.from_bytes(picture[16:20]), int.from_bytes(picture[20:24])) == (400, 300)


def test_a_page_that_never_stands_still_is_refused(page: Page) -> None:
    page.open(address(MOVING), (), 20)

    with pytest.raises(BrowserError, match="it keeps moving"):
        page.picture(2)


def test_the_profile_and_the_process_are_gone_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    try:
        with browser() as found:
            profile = next(tmp_path.glob("trainyard-*"))
            number = found.evaluate("1 + 1")
    except BrowserError as missing:
        pytest.skip(str(missing))

    assert number == 2
    assert not profile.exists()
