"""What `lsdc predict` prints: what was predicted, what is doubtful, what was left out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console

from lsdc.challenges.hemorrhage.predict.models import TrainedModels
from lsdc.challenges.hemorrhage.predict.studies import HeadPrediction
from lsdc.challenges.hemorrhage.report.words import LABEL_NAMES, SHORT_NAMES
from lsdc.challenges.hemorrhage.vocabulary import Label
from lsdc.messages import counted
from lsdc.predict.printed import show_doubts, show_files, show_head, show_left_out, show_results
from lsdc.report.fitted_tables import Column, FittedTable

_MOST_STUDIES = 8


@dataclass(frozen=True)
class PrintedPrediction:
    """What was predicted by the models of a run, and where the results are."""

    prediction: HeadPrediction
    models: TrainedModels
    out: Path

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return summarize(self.prediction, self.models, self.out)

    def show(self, console: Console) -> None:
        """Print what was predicted, what is doubtful, what was left out, and the files."""
        show_prediction(self.prediction, self.models, console)


def summarize(prediction: HeadPrediction, models: TrainedModels, out: Path) -> dict[str, Any]:
    """Return a summary of a prediction as JSON values."""
    studies = prediction.studies
    counts = dict(prediction.images["source"].value_counts().iter_rows())
    return {
        "run": models.name,
        "folds": list(models.folds),
        "out": str(out),
        "files": [str(path) for path in prediction.files],
        "studies": len(studies),
        "images": {source: counts.get(source, 0) for source in ("images", "neighbours", "prior")},
        "done_before": prediction.kept,
        "by_prior": [study.spelled for study in prediction.from_prior],
        "doubts": {study.spelled: study.doubts for study in studies if study.doubts},
        "left_out": {
            study.spelled: left
            for study in studies
            if (left := {each.series_id: each.left_out for each in study.series if each.left_out})
        },
        "quarantined": len(prediction.quarantine),
        "other_files": int(prediction.others["files"].sum()),
        "rows_of_unknown_images": prediction.unknown_rows,
        "seconds": round(prediction.seconds, 1),
    }


def show_prediction(prediction: HeadPrediction, models: TrainedModels, console: Console) -> None:
    """Print what was predicted, what is doubtful, what was left out, and the files."""
    studies = prediction.studies
    show_head(prediction, models.name, counted(len(models.folds), "fold"), console)
    if len(studies) == 1:
        console.print(_labels_table(prediction.rows))
    elif studies:
        console.print(_studies_table(prediction.rows))
    show_doubts(sorted(studies, key=lambda each: not each.why_prior), console)
    left = [
        f"{study.spelled}/{series.series_id}: {series.left_out}"
        for study in studies
        for series in study.series
        if series.left_out
    ]
    show_left_out(left, console)
    show_files(prediction, "the sample submission: no such image in the folder", console)
    show_results(prediction, console)


def _labels_table(rows: pl.DataFrame) -> FittedTable:
    """Return the highest probability of each label in a study, and the slice that has it."""
    places = rows["slice"].to_list()
    columns = [
        Column("label", [LABEL_NAMES[label] for label in rows["label"]], is_text=True),
        Column("highest probability", [f"{value:.3f}" for value in rows["probability"]]),
        Column("slice", ["-" if place is None else str(place) for place in places]),
        Column("image", [image or "-" for image in rows["image_id"]], is_text=True, rank=1),
    ]
    return FittedTable(columns, title=f"Study {rows['study_id'][0]}")


def _studies_table(rows: pl.DataFrame) -> FittedTable:
    """Return the studies with the highest probability of any haemorrhage, and of each subtype."""
    wide = rows.pivot("label", index="study_id", values="probability", maintain_order=True)
    first = wide.sort(Label.ANY, descending=True, maintain_order=True).head(_MOST_STUDIES)
    places = dict(rows.filter(label=str(Label.ANY)).select("study_id", "slice").iter_rows())
    shown = [Label.ANY, *(label for label in Label if label is not Label.ANY)]
    columns = [Column("study", first["study_id"].to_list(), is_text=True)]
    columns += [
        Column(SHORT_NAMES[label], [f"{value:.2f}" for value in first[label]]) for label in shown
    ]
    slices = [places[study] for study in first["study_id"]]
    columns.append(Column("slice", ["-" if each is None else str(each) for each in slices]))
    more = len(wide) - len(first)
    which = f"The {len(first)} of {len(wide)} studies" if more else "The studies"
    return FittedTable(
        columns, title=f"{which} by their highest probability of any haemorrhage, and its slice"
    )
