"""Read CSV tables strictly: every fault is one line that names the file, the row and the remedy."""

import csv
import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from lsdc.errors import DataError
from lsdc.plain_text import read_text
from lsdc.tables.plain_csv import read_plain

LINE = "line"
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars", " ": "spaces"}
_ROUNDED = re.compile(r"[0-9]+([.,][0-9]+)?[eE][+]?[0-9]+")
_EXCEL_LINE = re.compile(r'"?sep=.?"?', re.IGNORECASE)
_MOST_DIGITS = 18  # fits into 64 bits
csv.field_size_limit(2**31 - 1)  # a cell may hold a whole mask; the module's own limit is 128 KiB


def read_csv(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> pl.DataFrame:
    """Read the named columns of a CSV file, in that order, as strings (null where empty).

    Optional columns follow, those that the file has. Others and blank lines are dropped. The last
    column, `line`, is the line of the file in which a row begins.

    Raises:
        DataError: the file is missing or not a CSV table, a column is missing, or a row has more or
            fewer cells than the header.
    """
    if not path.is_file():
        raise DataError(_no_such_file(path))
    if (plain := read_plain(path, columns, optional)) is not None:
        return _with_lines(plain, range(2, plain.height + 2))
    try:
        text = read_text(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    _refuse_separator(text, columns, path)
    (_, header), *rows = _rows(text, path) or [(1, [])]
    if not header:
        raise DataError(f"{path}: the file is empty, expected a header and rows")
    require_columns(pl.DataFrame(schema=dict.fromkeys(header)), columns, str(path))
    columns = [*columns, *(name for name in optional if name in header)]
    _refuse_twins(header, columns, path)
    _refuse_lengths(rows, len(header), path)
    places = [header.index(name) for name in columns]
    cells = {
        name: [row[place].strip() or None for _, row in rows]
        for name, place in zip(columns, places, strict=True)
    }
    table = pl.DataFrame(cells, schema=dict.fromkeys(columns, pl.String))
    return _with_lines(table, [line for line, _ in rows])


def _with_lines(table: pl.DataFrame, lines: Sequence[int]) -> pl.DataFrame:
    """Add the column `line`, and drop blank rows."""
    blank = pl.all_horizontal(pl.col(table.columns).is_null())
    return table.with_columns(pl.Series(LINE, lines, dtype=pl.Int64)).filter(~blank)


def _rows(text: str, path: Path) -> list[tuple[int, list[str]]]:
    """Return the rows that are not blank, each with the line in which it begins."""
    reader = csv.reader(_lines(text), strict=True)
    rows, line = [], 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append((line, row))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}: unbalanced quotes in the row that begins in line {line}, expected an opening "
            "and a closing quote around a cell, or none; correct the row"
        ) from error
    return rows


def _lines(text: str) -> Iterator[str]:
    """Yield the lines one by one, with their ends: a list of millions would fill the memory."""
    start = 0
    while end := text.find("\n", start) + 1:
        yield text[start:end]
        start = end
    yield text[start:]


def _refuse_separator(text: str, columns: Sequence[str], path: Path) -> None:
    """Refuse a table whose cells are not separated by commas.

    Checked before quotes, which have a meaning only next to the right separator.
    """
    header = text.lstrip().split("\n", 1)[0]
    if _EXCEL_LINE.fullmatch(header.strip(" ,;\t")):
        raise DataError(
            f"{path}: the first line is {header.strip()!r}, which only Excel understands, expected "
            "the header; save the table as CSV with commas, without this line"
        )
    found = _columns_of(header, ",", columns)
    for sign, name in _SEPARATORS.items():
        if _columns_of(header, sign, columns) > found:
            raise DataError(
                f"{path}: the columns are separated by {name}, expected commas; save the table as "
                "CSV with commas, and with decimal points in numbers"
            )


def _columns_of(header: str, sign: str, columns: Sequence[str]) -> int:
    """Count the columns that a header line names, if `sign` separates them."""
    return len({*columns} & {cell.strip().strip("\"'").strip() for cell in header.split(sign)})


def _refuse_twins(header: Sequence[str], columns: Sequence[str], path: Path) -> None:
    twins = [name for name in columns if header.count(name) > 1]
    if twins:
        raise DataError(f"{path}: column {twins[0]!r} occurs twice, expected once; remove one")


def _refuse_lengths(rows: Sequence[tuple[int, list[str]]], width: int, path: Path) -> None:
    """Refuse rows that are truncated or too long: their cells may be in the wrong columns."""
    odd = [(line, len(row)) for line, row in rows if len(row) != width]
    if not odd:
        return
    line, cells = odd[0]
    more = f" (and {len(odd) - 1} more rows of another length)" if len(odd) > 1 else ""
    if cells < width:
        raise DataError(
            f"{path}: line {line} has {cells} of {width} cells{more}: the row is truncated; copy "
            "the table again, or complete the row"
        )
    raise DataError(
        f"{path}: line {line} has {cells} cells{more}, expected {width} as in the header; put "
        "quotes around cells that contain a comma, or remove the extra cells"
    )


def require_columns(table: pl.DataFrame, columns: Sequence[str], source: str) -> None:
    """Refuse a table without one of the columns, naming the most similar one found.

    Raises:
        DataError: a column is missing.

    >>> found = pl.DataFrame(schema=["study", "grade"])
    >>> require_columns(found, ["study_id", "grade"], "train.csv")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    lsdc.errors.DataError: train.csv: no column 'study_id'; ... 'study'...
    """
    missing = [name for name in columns if name not in table.columns]
    if not missing:
        return
    spare = [name for name in table.columns if name not in columns]
    close = difflib.get_close_matches(missing[0], spare, n=1, cutoff=0.5)
    if close:
        hint = f"the closest one found is {close[0]!r}; rename it"
    else:
        hint = f"found {', '.join(spare[:6]) or 'no other columns'}"
    others = f" (and {len(missing) - 1} more are missing)" if len(missing) > 1 else ""
    raise DataError(f"{source}: no column {missing[0]!r}{others}; {hint}")


def integers(table: pl.DataFrame, columns: Sequence[str], source: str) -> pl.DataFrame:
    """Return the table with these columns as i64.

    Raises:
        DataError: a value is empty, is not a whole number, or has more than 18 digits.
    """
    for name in columns:
        refuse_cells(table, ~is_whole(name), name, source, _whole_number)
    return table.cast(dict.fromkeys(columns, pl.Int64))


def is_whole(column: str) -> pl.Expr:
    """Return whether a column's text is an integer of at most 18 digits, without leading zeros."""
    return pl.col(column).str.contains(rf"^0*[0-9]{{1,{_MOST_DIGITS}}}$").fill_null(False)


def refuse_whole_number(found: str | None) -> str:
    """Return what is wrong with an id, as text to follow its column's name."""
    return f"{_got(found)}, expected {_whole_number(found)}"


def _whole_number(found: str | None) -> str:
    """Return what was expected in place of this value."""
    if found is not None and found.isdecimal():
        return f"at most {_MOST_DIGITS} digits, found {len(found)}"
    if found is not None and _ROUNDED.fullmatch(found):
        return "a whole number (a spreadsheet program rounded the id); use the original table"
    return "a whole number"


def reals(table: pl.DataFrame, columns: Sequence[str], source: str) -> pl.DataFrame:
    """Return the table with these columns as finite f64.

    Raises:
        DataError: a value is empty, not a number, or not finite.
    """
    for name in columns:
        finite = pl.col(name).cast(pl.Float64, strict=False).is_finite().fill_null(False)
        refuse_cells(table, ~finite, name, source, "a finite number")
    return table.cast(dict.fromkeys(columns, pl.Float64))


def words(table: pl.DataFrame, column: str, known: Mapping[str, str], source: str) -> pl.DataFrame:
    """Return the table with a column's words mapped to those of our vocabulary.

    Raises:
        DataError: a value is empty or is none of the known words.

    >>> table = pl.DataFrame({"line": [2], "grade": ["Normal/Mild"]})
    >>> words(table, "grade", {"Normal/Mild": "normal_mild"}, "train.csv").rows()
    [(2, 'normal_mild')]
    """
    unknown = ~pl.col(column).is_in(list(known)).fill_null(False)
    refuse_cells(table, unknown, column, source, one_of(known))
    return table.with_columns(pl.col(column).replace_strict(known, return_dtype=pl.String))


def one_of(known: Iterable[str]) -> str:
    """Return the allowed values as text for messages."""
    return f"one of {', '.join(repr(word) for word in known)}"


def refuse_repeats(table: pl.DataFrame, columns: Sequence[str], source: str) -> None:
    """Refuse a table of `read_csv` in which two rows are equal in all of these columns.

    Raises:
        DataError: a repeated row.
    """
    repeated = table.filter(table.select(columns).is_duplicated())
    if repeated.is_empty():
        return
    things = repeated.select(columns).unique(maintain_order=True)
    named = ", ".join(f"{name} {things.item(0, name)}" for name in columns)
    first = repeated.join(things.head(1), on=columns, how="semi", maintain_order="left")
    lines = " and ".join(map(str, first[LINE].head(2)))
    more = f" (and {things.height - 1} more)" if things.height > 1 else ""
    raise DataError(
        f"{source}: {named}{more} is listed twice, in lines {lines}, expected once; remove one of "
        "the rows"
    )


def refuse_cells(
    table: pl.DataFrame,
    bad: pl.Expr,
    column: str,
    source: str,
    expected: str | Callable[[str | None], str],
) -> None:
    """Refuse a table of `read_csv` with bad cells; what was expected may depend on the first.

    Raises:
        DataError: `bad` is true for a row: its line and its cell in `column` are named.
    """
    found = table.filter(bad).select(LINE, column)
    if not found.height:
        return
    line, value = found.row(0)
    more = f" (and {found.height - 1} more)" if found.height > 1 else ""
    right = expected if isinstance(expected, str) else expected(value)
    raise DataError(f"{source}: {column} in line {line} {_got(value)}{more}, expected {right}")


def _got(value: str | None) -> str:
    return "is empty" if value is None else f"is {value!r}"


def _no_such_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f"{path.parent}: no such folder, expected one that holds {path.name}"
    names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.8)
    hint = f"the closest file found is {close[0]!r}" if close else "put the table there"
    return f"{path.parent}: no {path.name}; {hint}"
