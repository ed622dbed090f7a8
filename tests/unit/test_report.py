"""What an operator reads of a landing, a snapshot and a decision."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from flows.ml import report
from flows.ml.definition import Interval, SliceResult, Verdict
from flows.ml.fingerprint import Part, Snapshot
from flows.ml.manifest import File, Manifest
from flows.ml.report import Scored
from flows.models.trip_duration import MODEL

SNAPSHOT = Snapshot(
    "green-trips", (Part("2023-01", "a1", 68_170), Part("2023-02", "a2", 64_743)), Part("2023-03", "a3", 71_980)
)
NIGHT = SliceResult("hour", "night", 1_234, 7.5, 4.1, 4.2, Interval(-0.1, -0.2, 0.05), matters=True, judged=True)
ZONE = SliceResult("zone", "airport", 9, 9.5, 8.1, None, None, matters=True, judged=False)
VERDICT = Verdict(
    "promote", "It is better.", 69_330, 4.232, 2.5, 6.468, 4.357, Interval(-0.125, -0.147, -0.104), (NIGHT, ZONE)
)


def scored(champion: bool = True, rows: int = 500) -> Scored:
    random = np.random.default_rng(1)
    actual = random.gamma(3, 5, rows)
    hour = random.integers(6, 24, rows)  # nobody rides before six: those hours have no error
    return Scored(hour, actual, actual + 1, actual - 1 if champion else None, actual + 3)


def card(verdict: Verdict = VERDICT, champion: int | None = 1, links: dict[str, str] | None = None) -> str:
    return report.decision_card(MODEL, SNAPSHOT, verdict, champion, links or {})


@pytest.mark.parametrize(
    ("decision", "title"),
    [
        ("promote", "# Promote: trip-duration on 2023-03"),
        ("keep", "# Keep the champion: trip-duration on 2023-03"),
        ("refuse", "# Refuse: trip-duration on 2023-03"),
    ],
)
def test_a_card_begins_with_the_verdict_and_its_reason(decision, title) -> None:
    lines = card(replace(VERDICT, decision=decision)).splitlines()

    assert lines[:3] == [title, "", "It is better."]


def test_a_card_says_what_was_trained_on_and_judged_on_against_whom() -> None:
    text = card()

    assert "Trained on 2023-01 to 2023-02 and judged on 69,330 rows of 2023-03" in text
    assert "against version 1. Errors are root mean squared, in minutes." in text


def test_a_card_shows_the_errors_with_their_interval() -> None:
    assert "| 69,330 | 6.468 | 4.357 | 4.232 | -0.125 (-0.147 to -0.104) | 2.500 |" in card().splitlines()


def test_a_card_shows_every_slice_and_in_bold_those_that_can_refuse() -> None:
    lines = card().splitlines()

    assert "| **hour: night** | 1,234 | 7.500 | 4.200 | 4.100 | -0.100 (-0.200 to +0.050) |" in lines
    assert "| zone: airport | 9 | 9.500 |  | 8.100 |  |" in lines


def test_without_a_champion_its_figures_are_empty() -> None:
    text = card(replace(VERDICT, champion_rmse=None, difference=None), champion=None)

    assert "against no champion yet." in text
    assert "| 69,330 | 6.468 |  | 4.232 |  | 2.500 |" in text


def test_a_card_ends_with_its_links() -> None:
    text = card(links={"version 2": "http://host/2", "its run": "http://host/r"})

    assert text.endswith("\n[version 2](http://host/2) · [its run](http://host/r)\n")


def test_every_row_of_a_cards_tables_has_as_many_cells_as_its_head() -> None:
    tables = [block.splitlines() for block in card().split("\n\n") if block.startswith("|")]

    assert len(tables) == 2
    for table in tables:
        assert len({line.count("|") for line in table}) == 1


def test_a_landings_card_says_what_was_kept_and_why_the_rest_was_not() -> None:
    source, data = File("https://host/month.parquet", 1_400_000, "5" * 64), File("raw/data", 990_000, "d" * 64)
    broken = {"no pickup time": 3, "distance above 100 miles": 1_002}
    manifest = Manifest(
        "green-trips", "2023-03", source, data, None, 73_005, 72_000, broken, {}, ("cbd_fee",), "r", "c", "now"
    )

    text = report.landing_card(manifest)

    assert text.startswith("# green-trips 2023-03\n\n72,000 of 73,005 rows kept, 990,000 bytes of Parquet at `dddd")
    assert "From `https://host/month.parquet`, 1,400,000 bytes, sha256 `5555" in text
    assert "| no pickup time | 3 |\n| distance above 100 miles | 1,002 |" in text
    assert "Columns the contract does not know, ignored: cbd_fee." in text


def test_a_snapshots_table_has_its_months_in_order_of_time_the_judged_one_last() -> None:
    rows = report.snapshot_table(SNAPSHOT)

    assert [(row["month"], row["use"], row["rows"]) for row in rows] == [
        ("2023-01", "train", 68_170),
        ("2023-02", "train", 64_743),
        ("2023-03", "judge", 71_980),
    ]


@pytest.mark.parametrize("champion", [True, False], ids=["with champion", "without"])
def test_the_plot_is_a_png_small_enough_to_be_shown_inline(champion: bool) -> None:
    png = report.error_plot(scored(champion, rows=70_000), "title", "minutes")

    image = Image.open(io.BytesIO(png))
    assert (image.format, image.size) == ("PNG", (960, 420))
    assert len(png) * 4 / 3 < 100_000


def test_the_same_figures_give_the_same_plot() -> None:
    assert report.error_plot(scored(), "t", "minutes") == report.error_plot(scored(), "t", "minutes")
