"""What `lsdc predict` prints: what was predicted, what is doubtful, what was left out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.predict.models import Models
from lsdc.challenges.lumbar.predict.outcome import StudyOutcome
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS, Condition, Side
from lsdc.messages import counted
from lsdc.predict.printed import show_doubts, show_files, show_head, show_left_out, show_results
from lsdc.predict.results import Prediction
from lsdc.report.fitted_tables import Column, FittedTable


@dataclass(frozen=True)
class PrintedPrediction:
    """What was predicted by the models of a run, and where the results are."""

    prediction: Prediction[StudyOutcome]
    models: Models
    out: Path

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return summarize(self.prediction, self.models, self.out)

    def show(self, console: Console) -> None:
        """Print what was predicted, what is doubtful, what was left out, and the files."""
        show_prediction(self.prediction, self.models, console)


def summarize(prediction: Prediction[StudyOutcome], models: Models, out: Path) -> dict[str, Any]:
    """Return a summary of a prediction as JSON values."""
    studies = prediction.studies
    return {
        "run": models.name,
        "folds": list(models.folds),
        "out": str(out),
        "files": [str(path) for path in prediction.files],
        "studies": len(studies),
        "done_before": prediction.kept,
        "by_prior": [study.spelled for study in prediction.from_prior],
        "extra_or_missing_vertebra": [
            study.spelled for study in studies if study.names and study.names.extra_or_missing
        ],
        "unsure_names": [
            study.spelled
            for study in studies
            if study.names and study.names.extra_or_missing is None
        ],
        "doubts": {study.spelled: study.doubts for study in studies if study.doubts},
        "left_out": {
            study.spelled: left
            for study in studies
            if (left := {str(s.series_id): s.left_out for s in study.series if s.left_out})
        },
        "quarantined": len(prediction.quarantine),
        "other_files": int(prediction.others["files"].sum()),
        "rows_of_unknown_studies": prediction.unknown_rows,
        "seconds": round(prediction.seconds, 1),
    }


def show_prediction(prediction: Prediction[StudyOutcome], models: Models, console: Console) -> None:
    """Print what was predicted, what is doubtful, what was left out, and the files."""
    studies = prediction.studies
    show_head(prediction, models.name, _made_by(models), console)
    if len(studies) == 1 and not prediction.from_prior:
        console.print(_grades_table(studies[0], prediction.rows))
    # Those that are predicted by the prior, and those whose names may be wrong, come first.
    by_doubt = sorted(studies, key=lambda each: (not each.why_prior, not each.has_doubtful_names))
    show_doubts(by_doubt, console)
    left = [
        f"{study.spelled}/{series.series_id}: {series.left_out}"
        for study in studies
        for series in study.series
        if series.left_out
    ]
    show_left_out(left, console)
    show_files(prediction, "sample_submission.csv: no such study in the folder", console)
    show_results(prediction, console)


def _made_by(models: Models) -> str:
    folds = counted(len(models.folds), "fold")
    return folds if len(models.each) == 1 else f"{folds} of {counted(len(models.each), 'member')}"


def _grades_table(study: StudyOutcome, rows: pl.DataFrame) -> FittedTable:
    """Return the likeliest grade of each level and condition, with its probability."""
    found = {
        (row["level"], row["condition"]): max((row[name], name) for name in PROBABILITIES)
        for row in rows.iter_rows(named=True)
    }
    levels = [str(level) for level in LEVELS]
    sure = [study.names.levels[level].confidence if study.names else 0.0 for level in levels]
    columns = [
        Column("level", [level.upper().replace("_", "/") for level in levels], is_text=True),
        Column("name", [f"{share:.2f}" for share in sure]),
    ]
    for condition in CONDITIONS:
        cells = [found[level, str(condition)] for level in levels]
        shown = [
            f"{name.partition('_')[0]} {100 * share:.0f}"
            + (" ?" if study.is_doubtful(condition, level) else "")
            for level, (share, name) in zip(levels, cells, strict=True)
        ]
        columns.append(Column(_short_name(condition), shown))
    return FittedTable(
        columns, title="Likeliest grade with its probability in per cent (?: doubtful)"
    )


def _short_name(condition: Condition) -> str:
    names = {"spinal": "canal", "foraminal": "foramen", "subarticular": "recess"}
    side = {Side.LEFT: " L", Side.RIGHT: " R", None: ""}[condition.side]
    return f"{names[condition.pooled]}{side}"
