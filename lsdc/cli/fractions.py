"""Parse fractions given on the command line."""

import typer


def parse_fraction(given: str | float) -> float:
    """Parse `1%` or `0.01` into a fraction from 0 to 1; defaults are fractions already.

    Raises:
        typer.BadParameter: the text is not a fraction.
    """
    text = str(given)
    try:
        fraction = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        fraction = -1.0
    if not 0 <= fraction <= 1:
        raise typer.BadParameter(f"{text!r}: expected a fraction such as 1% or 0.01")
    return fraction
