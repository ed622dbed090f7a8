"""What a reviewer reads of a change to a model: the errors by slice, of the change and of what it would replace."""

from dataclasses import dataclass

from flows.ml.definition import Interval, Model, SliceResult, Verdict

WOULD = {
    "promote": "The gate would promote it",
    "keep": "The gate would keep what is there",
    "refuse": "The gate would refuse it",
}


@dataclass(frozen=True)
class Whole:
    """How many rows are in a model's scope, those in quarantine counted in, and its error on them all, in its unit."""

    rows: int
    rmse: float


def page(model: Model, verdict: Verdict, whole: Whole, months: list[str], base: str) -> str:
    """Markdown: the verdict with its reason, then a row for all and one for each part of the slices.

    ``whole`` is of the change. ``months`` are those trained on and, last, the judged one; ``base`` names the revision
    compared with.
    """
    *trained, judged = months
    head = f"| slice | rows | naive | {base} | this change | difference |\n| :-- | --: | --: | --: | --: | --: |"
    return "\n".join(
        [
            f"## {model.name}: this change against {base}",
            "",
            _outcome(verdict),
            "",
            f"Trained on {', '.join(trained)} and judged on {verdict.rows:,} rows of {judged}. Errors are root mean "
            f"squared, in {model.unit}; below zero this change is better. A part in bold can refuse it. With the "
            f"{whole.rows - verdict.rows:,} rows of its scope in quarantine counted in, this change's error is "
            f"{whole.rmse:.3f}.",
            "",
            head,
            _row("all", _overall(verdict)),
            *(_row(f"{one.slice}: {one.part}", one) for one in verdict.slices),
            "",
        ]
    )


def _outcome(verdict: Verdict) -> str:
    difference = verdict.difference
    if difference and difference.value == difference.low == difference.high == 0:
        return "**The predictions are the same.** Nothing in this change reaches the model."
    return f"**{WOULD[verdict.decision]}**, with this change as candidate: {verdict.reason}"


def _overall(verdict: Verdict) -> SliceResult:
    """All rows, as a row of the table."""
    errors = (verdict.rows, verdict.naive_rmse, verdict.rmse, verdict.champion_rmse)
    return SliceResult("all", "all", *errors, verdict.difference, matters=False, judged=False)


def _row(name: str, one: SliceResult) -> str:
    shown = f"**{name}**" if one.judged else name
    before = "" if one.champion is None else f"{one.champion:.3f}"
    return f"| {shown} | {one.rows:,} | {one.naive:.3f} | {before} | {one.candidate:.3f} | {_shown(one.difference)} |"


def _shown(difference: Interval | None) -> str:
    return "" if difference is None else f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
