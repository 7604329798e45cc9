"""Naming: how messages list what they are about."""

from collections.abc import Callable, Sequence

# How an id is written: the tables may begin one with zeros.
Spell = Callable[[int], str]
MOST_NAMES = 10  # that a message gives


def few(names: Sequence[str]) -> str:
    """The first names, as messages give them."""
    return ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")
