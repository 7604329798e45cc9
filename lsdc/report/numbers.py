"""Numbers as text: the same format for the same kind of number on the whole page.

>>> loss(0.43776), difference(-0.0312), count(48803), seconds(75.2), seconds(7300)
('0.4378', '−0.0312', '48,803', '1 min 15 s', '2 h 2 min')
"""

import math

MISSING = "–"
_LEAST = 0.001  # per cent
_SPACE = "\u00a0"  # keeps a number and its unit on one line


def loss(value: float | None) -> str:
    """Return a loss or a score with four decimals; a dash for None."""
    return MISSING if value is None else f"{value:.4f}"


def difference(value: float | None) -> str:
    """Return a difference of losses with four decimals and its sign; a dash for None."""
    if value is None:
        return MISSING
    return "0.0000" if abs(value) < 5e-5 else f"{value:+.4f}".replace("-", "−")


def interval(low: float, high: float, *, signed: bool = False) -> str:
    """Return an interval of losses, or of differences if `signed`."""
    text = difference if signed else loss
    return f"{text(low)} to {text(high)}"


def percent(share: float | None) -> str:
    """Return a share in per cent, with one decimal, or two significant digits if it is small.

    A share below 0.001 % is called so.
    """
    if share is None:
        return MISSING
    value = 100 * share
    if 0 < value < _LEAST:
        return f"<{_SPACE}{_LEAST}{_SPACE}%"
    if value == 0 or value >= 0.95:
        return f"{value:.1f}{_SPACE}%"
    digits = 1 - math.floor(math.log10(value))
    return f"{value:.{digits}f}{_SPACE}%"


def count(number: int | None) -> str:
    """Return a count with thousands separated; a dash for None."""
    return MISSING if number is None else f"{number:,}"


def seconds(value: float | None) -> str:
    """Return a duration in its two largest units; a dash for None."""
    if value is None:
        return MISSING
    if value < 60:
        return f"{value:.1f} s"
    if round(value) < 3600:
        minutes, rest = divmod(round(value), 60)
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(round(value / 60), 60)
    return f"{hours} h {minutes} min"


def megabytes(size: int | None) -> str:
    """Return a size in MB; a dash for None."""
    return MISSING if size is None else f"{size / 1e6:,.0f} MB"
