"""CSV tables read strictly: every fault is one line that names the file, the row and the remedy."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl

from lsdc.errors import DataError


def read_csv(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    """The named columns of a CSV file, in that order, every value a string (null where empty).

    Columns that are not asked for are dropped, and so are blank lines.

    Raises:
        DataError: no such file, not a CSV table, or a column is not there.
    """
    if not path.is_file():
        raise DataError(_no_such_file(path))
    try:
        table = pl.read_csv(path.read_bytes(), infer_schema=False)
    except pl.exceptions.NoDataError as error:
        raise DataError(f"{path}: the file is empty, expected a header and rows") from error
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"{path}: cannot be read as a CSV table ({reason}); replace it") from error
    require_columns(table, columns, str(path))
    stripped = pl.col(pl.String).str.strip_chars().replace("", None)
    table = table.select(columns).with_columns(stripped)
    return table.filter(~pl.all_horizontal(pl.all().is_null()))


def require_columns(table: pl.DataFrame, columns: Sequence[str], source: str) -> None:
    """Refuse a table that lacks one of the columns, naming the one found that looks most like it.

    Raises:
        DataError: a column is not there.
    """
    missing = [name for name in columns if name not in table.columns]
    if not missing:
        return
    spare = [name for name in table.columns if name not in columns]
    close = difflib.get_close_matches(missing[0], spare, n=1, cutoff=0.5)
    if close:
        hint = f"the closest one found is {close[0]!r}: rename it"
    else:
        hint = f"found {', '.join(spare[:6]) or 'no other columns'}"
    others = f" (nor {len(missing) - 1} more of those expected)" if len(missing) > 1 else ""
    raise DataError(f"{source}: no column {missing[0]!r}{others}; {hint}")


def integers(table: pl.DataFrame, columns: Sequence[str], source: str) -> pl.DataFrame:
    """The table with these columns as i64.

    Raises:
        DataError: a value is empty or is not a whole number.
    """
    for name in columns:
        whole = pl.col(name).str.contains(r"^\d{1,18}$").fill_null(False)
        _refuse(table, ~whole, name, source, "a whole number")
    return table.cast(dict.fromkeys(columns, pl.Int64))


def reals(table: pl.DataFrame, columns: Sequence[str], source: str) -> pl.DataFrame:
    """The table with these columns as finite f64.

    Raises:
        DataError: a value is empty, not a number, or not finite.
    """
    for name in columns:
        finite = pl.col(name).cast(pl.Float64, strict=False).is_finite().fill_null(False)
        _refuse(table, ~finite, name, source, "a finite number")
    return table.cast(dict.fromkeys(columns, pl.Float64))


def words(table: pl.DataFrame, column: str, known: Mapping[str, str], source: str) -> pl.DataFrame:
    """The table with a column's words exchanged for those of our vocabulary.

    Raises:
        DataError: a value is empty or is none of the known words.
    """
    unknown = ~pl.col(column).is_in(list(known)).fill_null(False)
    _refuse(table, unknown, column, source, one_of(known))
    return table.with_columns(pl.col(column).replace_strict(known, return_dtype=pl.String))


def one_of(known: Iterable[str]) -> str:
    """How messages list what would have been right."""
    return f"one of {', '.join(repr(word) for word in known)}"


def refuse_repeats(table: pl.DataFrame, columns: Sequence[str], source: str) -> None:
    """Refuse a table in which these columns together name the same thing twice.

    Raises:
        DataError: a repeated row.
    """
    repeated = (
        table.filter(table.select(columns).is_duplicated())
        .select(columns)
        .unique(maintain_order=True)
    )
    if repeated.height:
        named = ", ".join(f"{name} {repeated.item(0, name)}" for name in columns)
        more = f" (and {repeated.height - 1} more)" if repeated.height > 1 else ""
        raise DataError(
            f"{source}: {named}{more} is listed twice, expected once; remove the repeat"
        )


def _refuse(table: pl.DataFrame, bad: pl.Expr, column: str, source: str, expected: str) -> None:
    # The line numbers count non-blank lines from the header, which is line 1.
    found = table.with_row_index("line", offset=2).filter(bad).select("line", column)
    if not found.height:
        return
    line, value = found.row(0)
    more = f" (and {found.height - 1} more)" if found.height > 1 else ""
    got = "is empty" if value is None else f"is {value!r}"
    raise DataError(f"{source}: {column} in line {line} {got}{more}, expected {expected}")


def _no_such_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f"{path.parent}: no such folder, expected one that holds {path.name}"
    names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.8)
    hint = f"the closest file found is {close[0]!r}" if close else "put the table there"
    return f"{path.parent}: no {path.name}; {hint}"
