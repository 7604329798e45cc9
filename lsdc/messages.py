"""Helpers for lists of names in messages."""

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
