"""What `lsdc explain` prints: the explanation of a study as tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from lsdc.challenges.lumbar.explain.study import ExplainedCase, StudyExplanation
from lsdc.challenges.lumbar.report.crop_grid import slice_distance
from lsdc.challenges.lumbar.report.distances import short_name
from lsdc.challenges.lumbar.report.drawing import level_name
from lsdc.challenges.lumbar.vocabulary import LEVELS
from lsdc.report.fitted_tables import Column, FittedTable

_GRADES = ("mild", "mod", "sev")


@dataclass(frozen=True)
class PrintedExplanation:
    """The explanation of a study by a run, and its picture; with `long`, a row per cell."""

    found: StudyExplanation
    run: str
    picture: Path
    long: bool

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**self.found.as_dict(), "picture": str(self.picture)}

    def show(self, console: Console) -> None:
        """Print the predictions, and the slices and places that they rest on."""
        found = self.found
        study = found.study
        console.print(
            f"Study {study.study_id} ({study.split}), run {self.run}: {found.predicted_by}"
        )
        if self.long:
            console.print(levels_table(found))
        else:
            for line in levels_lines(found):
                console.print(line, highlight=False)
        if found.extra_vertebra:
            console.print(
                "Level names are doubtful: an extra or missing vertebra, or no sacrum in view.",
                style="yellow",
            )
        if self.long:
            console.print(cases_table(found))
        else:
            console.print(grid_table(found))
            console.print(grid_legend(found), style="dim", highlight=False)
        console.print(str(self.picture), style="dim", soft_wrap=True)


def levels_lines(study: StudyExplanation) -> list[str]:
    """Return what the levels were found by, one line for all levels found in the same way."""
    ways: dict[str, list[str]] = {}
    for level in study.levels:
        ways.setdefault(level.found_by, []).append(level_name(level.level))
    lines = [
        f"{'all levels' if len(names) == len(LEVELS) else ', '.join(names)}: {way}"
        for way, names in ways.items()
    ]
    if study.disputed:
        names = ", ".join(map(level_name, study.disputed))
        lines.append(f"{names}: sagittal and axial images over 10 mm apart")
    return lines


def grid_table(study: StudyExplanation) -> FittedTable:
    """Return a row per level and a column per condition, to fit 80 columns and 24 lines.

    A cell has the probabilities of the grades in %, and below them the part of the slice that
    counts most, the weight of this part in %, and the slice's number. The likeliest grade has the
    standard deviation over the folds, the label an asterisk. Below a level is the confidence in its
    point.
    """
    confidence = {level.level: _figure(level.confidence) for level in study.levels}
    levels = list(dict.fromkeys(case.level for case in study.cases))
    conditions = list(dict.fromkeys(case.condition for case in study.cases))
    cases = {(case.level, case.condition): case for case in study.cases}
    names = [f"{level_name(level)}\n{confidence[level]}" for level in levels]
    columns = [Column("level", names, style="bold")]
    for condition in conditions:
        cells = [_cell(cases[level, condition]) for level in levels]
        columns.append(Column(short_name(condition), cells, is_text=True))
    return FittedTable(columns)


def grid_legend(study: StudyExplanation) -> str:
    """Return what the cells of `grid_table` mean."""
    marks = ["± over the folds"] * (len(study.folds) > 1)
    marks += ["* label"] * any(case.label is not None for case in study.cases)
    what = "attention" if study.has_attention else "effect"
    return (
        f"Cells: {', '.join(['mild, moderate, severe in %', *marks])}; then the slices with most "
        f"{what} (left, middle, right or axial), their {what} in %, and the image with most. Below "
        "a level: confidence in its point. More: --long"
    )


def levels_table(study: StudyExplanation) -> FittedTable:
    """Return a line per level: what its point was found by, and the confidence in it."""
    doubts = ["views disagree" if each.level in study.disputed else "" for each in study.levels]
    columns = [
        Column("level", [level_name(level.level) for level in study.levels], style="bold"),
        Column("found by", [level.found_by for level in study.levels], is_text=True),
        Column("confidence", [_figure(level.confidence) for level in study.levels]),
    ]
    if any(doubts):
        columns.append(Column("doubt", doubts, style="yellow", is_text=True))
    return FittedTable(columns)


def cases_table(study: StudyExplanation) -> FittedTable:
    """Return a line per condition of each level: probabilities and weights of slices, in %.

    With several folds, also the standard deviation over the folds of the likeliest grade's
    probability, and this probability by fold. Of the weights, the part of the slice that counts
    most is shown, its weight, and the slice with its distance from the level point in mm. A model
    that tells the annotated slice has the same of the slice that it holds most likely.
    """
    cases = study.cases
    is_new = [number == 0 or cases[number - 1].level != c.level for number, c in enumerate(cases)]
    names = [level_name(c.level) if new else "" for new, c in zip(is_new, cases, strict=True)]
    columns = [
        Column("level", names, style="bold", is_text=True),
        Column("condition", [short_name(case.condition) for case in cases], is_text=True),
        *(
            Column(name, [_percent(case.mean[grade]) for case in cases])
            for grade, name in enumerate(_GRADES)
        ),
    ]
    if any(case.label is not None for case in cases):
        labels = ["-" if case.label is None else _GRADES[case.label] for case in cases]
        columns.append(Column("label", labels, is_text=True))
    if len(study.folds) > 1:
        columns += _by_fold(study.folds, cases)
    of = "attention" if study.has_attention else "effect"
    columns += [
        Column(of, [_part(case) for case in cases], is_text=True),
        Column("%", [_percent(case.weight_of_part(case.most)) for case in cases]),
        Column("most at image", [_slice(case, case.most) for case in cases], style="dim", rank=2),
    ]
    told = [case.told for case in cases if case.told is not None]
    if told:
        likeliest = [int(each.argmax()) for each in told]
        columns += [
            Column("%", [_percent(each.max()) for each in told]),
            Column("annotated at image", list(map(_slice, cases, likeliest)), style="dim", rank=2),
        ]
    return FittedTable(columns, title="Probabilities and weights in %")


def _cell(case: ExplainedCase) -> str:
    shares = [_percent(share) for share in case.mean]
    if case.spread is not None:
        likeliest = int(case.mean.argmax())
        shares[likeliest] += f"±{_percent(case.spread[likeliest])}"
    if case.label is not None:
        shares[case.label] += "*"
    slot, weight = case.slots[case.most], _percent(case.weight_of_part(case.most))
    image = "none" if slot.crop is None else f"#{slot.instance_number}"
    return f"{' '.join(shares)}\n{_short_part(case)} {weight} {image}"


def _by_fold(folds: Sequence[int], cases: Sequence[ExplainedCase]) -> list[Column]:
    likeliest = [int(case.mean.argmax()) for case in cases]
    spreads = [
        "" if case.spread is None else _percent(case.spread[grade])
        for case, grade in zip(cases, likeliest, strict=True)
    ]
    by_fold = {
        fold: [
            _percent(case.by_fold[fold][grade])
            for case, grade in zip(cases, likeliest, strict=True)
        ]
        for fold in folds
    }
    return [
        Column("±", spreads),
        *(Column(f"fold {fold}", cells, style="dim", rank=1) for fold, cells in by_fold.items()),
    ]


def _figure(confidence: float | None) -> str:
    return "-" if confidence is None else f"{confidence:.2f}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"


def _part(case: ExplainedCase) -> str:
    slot = case.slots[case.most]
    return "axial" if slot.is_axial else slot.place.name


def _short_part(case: ExplainedCase) -> str:
    """Return the part in four letters at most: "T1 L", "T2 M", "ax"."""
    if case.slots[case.most].is_axial:
        return "ax"
    series, part = _part(case).split()
    return f"{series} {part[0].upper()}"


def _slice(case: ExplainedCase, number: int) -> str:
    slot = case.slots[number]
    if slot.crop is None:  # the sample has no slice at all
        return "none"
    return f"{slot.instance_number}, {slice_distance(slot.place, slot.offset_mm)}"
