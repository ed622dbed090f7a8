"""What the operator reads: the card of a decision, the table of a snapshot, the plot of the errors."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flows.ml.definition import Interval, Model, SliceResult, Verdict
from flows.ml.fingerprint import Part, Snapshot
from flows.ml.manifest import Manifest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

HEADLINES = {"promote": "Promote", "keep": "Keep the champion", "refuse": "Refuse"}


@dataclass(frozen=True)
class Scored:
    """The judged rows as the plot needs them, a value a row: hour of day, actual and predicted in the model's unit."""

    hour: NDArray[np.int64]
    actual: Array
    candidate: Array
    champion: Array | None
    naive: Array


def decision_card(
    model: Model, snapshot: Snapshot, verdict: Verdict, champion: int | None, links: Mapping[str, str]
) -> str:
    """The decision in markdown: verdict, reason, errors overall and by slice with intervals, links."""
    against = f"version {champion}" if champion else "no champion yet"
    lines = [
        f"# {HEADLINES[verdict.decision]}: {model.name} on {snapshot.judge.month}",
        "",
        verdict.reason,
        "",
        f"Trained on {_months(snapshot.train)} and judged on {verdict.rows:,} rows of {snapshot.judge.month} that "
        f"neither model was trained on, against {against}. Errors are root mean squared, in {model.unit}.",
        "",
        _overall(verdict),
        "",
        "## By slice",
        "",
        "The difference is candidate minus champion with its bootstrap interval, resampled by day; below zero the "
        "candidate is better. A part in bold can refuse the candidate; others have too few rows, or are shown only.",
        "",
        _slices(verdict.slices),
    ]
    if links:
        lines += ["", " · ".join(f"[{name}]({url})" for name, url in links.items())]
    return "\n".join(lines) + "\n"


def landing_card(found: Manifest) -> str:
    """What was kept of a month, and what was broken for which reason, in markdown."""
    broken = "".join(f"| {reason} | {rows:,} |\n" for reason, rows in found.broken.items())
    notes = (
        f"\nColumns the contract does not know, ignored: {', '.join(found.new_columns)}.\n" if found.new_columns else ""
    )
    return (
        f"# {found.dataset} {found.month}\n\n{found.rows_kept:,} of {found.rows_in:,} rows kept, "
        f"{found.data.size:,} bytes of Parquet at `{found.address}`.\n\n"
        f"From `{found.source.name}`, {found.source.size:,} bytes, sha256 `{found.source.sha256}`.\n\n"
        f"| broken: reason | rows |\n| :-- | --: |\n{broken}{notes}"
    )


def snapshot_table(snapshot: Snapshot) -> list[dict[str, object]]:
    """The months of a snapshot, a row each."""
    rows = [(part, "train") for part in snapshot.train] + [(snapshot.judge, "judge")]
    return [{"month": p.month, "use": use, "rows": p.rows, "address (sha256)": p.address} for p, use in rows]


def error_plot(scored: Scored, title: str, unit: str) -> bytes:
    """A PNG: error by hour of day beside predicted against actual."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 4.2), dpi=100, layout="constrained")
    hours, plane = figure.subplots(1, 2)
    series = {"naive": scored.naive, "champion": scored.champion, "candidate": scored.candidate}
    for (name, predicted), color in zip(series.items(), ("#b5b5b5", "#e08a00", "#1f5fbf"), strict=True):
        if predicted is not None:
            hours.plot(
                range(24), _rmse_by_hour(scored.hour, scored.actual, predicted), label=name, color=color, marker="."
            )
    hours.set(
        xlabel="hour of pickup",
        ylabel=f"RMSE, {unit}",
        title="Error by hour of day",
        xticks=range(0, 24, 3),
        ylim=(0, None),
    )
    hours.legend(frameon=False)
    top = float(np.percentile(scored.actual, 99.5)) if scored.actual.size else 1.0
    plane.hexbin(
        scored.actual, scored.candidate, gridsize=45, extent=(0, top, 0, top), bins="log", cmap="Blues", mincnt=1
    )
    plane.plot([0, top], [0, top], color="#c23b22", linewidth=1)
    plane.set(xlabel=f"actual, {unit}", ylabel=f"predicted, {unit}", title="Predicted against actual (candidate)")
    figure.suptitle(title)
    return png(figure)


def png(figure: "Figure") -> bytes:
    """A figure as a PNG with a palette of 64 colours, far below the 100 kB that a data URI may have in the UI."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    found = io.BytesIO()
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    Image.fromarray(pixels).convert("RGB").quantize(64).save(found, format="png", optimize=True)
    return found.getvalue()


def _rmse_by_hour(hour: NDArray[np.int64], actual: Array, predicted: Array) -> Array:
    rows = np.bincount(hour, minlength=24)
    squares = np.bincount(hour, weights=(predicted - actual) ** 2, minlength=24)
    with np.errstate(invalid="ignore"):
        return np.sqrt(squares / rows)


def _months(parts: tuple[Part, ...]) -> str:
    first, last = parts[0].month, parts[-1].month
    return first if first == last else f"{first} to {last}"


def _overall(verdict: Verdict) -> str:
    head = "| rows | naive | champion | candidate | difference | MAE |\n| --: | --: | --: | --: | --: | --: |\n"
    return head + (
        f"| {verdict.rows:,} | {verdict.naive_rmse:.3f} | {_number(verdict.champion_rmse)} | {verdict.rmse:.3f} "
        f"| {_interval(verdict.difference)} | {verdict.mae:.3f} |"
    )


def _slices(slices: tuple[SliceResult, ...]) -> str:
    head = "| slice | rows | naive | champion | candidate | difference |\n| :-- | --: | --: | --: | --: | --: |\n"
    return head + "\n".join(_slice(one) for one in slices)


def _slice(one: SliceResult) -> str:
    name = f"{one.slice}: {one.part}"
    shown = f"**{name}**" if one.judged else name
    errors = f"{one.naive:.3f} | {_number(one.champion)} | {one.candidate:.3f}"
    return f"| {shown} | {one.rows:,} | {errors} | {_interval(one.difference)} |"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _interval(found: Interval | None) -> str:
    return "" if found is None else f"{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
