"""What the operator reads of a monitored month: the card, the plot, the figures MLflow draws over time."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from flows.ml.comparison import ALL
from flows.ml.definition import Model
from flows.ml.drift import Drift
from flows.ml.monitoring import Findings, PartError
from flows.ml.report import png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEADLINES = {True: "Alarm", False: "Within limits"}
TO_DO = (
    "What each line means and what to do: `docs/runbooks/monitor-alarm.md`. To put the version before in service at "
    "once: run `promote`, version `previous`."
)


def card(model: Model, month: str, version: int, judged: str, found: Findings, links: Mapping[str, str]) -> str:
    """The findings in markdown: what is past its limit, errors, drift, what is missing, links."""
    rest = found.completeness
    lines = [
        f"# {HEADLINES[bool(found.alarms)]}: version {version} of {model.name} on {month}",
        "",
        *([f"- {_capital(alarm.text)}." for alarm in found.alarms] or [f"{_capital(found.sentence)}."]),
        *(["", TO_DO] if found.alarms else []),
        "",
        "## Error relative to the naive baseline",
        "",
        f"Ratios of root mean squared errors on the rows in scope, now and when the version was judged on {judged}; "
        f"growth is one over the other, with its {100 * model.gate.confidence:g} % bootstrap interval (the days of "
        "each month by themselves). It alarms where the whole interval is beyond the limit, in a part in bold; others "
        "have too few rows, no figures at promotion, or are shown only.",
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
        f"Not seen in training: limit {model.limits.unseen:.2%}. Missing: limit {model.limits.missing:.2%} more than "
        f"at training. In quarantine: {rest.broken:.2%}, at training {rest.broken_before:.2%} "
        f"(limit {model.limits.broken:.2%} more). In scope and not scored: {rest.unscored:.2%}.",
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
    """A PNG: growth of the error by part beside drift by input, each with its limit."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 4.8), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2)
    _plot_errors(left, [error for error in found.errors if error.judged][::-1])
    _plot_drifts(right, found.drifts[::-1])
    figure.suptitle(title)
    return png(figure)


def _plot_errors(axes: "Axes", errors: Sequence[PartError]) -> None:
    at = range(len(errors))
    values = [error.growth.value for error in errors]
    sides = [
        [error.growth.value - error.growth.low for error in errors],
        [error.growth.high - error.growth.value for error in errors],
    ]
    axes.errorbar(values, at, xerr=sides, fmt="o", color="#1f5fbf", capsize=2)
    axes.scatter([error.limit for error in errors], at, marker="|", s=120, color="#c23b22")
    axes.axvline(1.0, color="#b5b5b5", linewidth=1)
    axes.set_yticks(at, [error.name for error in errors], fontsize=7)
    axes.set(title="Error, as a multiple of that at promotion", xlabel="growth, its interval and its limit (red)")


def _plot_drifts(axes: "Axes", drifts: Sequence[Drift]) -> None:
    at = range(len(drifts))
    axes.barh(at, [drift.distance for drift in drifts], color="#1f5fbf", height=0.5)
    axes.scatter([drift.limit for drift in drifts], at, marker="|", s=400, color="#c23b22")
    axes.set_yticks(at, [drift.name for drift in drifts], fontsize=7)
    axes.set(title="Inputs, against training", xlabel="Jensen-Shannon distance and its limit (red)", xlim=(0, None))


def _errors(errors: tuple[PartError, ...]) -> str:
    head = "| part | rows | now | at promotion | growth | limit |\n| :-- | --: | --: | --: | --: | --: |\n"
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
