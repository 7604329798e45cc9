"""Markdown tables."""

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    r"""Return a table in Markdown; columns of numbers, but for the first, are aligned right.

    >>> print(table(["Fold", "Studies"], [["0", "1,204"], ["a|b", "9"]]))
    | Fold | Studies |
    | --- | ---: |
    | 0 | 1,204 |
    | a\|b | 9 |
    """
    columns = list(zip(*rows, strict=True)) or [()] * len(head)
    rules = [
        "---:" if place and all(_is_number(cell) for cell in column) else "---"
        for place, column in enumerate(columns)
    ]
    lines = [head, rules, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "", 1).isdigit()
