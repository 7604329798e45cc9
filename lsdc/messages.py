"""Helpers for counts and lists of names in messages."""

from collections.abc import Callable, Collection, Sequence
from itertools import islice

# Writes an id as the tables do, which may have leading zeros.
Spell = Callable[[int], str]
MOST_NAMES = 10  # names in one message at most


def few(names: Sequence[str]) -> str:
    """Return the first names, separated by commas, for a message.

    >>> few(list("abcdefghijkl"))
    'a, b, c, d, e, f, g, h, i, j, ...'
    """
    return ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")


def first_few(names: Collection[str], noun: str = "row") -> str:
    """Describe named things for a message: their count and the first three names.

    >>> first_few(["7_a", "7_b", "7_c", "7_d"])
    '4 rows (7_a, 7_b, 7_c and 1 more)'
    """
    listed = ", ".join(map(str, islice(names, 3)))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{counted(len(names), noun)} ({listed}{more})"


def counted(number: int, noun: str) -> str:
    """Return a number and its noun.

    >>> counted(1, "study"), counted(2000, "study"), counted(0, "fold"), counted(2, "series")
    ('1 study', '2,000 studies', '0 folds', '2 series')
    """
    if number != 1 and not noun.endswith("series"):
        noun = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun}"
