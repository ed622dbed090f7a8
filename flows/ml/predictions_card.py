"""What the operator reads of a scored month."""

from flows.ml.predictions import Predictions

MANY = 0.01
"""The share of rows without a prediction that is pointed out: it is what a month's contract lets break."""


def sentence(found: Predictions) -> str:
    """What came of it, for the end of a run."""
    left = found.rows - found.scored
    without = f"; {left:,} ({left / found.rows:.1%}) could not be" if left else ""
    return f"{found.month}: {found.scored:,} of {found.rows:,} rows scored by version {found.version}{without}"


def card(found: Predictions, uri: str, version: str) -> str:
    """The predictions in markdown; ``uri`` is where the file is, ``version`` where people see the version."""
    left = found.rows - found.scored
    warning = f"**{left / found.rows:.1%} of the rows have no prediction**: " if left > MANY * found.rows else ""
    note = f"{warning}see the reasons below, and what was landed of {found.month}.\n\n" if warning else ""
    reasons = "".join(f"| without a prediction: {reason} | {rows:,} |\n" for reason, rows in found.reasons.items())
    return (
        f"# {found.model} {found.month}, scored by version {found.version}\n\n{note}"
        f"| | |\n| :-- | --: |\n| rows | {found.rows:,} |\n| scored | {found.scored:,} |\n{reasons}"
        f"| in the model's scope, of those scored | {found.in_scope:,} |\n"
        f"| mean prediction of these, {found.unit} | {_number(found.mean_predicted)} |\n"
        f"| mean actual value of these, {found.unit} | {_number(found.mean_actual)} |\n\n"
        f"{found.data.size:,} bytes of Parquet, a row for each row of the month as it was landed, in its order:\n\n"
        f"```\n{uri}\n{found.source.name}\n```\n\n"
        f"[version {found.version} in MLflow]({version})\n"
    )


def _number(mean: float | None) -> str:
    return "" if mean is None else f"{mean:.3f}"
