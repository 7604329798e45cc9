"""How the folds were trained: learning curves, both models, patients and labels by fold."""

from lsdc.challenges.hemorrhage.report.figures.beside import leaky_patients, two_models
from lsdc.challenges.hemorrhage.report.figures.sources import RunSource
from lsdc.challenges.hemorrhage.report.page.content import Content
from lsdc.challenges.hemorrhage.report.words import LABEL_NAMES
from lsdc.challenges.hemorrhage.scoring.metric import PARTS
from lsdc.messages import counted
from lsdc.report import numbers
from lsdc.report.blocks import Block, DataTable, Paragraph, Section
from lsdc.report.runs.trained import TrainedFold
from lsdc.report.runs.training import folds_table, learning_curves


def training(content: Content) -> Section:
    """Return the section with learning curves and folds."""
    blocks: list[Block] = []
    for source in content.runs:
        for kind, folds in (("slice models", source.folds), ("sequence models", source.sequences)):
            blocks += _trained(content, source, kind, folds)
        blocks += _two_models(content, source)
        blocks += _dealt(content, source)
    return Section("training", "Training and folds", blocks)


def _trained(
    content: Content, source: RunSource, kind: str, folds: list[TrainedFold]
) -> list[Block]:
    if not folds:
        return []
    named = f"{kind}" if content.is_single else f"{kind} of {source.name}"
    table = folds_table(f"Trained {named}", folds)
    learnt = [fold for fold in folds if fold.history.height]  # regressions have no epochs
    return [*([learning_curves(learnt, of=f", {named}")] if learnt else []), table]


def _two_models(content: Content, source: RunSource) -> list[Block]:
    found = two_models(source)
    if not found:
        return []
    rows = [
        [
            f"Fold {fold}",
            numbers.count(each.images),
            numbers.loss(each.slice_score),
            numbers.loss(each.sequence_score),
            numbers.difference(each.sequence_score - each.slice_score),
        ]
        for fold, each in found.items()
    ]
    images = sum(each.images for each in found.values())
    of_all = [
        sum(each.images * score for each, score in zip(found.values(), scores, strict=True))
        / images
        for scores in (
            [each.slice_score for each in found.values()],
            [each.sequence_score for each in found.values()],
        )
    ]
    change = numbers.difference(of_all[1] - of_all[0])
    rows.append(["All", numbers.count(images), *map(numbers.loss, of_all), change])
    head = ["", "Slices", "Slice model", "With the sequence model", "Change"]
    caption = content.titled(
        "Score of the slice model alone, and with the sequence model", source.name
    )
    return [DataTable(caption, head, rows, strong=frozenset([len(found)]))]


def _dealt(content: Content, source: RunSource) -> list[Block]:
    """Return the patients, studies, images and labels of each fold: how evenly they are dealt."""
    rows = []
    for fold in source.scored.folds:
        own = source.scored.rows.filter(fold=fold)
        rows.append(
            [
                f"Fold {fold}",
                *(numbers.count(own[name].n_unique()) for name in ("patient", "study_id")),
                numbers.count(own.height),
                *(
                    f"{numbers.count(ones := int(own[f'label_{part}'].sum()))} "
                    f"({numbers.percent(ones / own.height)})"
                    for part in PARTS
                ),
            ]
        )
    head = ["", "Patients", "Studies", "Slices", *(LABEL_NAMES[part] for part in PARTS)]
    caption = content.titled("Folds, and slices with each label", source.name)
    blocks: list[Block] = [DataTable(caption, head, rows)]
    if torn := leaky_patients(source.scored):
        text = (
            f"{counted(torn, 'patient')} of {source.name} {'is' if torn == 1 else 'are'} in more "
            "than one fold, so the score is too good."
        )
        blocks.append(Paragraph(text, warns=True))
    return blocks
