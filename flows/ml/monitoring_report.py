"""What the operator reads of a monitored month: the card, the plot, the figures MLflow draws over time."""

import io
import math
import re
from collections.abc import Mapping

import numpy as np

from flows.ml.comparison import ALL
from flows.ml.definition import Model
from flows.ml.drift import Drift
from flows.ml.monitoring import Findings, PartError

HEADLINES = {True: "Alarm", False: "Within limits"}


def card(model: Model, month: str, version: int, judged: str, found: Findings, links: Mapping[str, str]) -> str:
    """The findings in markdown: what is past its limit, errors, drift, what is missing, links."""
    lines = [
        f"# {HEADLINES[bool(found.alarms)]}: version {version} of {model.name} on {month}",
        "",
        *([f"- {_capital(alarm.text)}." for alarm in found.alarms] or [f"{_capital(found.sentence)}."]),
        "",
        "## Error relative to the naive baseline",
        "",
        f"Ratios of root mean squared errors on the rows in scope, now and when the version was judged on {judged}; "
        f"growth is one over the other, with its {100 * model.gate.confidence:g} % bootstrap interval (the days of each "
        "month by themselves). It alarms where the whole interval is beyond the limit, in a part in bold; others have "
        "too few rows, no figures at promotion, or are shown only.",
        "",
        _errors(found.errors),
        "",
        "## Inputs against the months trained on",
        "",
        "Distance is Jensen-Shannon's, 0 to 1, without what chance makes of it. Moved most: the bins that make up most "
        "of it, with their shares of the rows before and now.",
        "",
        _drifts(found.drifts),
        "",
        f"Not seen in training: limit {model.limits.unseen:.2%}. Missing: limit {model.limits.missing:.2%} more than at "
        f"training. In quarantine: {found.completeness.broken:.2%}, at training {found.completeness.broken_before:.2%} "
        f"(limit {model.limits.broken:.2%} more). In scope and not scored: {found.completeness.unscored:.2%}.",
    ]
    if links:
        lines += ["", " · ".join(f"[{name}]({url})" for name, url in links.items())]
    return "\n".join(lines) + "\n"


def metrics(found: Findings) -> dict[str, float]:
    """The figures by names that MLflow takes."""
    figures = {"rows_in_quarantine": found.completeness.broken, "rows_unscored": found.completeness.unscored}
    for error in found.errors:
        name = "" if error.slice == ALL else f"_{error.slice}_{error.part}"
        figures |= {f"ratio{name}": error.ratio, f"growth{name}": error.growth.value}
    for drift in found.drifts:
        figures |= {f"drift_{drift.name}": drift.distance, f"missing_{drift.name}": drift.missing}
        figures |= {f"unseen_{drift.name}": drift.unseen}
    return {re.sub(r"[^\w.-]", "_", name): value for name, value in figures.items() if math.isfinite(value)}


def plot(title: str, found: Findings) -> bytes:
    """A PNG: growth of the error by part beside drift by input, each with its limit.

    It has a palette of 64 colours, as the plot of a decision.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=(9.6, 4.8), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    errors = [error for error in found.errors if error.judged][::-1]
    at = np.arange(len(errors))
    low = [error.growth.value - error.growth.low for error in errors]
    high = [error.growth.high - error.growth.value for error in errors]
    left.errorbar([error.growth.value for error in errors], at, xerr=[low, high], fmt="o", color="#1f5fbf", capsize=2)
    left.scatter([error.limit for error in errors], at, marker="|", s=120, color="#c23b22", label="limit")
    left.axvline(1.0, color="#b5b5b5", linewidth=1)
    left.set_yticks(at, [error.name for error in errors], fontsize=7)
    left.set(title="Error, as a multiple of that at promotion", xlabel="growth, with its interval")
    drifts = found.drifts[::-1]
    place = np.arange(len(drifts))
    right.barh(place, [drift.distance for drift in drifts], color="#1f5fbf", height=0.5)
    right.scatter([drift.limit for drift in drifts], place, marker="|", s=400, color="#c23b22", label="limit")
    right.set_yticks(place, [drift.name for drift in drifts], fontsize=7)
    right.set(title="Inputs, against training", xlabel="Jensen-Shannon distance", xlim=(0, None))
    right.legend(frameon=False)
    figure.suptitle(title)
    canvas.draw()  # type: ignore[no-untyped-call]
    png = io.BytesIO()
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    Image.fromarray(pixels).convert("RGB").quantize(64).save(png, format="png", optimize=True)
    return png.getvalue()


def _errors(errors: tuple[PartError, ...]) -> str:
    head = (
        "| part | rows | now | at promotion | growth | limit |\n| :-- | --: | --: | --: | --: | --: |\n"
    )
    return head + "\n".join(_error(error) for error in errors)


def _error(error: PartError) -> str:
    name = f"**{error.name}**" if error.judged else error.name
    before, growth = ("", "") if error.before is None else (f"{error.before:.3f}", _growth(error))
    return f"| {name} | {error.rows:,} | {error.ratio:.3f} | {before} | {growth} | {error.limit:g} |"


def _growth(error: PartError) -> str:
    return f"{error.growth.value:.3f} ({error.growth.low:.3f} to {error.growth.high:.3f})"


def _drifts(drifts: tuple[Drift, ...]) -> str:
    head = "| input | distance | limit | bins | not seen | missing | at training | moved most |\n"
    head += "| :-- | --: | --: | --: | --: | --: | --: | :-- |\n"
    return head + "\n".join(_drift(drift) for drift in drifts)


def _drift(drift: Drift) -> str:
    moved = "; ".join(f"{one.bin}: {one.before:.2%} to {one.now:.2%}" for one in drift.moved)
    figures = f"{drift.distance:.3f} | {drift.limit:g} | {drift.bins} | {drift.unseen:.2%} | {drift.missing:.2%}"
    return f"| {drift.name} | {figures} | {drift.missing_before:.2%} | {moved} |"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
