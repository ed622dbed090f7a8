"""The pictures of the docs: small enough to be kept, each shown by a page, and a sentence where none can be taken."""

import io
import random
from pathlib import Path

import pytest
from PIL import Image
from prefect.exceptions import ObjectNotFound

from ops import chromium, screenshots
from ops.chromium import BrowserError
from ops.lint import markdown
from ops.screenshots import LIMIT, ScreenshotError, small

ROOT = Path(__file__).resolve().parents[2]


def png(width: int, height: int, colours: int) -> bytes:
    """A picture of noise, which no compression makes smaller, in so many colours."""
    chance = random.Random(0)
    palette = [(chance.randrange(256), chance.randrange(256), chance.randrange(256)) for _ in range(colours)]
    picture, out = Image.new("RGB", (width, height)), io.BytesIO()
    picture.putdata([chance.choice(palette) for _ in range(width * height)])
    picture.save(out, "PNG")
    return out.getvalue()


def test_a_picture_of_few_colours_is_kept_as_it_is() -> None:
    before = png(200, 200, 8)

    after = small(before)

    assert len(after) < len(before)
    assert Image.open(io.BytesIO(after)).convert("RGB").tobytes() == Image.open(io.BytesIO(before)).tobytes()


def test_a_picture_that_is_too_large_loses_colours_until_it_fits() -> None:
    before = png(450, 450, 200)

    after = small(before)

    assert len(after) <= LIMIT < len(before)
    assert len(Image.open(io.BytesIO(after)).convert("RGB").getcolors(1 << 24)) <= 128


def test_a_picture_that_cannot_be_made_small_is_refused() -> None:
    with pytest.raises(ScreenshotError, match=r"does not go below 150000: let it be less high"):
        small(png(1000, 1000, 5000))


def test_without_a_chromium_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(BrowserError, match=r"no Chromium on PATH\. Install it"):
        chromium.program()


def test_every_picture_is_shown_by_a_page_and_small() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    links = {(page.parent / link.text).resolve() for page in pages for link in markdown.read(page.read_text()).links}

    pictures = {path.resolve(): path.stat().st_size for path in (ROOT / screenshots.FOLDER).iterdir()}

    assert pictures
    assert set(pictures) <= links
    assert max(pictures.values()) <= LIMIT


def test_where_nothing_is_deployed_a_sentence_says_what_to_run_first() -> None:
    class Nothing:
        def read_deployment_by_name(self, name: str) -> None:
            raise ObjectNotFound(Exception(name))

    with pytest.raises(ScreenshotError, match="nothing is deployed here as monthly/trip-duration-local: make scenario"):
        screenshots.scenario_shots(Nothing())  # type: ignore[arg-type]
