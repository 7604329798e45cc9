"""The sections of a report."""

import numpy as np
import polars as pl

from lsdc.challenges.ink.config.experiment import Experiment
from lsdc.challenges.ink.report.fold_picture import draw_folds
from lsdc.challenges.ink.report.pictures import draw_region
from lsdc.challenges.ink.report.sources import RunSource
from lsdc.messages import counted
from lsdc.report import numbers
from lsdc.report.blocks import (
    Block,
    Cell,
    DataTable,
    Figure,
    Figures,
    Paragraph,
    Picture,
    Section,
)
from lsdc.report.drawing import encode_webp
from lsdc.report.runs.record import (
    cost_blocks,
    differing_table,
    facts_table,
    fingerprints_table,
    settings_table,
)
from lsdc.report.runs.training import folds_table, learning_curves

_PICTURE = (
    "The mask beside the label: green is right, blue is missed, orange is false. Each region is "
    "predicted by the model of the fold that holds it out. Masks of test fragments are yellow."
)


def warnings_of(source: RunSource) -> list[str]:
    """Return a sentence for each mark of a run's scores."""
    scores, found = source.scores, []
    if scores.get("partial"):
        folds = ", ".join(map(str, source.oof["fold"].unique().sort()))
        found.append(f"{source.name} is partial: only the regions of fold {folds} are scored.")
    if scores.get("selected"):
        found.append(
            f"{source.name} chose its epochs on the scored folds, so its score is too good."
        )
    if scores.get("leaky"):
        found.append(
            f"{source.name} is leaky: what it was trained on comes nearer than a tile to what it "
            "is scored on. The score is too good."
        )
    if scores["score"] <= scores["weighted_prior"]["score"]:
        found.append(f"{source.name} is no better than a mask of everything inside the outline.")
    return found


def overview(sources: list[RunSource]) -> Section:
    """Return the score, and where it is lost."""
    first = sources[0]
    warnings = [text for source in sources for text in warnings_of(source)]
    blocks: list[Block] = [
        *(Paragraph(text, warns=True) for text in warnings),
        Figures(
            [
                *(
                    Figure(
                        "F0.5, higher is better" if len(sources) == 1 else each.name,
                        numbers.loss(each.scores["score"]),
                        "mean over fragments",
                        leads=True,
                    )
                    for each in sources
                ),
                Figure(
                    "Whole mask",
                    numbers.loss(first.scores["weighted_prior"]["score"]),
                    "everything inside the outline is ink",
                ),
                Figure("Regions", numbers.count(first.oof.height)),
            ]
        ),
        *(_fragments(each) for each in sources),
        *(_regions(each) for each in sources),
    ]
    return Section("overview", "Overview", blocks)


def _fragments(source: RunSource) -> DataTable:
    folds = source.scores["folds"]
    names = [name for name in source.scores["weighted_prior"] if name != "score"]
    rows = [
        [
            f"Fragment {name}" if name != "score" else "Mean",
            numbers.loss(source.scores[name]),
            *(numbers.loss(fold[name]) for fold in folds.values()),
            numbers.loss(source.scores["weighted_prior"][name]),
        ]
        for name in (*names, "score")
    ]
    head = ["", "All folds", *(f"Fold {fold}" for fold in folds), "Whole mask"]
    caption = f"F0.5 by fragment and fold: {source.name}"
    return DataTable(caption, head, rows, strong=frozenset([len(names)]))


def _regions(source: RunSource) -> DataTable:
    rows: list[list[Cell | str]] = []
    for row in source.oof.iter_rows(named=True):
        right, false, missed = (
            row[name] for name in ("true_positive", "false_positive", "false_negative")
        )
        rows.append(
            [
                row["region"],
                str(row["fold"]),
                Cell(numbers.loss(row["f_beta"]), bar=row["f_beta"]),
                numbers.percent(right / (right + false)) if right + false else numbers.MISSING,
                numbers.percent(right / (right + missed)) if right + missed else numbers.MISSING,
                row["rule"],
            ]
        )
    head = ["Region", "Fold", "F0.5", "Precision", "Recall", "Rule, fitted on the other folds"]
    return DataTable(f"Regions: {source.name}", head, rows, words=frozenset([0, 5]))


def masks(sources: list[RunSource]) -> Section:
    """Return what each way to make masks of the same maps scores."""
    blocks: list[Block] = [
        Paragraph(
            "The same maps, cut by other rules. Each rule is fitted on the other folds and scored "
            "on its own; beside it is the score on the folds that it was fitted on, which is too "
            "good."
        )
    ]
    for source in sources:
        own = float(source.variants["score"][0])
        rows = [
            [
                row["variant"],
                numbers.loss(row["score"]),
                numbers.difference(row["score"] - own),
                numbers.loss(row["fitted"]),
                row["rule"],
            ]
            for row in source.variants.iter_rows(named=True)
        ]
        head = ["", "F0.5", "Change", "Fitted on itself", "Rule, fitted on all folds"]
        caption = f"Ways to make masks: {source.name}"
        blocks.append(DataTable(caption, head, rows, frozenset([0, 4]), frozenset([0])))
    return Section("masks", "Masks", blocks)


def pictures(source: RunSource, most: int) -> Section:
    """Return pictures of the regions by fold, the worst of each fragment's first."""
    blocks: list[Block] = [Paragraph(_PICTURE)]
    ordered = source.oof.sort("fold", "f_beta")
    for row in ordered.head(most).iter_rows(named=True):
        regions = source.regions.filter(pl.col("region") == row["region"])
        if (drawn := draw_region(source, regions)) is not None:
            caption = (
                f"Fold {row['fold']}: region {row['region']}, F0.5 {numbers.loss(row['f_beta'])}"
            )
            blocks.append(Picture(caption, drawn.image, drawn.size))
    for row in source.regions.filter(split="test").iter_rows(named=True):
        if source.map_of(row["region"], None) is None or len(blocks) > most:
            continue
        regions = source.regions.filter(pl.col("region") == row["region"])
        if (drawn := draw_region(source, regions)) is not None:
            blocks.append(Picture(f"Test fragment {row['region']}", drawn.image, drawn.size))
    return Section("pictures", "Pictures", blocks)


def reported(sources: list[RunSource]) -> Section | None:
    """Return the figures of the notes or the winning code, beside those measured here."""
    rows = []
    for source in sources:
        for each in source.reported.results:
            if each.oof is not None:
                folds = [fold["score"] for fold in source.scores["folds"].values()]
                mean = sum(folds) / len(folds)
                rows.append(
                    [
                        source.name,
                        f"{each.oof:.4f}",
                        numbers.loss(source.scores["score"]),
                        numbers.loss(mean),
                    ]
                )
    if not rows:
        return None
    about = (
        "Reported is a mean over five folds, each cut by the quantile that is best for itself. "
        "Measured here are the mean over fragments and the mean over folds, with rules fitted on "
        "the other folds."
    )
    head = ["", "Reported", "Measured, over fragments", "Measured, over folds"]
    return Section(
        "reported",
        "Reported figures",
        [Paragraph(about), DataTable("Reported, and measured here", head, rows)],
    )


def folds(source: RunSource) -> list[Picture]:
    """Return the picture of the folds; none if a fragment's prepared arrays are gone."""
    placed = source.regions.drop_nulls("fold")
    volumes = {name: source.volume(name) for name in placed["fragment"].unique(maintain_order=True)}
    pictures = {
        name: (np.asarray(volume.mask), np.asarray(volume.labels))
        for name, volume in volumes.items()
        if volume is not None
    }
    if len(pictures) < len(volumes):
        return []
    experiment = Experiment.model_validate(source.experiment)
    sheet = draw_folds(
        placed.drop("fold"), placed.select("region", "fold"), pictures, experiment.gap_px
    )
    caption = "Folds: darker is what neither side of a border is trained on"
    return [Picture(caption, encode_webp(sheet), sheet.size)]


def training(sources: list[RunSource], *, images: bool) -> Section:
    """Return learning curves and the trained folds, with a picture of these."""
    blocks: list[Block] = [*folds(sources[0])] if images else []
    for source in sources:
        learnt = [fold for fold in source.folds if fold.history.height]
        of = "" if len(sources) == 1 else f", {source.name}"
        if learnt:
            score = "1 - F0.5 of the fold's tiles, at their best threshold"
            blocks.append(learning_curves(learnt, of=of, unit="loss", score=score))
        blocks.append(folds_table(f"Trained folds{of}", source.folds))
    return Section("training", "Training", blocks)


def record(sources: list[RunSource]) -> Section:
    """Return what was run; for several runs, also the settings that differ."""
    blocks: list[Block] = [differing_table(sources)] if len(sources) > 1 else []
    for source in sources:
        of = "" if len(sources) == 1 else f": {source.name}"
        blocks += [
            facts_table(f"What was run{of}", source, source.folds),
            *cost_blocks(f"Time and memory of the stages{of}", source.costs),
            settings_table(f"settings{of}", source.settings),
            fingerprints_table(f"Fingerprints{of}", source, source.trained),
        ]
    return Section("run", "Run", blocks)


def about(source: RunSource) -> str:
    """Return the line below the title."""
    fragments = counted(source.oof["study_id"].n_unique(), "fragment")
    folds = counted(source.oof["fold"].n_unique(), "fold")
    parts = [fragments, counted(source.oof.height, "region"), folds]
    return " · ".join([*parts, *([str(source.record)] if source.record else [])])
