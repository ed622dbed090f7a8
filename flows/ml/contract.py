"""What a valid month is: its columns, its rows, and how many broken rows are too many.

Pure: a lazy frame over a local file goes in, a verdict on every row comes out. Rows are checked slice by slice: memory
is bounded by a slice, plus 5 bytes for every broken row.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from flows.ml.definition import Dataset
from flows.ml.errors import TrainyardError
from flows.ml.months import following

if TYPE_CHECKING:
    from pandera.polars import DataFrameSchema

SLICE_ROWS = 250_000


class ContractError(TrainyardError):
    """A month breaks its dataset's contract too far to be landed."""


@dataclass(frozen=True)
class Checked:
    """What the rows of a month look like against the contract.

    ``broken`` has a row for each broken row of the file: ``index`` (from 0, ascending) and ``reason``, the first rule
    it breaks. ``months`` counts the rows by the month (YYYY-MM) of the dataset's time column.
    """

    rows: int
    broken: pl.DataFrame
    months: Mapping[str, int]

    @property
    def kept(self) -> int:
        """How many rows meet every rule."""
        return self.rows - self.broken.height

    @property
    def reasons(self) -> dict[str, int]:
        """Broken rows by reason, each row counted once, the commonest reason first."""
        counts = self.broken.group_by("reason").len().with_columns(pl.col("reason").cast(pl.String))
        return dict(counts.sort("len", "reason", descending=[True, False]).iter_rows())


def check_columns(found: pl.Schema, dataset: Dataset, month: str) -> tuple[str, ...]:
    """The columns of ``found`` the dataset does not know, sorted; they are ignored.

    Types may drift within a kind (int32 and int64, whole numbers as double, a column of nothing but nulls). Raises
    ``ContractError`` naming every column that is missing or of another kind.
    """
    faults = []
    for name, source in dataset.sources.items():
        wanted = _dtype(dataset, name)
        if source not in found:
            faults.append(f"column {source} is missing")
        elif found[source] != pl.Null and _kind(found[source]) != _kind(wanted):
            faults.append(f"column {source} is {found[source]}, expected {_kind(wanted)}")
    if faults:
        raise ContractError(
            f"{month}: not a file of {dataset.title.lower()}: {'; '.join(faults)}. Check the source; if it changed for "
            f"good, change flows/datasets/{dataset.name}.py."
        )
    return tuple(sorted(set(found) - set(dataset.sources.values()) - dataset.ignored))


def typed_columns(found: pl.Schema, dataset: Dataset) -> list[pl.Expr]:
    """Expressions from the file's columns to the dataset's; a value its type cannot hold becomes null."""
    return [
        _typed(found[source], source, _dtype(dataset, name)).alias(name) for name, source in dataset.sources.items()
    ]


def check_rows(file: pl.LazyFrame, dataset: Dataset, month: str, slice_rows: int = SLICE_ROWS) -> Checked:
    """Every row of ``file`` (which passed ``check_columns``) against the dataset's rules and the month.

    Raises ``ContractError`` where the file's pages cannot be read.
    """
    try:
        return _check_slices(file, dataset, month, slice_rows)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ContractError(
            f"{month}: the file is damaged, its rows cannot be read ({error}). Fetch it again."
        ) from error


def refuse(checked: Checked, dataset: Dataset, month: str) -> None:
    """Raise ``ContractError`` if the month as a whole must not be landed; the text says why."""
    rows, broken = checked.rows, checked.broken.height
    if rows == 0:
        raise ContractError(f"{month}: the file of {dataset.name} has no rows. Check the source.")
    usual, usual_rows = max(checked.months.items(), key=lambda item: item[1], default=(month, 0))
    if usual != month and usual_rows * 2 > rows:
        raise ContractError(
            f"{month}: {usual_rows:,} of {rows:,} rows are of {usual}: is this the file of another month?"
        )
    why = ", ".join(f"{reason}: {count:,}" for reason, count in checked.reasons.items())
    if broken == rows:
        raise ContractError(
            f"{month}: all {rows:,} rows break the contract of {dataset.name} ({why}). Check the source."
        )
    if rows < dataset.min_rows:
        raise ContractError(
            f"{month}: {rows:,} rows, expected {dataset.min_rows:,} at least. Is the file only a part of the month?"
        )
    if broken > dataset.max_broken * rows:
        raise ContractError(
            f"{month}: {broken:,} of {rows:,} rows ({broken / rows:.2%}, limit {dataset.max_broken:.2%}) break the "
            f"contract of {dataset.name} ({why}). Check the source, or the rules in flows/datasets/{dataset.name}.py."
        )


def _check_slices(file: pl.LazyFrame, dataset: Dataset, month: str, slice_rows: int) -> Checked:
    schema, kinds = _with_month(dataset, month), _reasons(dataset)
    found = file.collect_schema()
    rows = file.select(pl.len()).collect().item()
    raw = file.select(pl.col(source).alias(name) for name, source in dataset.sources.items())
    casts = [_typed(found[source], name, _dtype(dataset, name)) for name, source in dataset.sources.items()]
    months: Counter[str] = Counter()
    broken = [pl.DataFrame(schema={"index": pl.UInt32, "reason": kinds})]
    for start in range(0, rows, slice_rows):
        part = raw.slice(start, slice_rows).with_columns(pl.selectors.float().fill_nan(None)).collect()
        typed = part.select(casts)
        months.update(_months(typed[dataset.time]))
        broken.append(_broken(part, typed, schema, kinds).with_columns(pl.col("index") + start))
    return Checked(rows, pl.concat(broken), months)


def _broken(raw: pl.DataFrame, typed: pl.DataFrame, schema: "DataFrameSchema", reasons: pl.Enum) -> pl.DataFrame:
    unfit = [
        typed.select(index=pl.arg_where(pl.col(name).is_null() & raw[name].is_not_null()), reason=pl.lit(_unfit(name)))
        for name in typed.columns
    ]
    found = pl.concat([*unfit, _failures(typed, schema)]).cast({"reason": reasons})
    return found.group_by("index").agg(pl.col("reason").min()).sort("index")


def _failures(typed: pl.DataFrame, schema: "DataFrameSchema") -> pl.DataFrame:
    import pandera.errors

    try:
        schema.validate(typed, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases
        missing = pl.col("check") == "not_nullable"
        reason = pl.when(missing).then(pl.format("{} missing", "column")).otherwise("check")
        if cases["index"].null_count():  # a rule that gives no verdict by row is a fault of the dataset's file
            raise
        failures: pl.DataFrame = cases.select(pl.col("index").cast(pl.UInt32), reason=reason)
        return failures
    return pl.DataFrame(schema={"index": pl.UInt32, "reason": pl.String})


def _with_month(dataset: Dataset, month: str) -> "DataFrameSchema":
    import pandera.polars as pa

    first, end = (pl.lit(f"{edge}-01").str.to_datetime(time_unit="us") for edge in (month, following(month)))
    inside = pa.Check(
        lambda data: data.lazyframe.select(pl.col(data.key).is_between(first, end, closed="left")),
        error=_outside(dataset),
        description="A trip belongs to the file of the month in which it began.",
    )
    column = dataset.schema.columns[dataset.time]
    return dataset.schema.update_column(dataset.time, checks=[inside, *column.checks])


def _reasons(dataset: Dataset) -> pl.Enum:
    """Every reason, in the order in which a row that breaks several rules is given one."""
    columns = dataset.schema.columns
    rules = [check.error for column in columns.values() for check in column.checks]
    return pl.Enum([*map(_unfit, columns), *(f"{name} missing" for name in columns), _outside(dataset), *rules])


def _outside(dataset: Dataset) -> str:
    return f"{dataset.time} outside the month"


def _unfit(name: str) -> str:
    return f"{name} not of its type"


def _months(times: pl.Series) -> dict[str, int]:
    counts = times.drop_nulls().dt.truncate("1mo").value_counts()
    return dict(zip(counts[times.name].dt.to_string("%Y-%m"), counts["count"], strict=True))


def _typed(found: pl.DataType, name: str, wanted: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if found.is_float() and wanted.is_integer():
        column = pl.when(column == column.round()).then(column)
    return column.cast(wanted, strict=False)


def _dtype(dataset: Dataset, name: str) -> pl.DataType:
    dtype: pl.DataType = dataset.schema.columns[name].dtype.type
    return dtype


def _kind(dtype: pl.DataType) -> str:
    """What a person would call the type; types of one kind are cast to each other."""
    if dtype.is_numeric():
        return "a number"
    if isinstance(dtype, pl.Datetime):
        return "a local time" if dtype.time_zone is None else "a time with a zone"
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return "text"
    return str(dtype)
