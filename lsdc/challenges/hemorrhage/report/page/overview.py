"""The overview: the score, where it is lost, and which cases to look at first."""

import polars as pl

from lsdc.challenges.hemorrhage.report.figures.chosen import costliest_cases
from lsdc.challenges.hemorrhage.report.figures.sources import RunSource
from lsdc.challenges.hemorrhage.report.figures.where import WhereLost
from lsdc.challenges.hemorrhage.report.page.cards import make_cards
from lsdc.challenges.hemorrhage.report.page.content import Content
from lsdc.challenges.hemorrhage.report.page.groups import label_table, share_map
from lsdc.challenges.hemorrhage.report.page.warnings import warn_of_prior, warnings_of
from lsdc.challenges.hemorrhage.report.words import LABEL_NAMES, PRESENCE
from lsdc.challenges.hemorrhage.vocabulary import Label
from lsdc.messages import counted
from lsdc.report import numbers
from lsdc.report.blocks import Block, CaseList, Figure, Figures, Paragraph, Row, Section

FIRST_CASES = 10


def overview(content: Content) -> Section:
    """Return the first section."""
    first = content.first
    worst = costliest_cases(first, FIRST_CASES)
    whose = "" if content.is_single else f" in {first.name}"
    warnings = [text for source in content.runs for text in warnings_of(source)]
    warnings += [text for each in content.scored for text in warn_of_prior(each)]
    tables: list[list[Block]] = [[label_table(content, 0)]]
    if first.has_places:
        tables.append([share_map(content, 0)])
    blocks: list[Block] = [
        *(Paragraph(text, warns=True) for text in (*warnings, *content.compared.notes)),
        *_figures(content),
        Row([[Paragraph(explain_labels(content.lost[0]))], [Paragraph(_explain_kinds(content))]]),
        Row(tables, wide=520),
        CaseList(
            caption=f"The {len(worst)} cases that cost most{whose}",
            about="A case is one label of one slice. The bar shows how probable the label is; the "
            f"triangle marks whether it is {PRESENCE[0]} or {PRESENCE[1]}.",
            cards=make_cards(content, worst),
            compact=True,
            legend=True,
        ),
    ]
    return Section("overview", "Overview", blocks)


def explain_labels(lost: WhereLost) -> str:
    """Return in words which label costs most, and what slices with and without it cost."""
    label, most = max(lost.labels.items(), key=lambda each: each[1].whole.share)
    name = LABEL_NAMES[label] + (", which counts twice," if label == Label.ANY else "")
    own = f"{numbers.percent(most.whole.share)} of the score"
    if not most.whole.positives:
        return f"{name} costs most: {own}. No slice has it."
    present = sum(each.present.share for each in lost.labels.values())
    return (
        f"{name} costs most: {own}. "
        f"{counted(most.whole.positives, 'slice')} "
        f"({numbers.percent(most.whole.positives / most.whole.images)}) "
        f"{'has' if most.whole.positives == 1 else 'have'} it, with a mean loss of "
        f"{most.present.loss:.3f}; the others have {most.absent.loss:.3f}. Over all labels, labels "
        f"that are present cost {numbers.percent(present)} of the score, and labels that are "
        f"absent {numbers.percent(1 - present)}."
    )


def _explain_kinds(content: Content) -> str:
    costs = [
        f"slices {name} cost {numbers.percent(group.share)} of the score "
        f"({numbers.percent(group.images / content.first.rows.height)} of the slices)"
        for name, group in content.lost[0].kinds.items()
        if group.images
    ]
    return f"By slice: {'; '.join(costs)}. Choose a cell or a row to see its cases."


def _figures(content: Content) -> list[Figures]:
    spans = [each["score"] for each in content.compared.intervals]
    notes = [
        f"95 % by patient: {numbers.interval(span.low, span.high)}" if span else ""
        for span in spans
    ]
    if not content.is_single:
        scores = [
            Figure(each.name, numbers.loss(each.score.score), note, leads=True)
            for each, note in zip(content.scored, notes, strict=True)
        ]
        return [Figures([*scores, _prior(content)])]
    score = numbers.loss(content.first.score.score)
    figures = [Figure("Score, lower is better", score, notes[0], leads=True), _prior(content)]
    for source in content.runs:
        figures += _further(source)
    return [Figures([*figures, *_counts(content)])]


def _prior(content: Content) -> Figure:
    return Figure("Prior", numbers.loss(content.first.prior.score), "a model has to beat it")


def _further(source: RunSource) -> list[Figure]:
    """Return the expected score and that of held-out patients, if there are any."""
    found = []
    if words := source.expected.score_words:
        about = f"{source.expected.of} on the competition's data, an estimate"
        found.append(Figure("Expected", words, about))
    if held_out := source.scores.get("holdout"):
        prior = numbers.loss(held_out["weighted_prior"]["score"])
        about = f"{counted(held_out['studies'], 'study')}; prior {prior}"
        found.append(Figure("Held out", numbers.loss(held_out["score"]), about))
    return found


def _counts(content: Content) -> list[Figure]:
    rows = content.first.rows
    bleeds = int(rows["label_any"].sum())
    about = f"{numbers.percent(bleeds / rows.height)} with haemorrhage"
    found = [Figure("Slices", numbers.count(rows.height), about)]
    if not rows["study_id"].null_count():
        studies = rows.group_by("study_id").agg(pl.col("label_any").max())
        affected = int(studies["label_any"].sum())
        about = f"{numbers.percent(affected / studies.height)} with haemorrhage"
        found.append(Figure("Studies", numbers.count(studies.height), about))
    return found
