"""Blocks about a run: time and memory, settings, versions, fingerprints, unusable files."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from lsdc.messages import counted
from lsdc.report import numbers
from lsdc.report.blocks import Block, Cell, DataTable, Paragraph, Section
from lsdc.report.runs.content import Content, R
from lsdc.report.runs.records import RunRecords
from lsdc.report.runs.trained import TrainedFold
from lsdc.store.costs import Cost

_MOST_FILES = 200
_WORDS = frozenset(range(8))


def record_section(
    content: Content[R, Any],
    of_run: Callable[[R], Sequence[Block]],
    ids: Mapping[str, str],
) -> Section:
    """Return the section about the runs; for several, also the settings that differ.

    Args:
        content: the content of the report.
        of_run: returns what a challenge tells of a run, between its costs and its unusable files.
        ids: the headings of the columns that name an unusable file, by the columns.
    """
    blocks: list[Block] = []
    if len(content.runs) > 1:
        blocks.append(differing_table(content.runs))
    for run in content.runs:

        def titled(text: str, name: str = run.name) -> str:
            return content.titled(text, name)

        bad = titled("Files that could not be used (quarantine)")
        blocks += [
            facts_table(titled("What was run"), run, run.folds),
            *cost_blocks(titled("Time and memory of the stages"), run.costs),
            *of_run(run),
            *quarantine_blocks(bad, run.quarantine, ids),
            settings_table(titled("settings"), run.settings),
            fingerprints_table(titled("Fingerprints"), run, run.trained),
        ]
    return Section("run", "Run", blocks)


def facts_table(caption: str, run: RunRecords, folds: Sequence[TrainedFold]) -> DataTable:
    """Return what was run, when, where and with which versions of libraries."""
    known, facts = run.record, [fold.facts for fold in folds]
    rows = [["Experiment", known.experiment if known else run.name]]
    if known:
        rows += [["Data", known.data], ["Begun", f"{known.begun:%Y-%m-%d %H:%M} UTC"]]
        if known.changed:
            changed = (f"{name} = {text_of(value)}" for name, value in known.changed.items())
            rows.append(["Changed settings", ", ".join(changed)])
    for name, key in (("Seed", "seed"), ("Device", "device"), ("CPU", "cpu")):
        if values := {str(each[key]) for each in facts if key in each}:
            rows.append([name, ", ".join(sorted(values))])
    if versions := versions_of(folds):
        rows.append(["Versions", ", ".join(versions)])
    return DataTable(caption, ["", "Value"], rows, _WORDS)


def versions_of(folds: Sequence[TrainedFold]) -> list[str]:
    """Return the libraries that trained the folds, with their versions, in alphabetical order."""
    found = (fold.facts.get("versions", {}).items() for fold in folds)
    return sorted({f"{name} {version}" for each in found for name, version in each})


def cost_blocks(caption: str, costs: Sequence[Cost]) -> list[Block]:
    """Return the table of the stages' time and memory, or a sentence without any."""
    if not costs:
        text = (
            f"{caption}: not recorded, as the stages ran in another home or with a version of "
            "lsdc that did not record them."
        )
        return [Paragraph(text)]
    longest = max(cost.seconds for cost in costs)
    rows: list[list[Cell | str]] = [
        [
            cost.name,
            Cell(numbers.seconds(cost.seconds), bar=cost.seconds / longest),
            numbers.megabytes(cost.peak_bytes),
            f"{cost.ended:%Y-%m-%d %H:%M}",
        ]
        for cost in costs
    ]
    about = (
        "Memory is the peak of all processes of the run together, including those of stages that "
        "ran at the same time; memory that processes share counts for each. A stage that an "
        "earlier run did, and this one took over, ended before this run began. Folds that other "
        "hosts trained are not listed."
    )
    return [DataTable(caption, ["", "Time", "Peak memory", "Ended, UTC"], rows), Paragraph(about)]


def quarantine_blocks(caption: str, files: pl.DataFrame, ids: Mapping[str, str]) -> list[Block]:
    """Return how many files could not be used and why, and a list of them.

    Args:
        caption: the caption.
        files: stage, reason and the columns of `ids`: a row per file.
        ids: the headings of the columns that name a file, by the columns.
    """
    if files.is_empty():
        return [Paragraph(f"{caption}: none.")]
    by_reason = files.group_by("stage", "reason").len().sort("len", descending=True)
    rows = [
        [*(text_of(row[name]) for name in ids), row["stage"], row["reason"]]
        for row in files.head(_MOST_FILES).iter_rows(named=True)
    ]
    first = f"the first {_MOST_FILES} of " if files.height > _MOST_FILES else ""
    head = [*ids.values(), "Stage", "Reason"]
    return [
        DataTable(
            f"{caption}: {counted(files.height, 'file')}",
            ["Stage", "Reason", "Files"],
            [[stage, reason, numbers.count(n)] for stage, reason, n in by_reason.iter_rows()],
            frozenset([0, 1]),
        ),
        DataTable(f"List {first}{counted(files.height, 'file')}", head, rows, _WORDS, folded=True),
    ]


def settings_table(caption: str, settings: Mapping[str, Any]) -> DataTable:
    """Return all settings; `caption` follows their number."""
    rows = [[name, text_of(value)] for name, value in sorted(settings.items())]
    return DataTable(f"All {len(rows)} {caption}", ["Setting", "Value"], rows, _WORDS, folded=True)


def differing_table(runs: Sequence[RunRecords]) -> DataTable:
    """Return the settings in which runs differ."""
    settings = [run.settings for run in runs]
    names = sorted(set().union(*settings))
    rows = [
        [name, *(text_of(each.get(name, "not set")) for each in settings)]
        for name in names
        if len({text_of(each.get(name, "not set")) for each in settings}) > 1
    ]
    caption = "Settings that differ" if rows else "Settings that differ: none"
    return DataTable(caption, ["Setting", *(run.name for run in runs)], rows, _WORDS)


def fingerprints_table(
    caption: str, run: RunRecords, trained: Sequence[tuple[str, TrainedFold]]
) -> DataTable:
    """Return the digests of the training tables, of the stages' results and of what was trained.

    Args:
        caption: the caption.
        run: the run.
        trained: each training with its name, such as "Fold 0".
    """
    rows = []
    if run.record and run.record.tables:
        rows.append(["Training tables", run.record.tables])
    rows += [[f"Result {path.parent.name}", path.name] for path in run.results]
    for name, fold in trained:
        rows.append([f"{name}, training", str(fold.facts.get("identity"))])
        for file, digest in fold.facts.get("digests", {}).items():
            rows.append([f"{name}, {file}", digest])
    return DataTable(caption, ["", "SHA-256"], rows, _WORDS, folded=True)


def text_of(value: Any) -> str:
    """Return a setting's value, or a dash for None."""
    if value is None:
        return numbers.MISSING
    return value if isinstance(value, str) else json.dumps(value)
