"""Kinds of files, as a table for a terminal: why they are not used, and how many."""

import polars as pl
from rich.console import Console

from lsdc.report.fitted_tables import Column, FittedTable

_MOST_REASONS = 8


def show_unused_files(quarantined: pl.DataFrame, others: pl.DataFrame, console: Console) -> None:
    """Print the kinds of files that an index does not use.

    Args:
        quarantined: count, reason and path of the first file of each kind that cannot be used.
        others: the same of files that are no images.
        console: where to print.
    """
    show_file_kinds("quarantined", "reason", quarantined, "quarantine", console)
    show_file_kinds("other files", "kind", others, "other_files", console)


def show_file_kinds(title: str, why: str, kinds: pl.DataFrame, name: str, console: Console) -> None:
    """Print kinds of files: the count of each, a description, and the first file.

    Args:
        title: the heading of the counts.
        why: the heading of the descriptions.
        kinds: count, description and path of the first file of each kind.
        name: the catalog's table with all of the files.
        console: where to print.
    """
    if kinds.is_empty():
        return
    rows = [
        (f"{count:,}", words, path.rpartition("/")[2])
        for count, words, path in kinds.head(_MOST_REASONS).iter_rows()
    ]
    if len(kinds) > _MOST_REASONS:
        rows.append(("...", f"all are in the catalog's table {name}", ""))
    counts, reasons, examples = zip(*rows, strict=True)
    console.print(
        FittedTable(
            [
                Column(title, counts),
                Column(why, reasons, is_text=True),
                Column("example", examples, is_text=True, rank=1),
            ]
        )
    )
