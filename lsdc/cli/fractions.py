"""Shares on the command line."""

import typer


def parse_fraction(text: str) -> float:
    """`1%` or `0.01` as a share from 0 to 1.

    Raises:
        typer.BadParameter: it is neither.
    """
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise typer.BadParameter(f"{text!r}: expected a share such as 1% or 0.01")
    return share
