"""Declarations of tables: the columns of each, their meaning, and which values are allowed."""

import inspect
from collections.abc import Callable, Iterable

import dataframely as dy
import polars as pl

from lsdc.errors import StageError
from lsdc.messages import counted

# What was expected where a rule is broken, by dataframely's name of the rule.
_EXPECTED = {
    "nullability": "a value",
    "nan": "a number",
    "inf": "a finite number",
    "min": "at least {column.min}",
    "max": "at most {column.max}",
}


class Table(dy.Schema):
    """A table's columns; the docstring of a subclass says what one row is.

    `pl.Schema(TABLE)` is the schema for building a frame, `TABLE.create_empty()` an empty frame.
    """

    @classmethod
    def about(cls) -> str:
        """Return what one row is: the first paragraph of the class's docstring."""
        first, *_ = inspect.cleandoc(cls.__doc__ or "").split("\n\n")
        return first.replace("\n", " ")

    @classmethod
    def descriptions(cls) -> dict[str, str]:
        """Return the description of each column."""
        return {name: column.description or "" for name, column in cls.columns().items()}

    @classmethod
    def check(cls, frame: pl.DataFrame) -> None:
        """Refuse a frame that is not such a table.

        Raises:
            StageError: its columns or dtypes differ, or a value is not allowed.

        >>> class Points(Table):
        ...     x_px = dy.Float64(min=0)
        >>> Points.check(pl.DataFrame({"x_px": [-1.0]}))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        lsdc.errors.StageError: table Points: column x_px is -1.0 ...
        """
        expected = pl.Schema(cls)
        if frame.columns != expected.names():
            raise cls._fault(_compare_columns(frame.columns, expected.names()))
        for name, dtype in frame.schema.items():
            if dtype != expected[name]:
                raise cls._fault(f"column {name} is {dtype}, expected {expected[name]}")
        if cls.is_valid(frame):
            return
        failure = cls.filter(frame).failure
        (rule, count), *_ = failure.counts().items()
        first = failure.details().filter(pl.col(rule) == "invalid").row(0, named=True)
        name, _, kind = rule.rpartition("|")
        if name:
            kind = kind.removeprefix("check__")
            wanted = _EXPECTED.get(kind, kind).format(column=cls.columns()[name])
            found = f"column {name} is {first[name]!r}"
        else:
            key = cls.primary_key()
            wanted = "one row per key"
            found = ", ".join(f"{name} {first[name]}" for name in key) + " is repeated"
        more = f" (in {count} of {counted(len(frame), 'row')})"
        raise cls._fault(f"{found}{more}, expected {wanted}")

    @classmethod
    def _fault(cls, what: str) -> StageError:
        return StageError(f"table {cls.__name__}: {what}; this is a bug in lsdc, please report it")


def one_of(words: Iterable[str]) -> dict[str, Callable[[pl.Expr], pl.Expr]]:
    """Return a check, for a column's `check`, that each value is one of the words, or null."""
    known = [str(word) for word in words]
    return {f"one of {', '.join(known)}": lambda column: column.is_in(known)}


def real(description: str, *, nullable: bool = False) -> dy.Float64:
    """Return a column of floats that may be NaN or infinite: unusual headers give such values."""
    return dy.Float64(nullable=nullable, allow_nan=True, allow_inf=True, description=description)


def _compare_columns(found: list[str], expected: list[str]) -> str:
    missing = [name for name in expected if name not in found]
    spare = [name for name in found if name not in expected]
    if missing:
        return f"no column {', '.join(missing)}, found {', '.join(found)}"
    if spare:
        return f"found column {', '.join(spare)}, expected only {', '.join(expected)}"
    return f"found columns in the order {', '.join(found)}, expected {', '.join(expected)}"
