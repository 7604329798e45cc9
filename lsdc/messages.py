"""Helpers for counts and lists of names in messages."""

from collections.abc import Callable, Sequence

# Writes an id as the tables do, which may have leading zeros.
Spell = Callable[[int], str]
MOST_NAMES = 10  # names in one message at most


def few(names: Sequence[str]) -> str:
    """Return the first names, separated by commas, for a message.

    >>> few(list("abcdefghijkl"))
    'a, b, c, d, e, f, g, h, i, j, ...'
    """
    return ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")


def counted(number: int, noun: str) -> str:
    """Return a number and its noun.

    >>> counted(1, "study"), counted(2000, "study"), counted(0, "fold"), counted(2, "series")
    ('1 study', '2,000 studies', '0 folds', '2 series')
    """
    if number != 1 and not noun.endswith("series"):
        noun = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun}"
