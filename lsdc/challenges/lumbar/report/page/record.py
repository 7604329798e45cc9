"""The run: time and memory, settings, versions, fingerprints, corrections, quarantine."""

import json
from typing import Any

from lsdc.challenges.lumbar.quality.corrections import describe_corrections
from lsdc.challenges.lumbar.report.figures.sources import RunSource
from lsdc.challenges.lumbar.report.page.content import Content
from lsdc.challenges.lumbar.report.page.words import CONDITION_NAMES, LEVEL_NAMES
from lsdc.messages import counted
from lsdc.report import numbers
from lsdc.report.blocks import Block, Cell, DataTable, Paragraph, Section

_MOST_FILES = 200
_WORDS = frozenset(range(8))


def record(content: Content) -> Section:
    """Return the section about the run; for several runs, also the settings that differ."""
    blocks: list[Block] = []
    if len(content.runs) > 1:
        blocks.append(_differing(content.runs))
    for source in content.runs:
        blocks += _of_run(content, source)
    return Section("run", "Run", blocks)


def _of_run(content: Content, source: RunSource) -> list[Block]:
    return [
        _facts(content, source),
        *_costs(content, source),
        *([] if source.members else _corrections(content, source)),
        *_quarantine(content, source),
        _settings(content, source),
        _fingerprints(content, source),
    ]


def _facts(content: Content, source: RunSource) -> DataTable:
    known, facts = source.record, [fold.facts for fold in source.folds]
    rows = [["Experiment", known.experiment if known else source.name]]
    if known:
        rows += [["Data", known.data], ["Begun", f"{known.begun:%Y-%m-%d %H:%M} UTC"]]
        if known.changed:
            changed = (f"{name} = {_text(value)}" for name, value in known.changed.items())
            rows.append(["Changed settings", ", ".join(changed)])
    for name, key in (("Seed", "seed"), ("Device", "device"), ("CPU", "cpu")):
        if values := {str(each[key]) for each in facts if key in each}:
            rows.append([name, ", ".join(sorted(values))])
    versions = {
        f"{name} {version}" for each in facts for name, version in each.get("versions", {}).items()
    }
    if versions:
        rows.append(["Versions", ", ".join(sorted(versions))])
    return DataTable(content.titled("What was run", source.name), ["", "Value"], rows, _WORDS)


def _costs(content: Content, source: RunSource) -> list[Block]:
    costs = source.costs
    caption = content.titled("Time and memory of the stages", source.name)
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


def _corrections(content: Content, source: RunSource) -> list[Block]:
    made = source.corrections
    caption = content.titled("Corrections of annotated points", source.name)
    if made.is_empty():
        return [Paragraph(f"{caption}: none.")]
    rows = [
        [
            str(row["rule"]).replace("_", " "),
            str(row["study_id"]),
            str(row["series_id"]),
            str(row["instance_number"]),
            f"{CONDITION_NAMES[row['condition']]} {LEVEL_NAMES[row['level']]}",
            "dropped"
            if row["became_condition"] is None
            else f"{CONDITION_NAMES[row['became_condition']]} {LEVEL_NAMES[row['became_level']]}",
        ]
        for row in made.iter_rows(named=True)
    ]
    head = ["Rule", "Study", "Series", "Image", "Point", "Became"]
    return [
        Paragraph(f"{caption}: {describe_corrections(made.select('rule', 'study_id'))}."),
        DataTable(f"All {counted(len(rows), 'correction')}", head, rows, _WORDS, folded=True),
    ]


def _quarantine(content: Content, source: RunSource) -> list[Block]:
    files = source.quarantine
    caption = content.titled("Files that could not be used (quarantine)", source.name)
    if files.is_empty():
        return [Paragraph(f"{caption}: none.")]
    by_reason = files.group_by("stage", "reason").len().sort("len", descending=True)
    rows = [
        [
            *(_text(row[name]) for name in ("study_id", "series_id", "instance_number")),
            row["stage"],
            row["reason"],
        ]
        for row in files.head(_MOST_FILES).iter_rows(named=True)
    ]
    first = f"the first {_MOST_FILES} of " if files.height > _MOST_FILES else ""
    head = ["Study", "Series", "Image", "Stage", "Reason"]
    return [
        DataTable(
            f"{caption}: {counted(files.height, 'file')}",
            ["Stage", "Reason", "Files"],
            [[stage, reason, numbers.count(n)] for stage, reason, n in by_reason.iter_rows()],
            frozenset([0, 1]),
        ),
        DataTable(f"List {first}{counted(files.height, 'file')}", head, rows, _WORDS, folded=True),
    ]


def _settings(content: Content, source: RunSource) -> DataTable:
    rows = [[name, _text(value)] for name, value in sorted(source.settings.items())]
    caption = content.titled(f"All {len(rows)} settings", source.name)
    return DataTable(caption, ["Setting", "Value"], rows, _WORDS, folded=True)


def _differing(runs: list[RunSource]) -> DataTable:
    settings = [source.settings for source in runs]
    names = sorted(set().union(*settings))
    rows = [
        [name, *(_text(each.get(name, "not set")) for each in settings)]
        for name in names
        if len({_text(each.get(name, "not set")) for each in settings}) > 1
    ]
    caption = "Settings that differ" if rows else "Settings that differ: none"
    return DataTable(caption, ["Setting", *(run.name for run in runs)], rows, _WORDS)


def _fingerprints(content: Content, source: RunSource) -> DataTable:
    rows = []
    if source.record and source.record.tables:
        rows.append(["Training tables", source.record.tables])
    rows += [[f"Result {path.parent.name}", path.name] for path in source.results]
    for fold in source.folds:
        rows.append([f"Fold {fold.fold}, training", str(fold.facts.get("identity"))])
        for name, digest in fold.facts.get("digests", {}).items():
            rows.append([f"Fold {fold.fold}, {name}", digest])
    caption = content.titled("Fingerprints", source.name)
    return DataTable(caption, ["", "SHA-256"], rows, _WORDS, folded=True)


def _text(value: Any) -> str:
    if value is None:
        return numbers.MISSING
    return value if isinstance(value, str) else json.dumps(value)
