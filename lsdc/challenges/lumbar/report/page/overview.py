"""The overview: the score, where it is lost, and which cases to look at first."""

from lsdc.challenges.lumbar.report.figures.chosen import worst_cases
from lsdc.challenges.lumbar.report.figures.sources import RunSource
from lsdc.challenges.lumbar.report.figures.where import (
    Reason,
    WhereLost,
    costliest,
    narrowed,
)
from lsdc.challenges.lumbar.report.page.cards import make_cards
from lsdc.challenges.lumbar.report.page.content import Content
from lsdc.challenges.lumbar.report.page.heat import label_map, share_map
from lsdc.challenges.lumbar.report.page.words import (
    CONDITION_NAMES,
    GRADES_SHOWN,
    LEVEL_NAMES,
    PART_NAMES,
)
from lsdc.report import numbers
from lsdc.report.blocks import Block, CaseList, Figure, Figures, Paragraph, Row, Section

FIRST_CASES = 10
_CLEARLY = 1.05  # so many times as much is more
_ANY = PART_NAMES["any_severe_spinal"].lower()


def overview(content: Content) -> Section:
    """Return the first section."""
    first, lost = content.first, content.lost[0]
    worst = worst_cases(first, FIRST_CASES)
    whose = "" if content.is_single else f" in {first.name}"
    ten = CaseList(
        caption=f"The {len(worst)} cases that cost most{whose}",
        about="A bar shows the predicted probabilities; the triangle marks the label.",
        cards=make_cards(content, worst),
        compact=True,
        legend=True,
    )
    blocks: list[Block] = [
        *(Paragraph(text, warns=True) for text in _warnings(content)),
        *_figures(content),
        Row([[Paragraph(explain_level(costliest(lost)))], [Paragraph(explain_grades(lost))]]),
        Row([[share_map(content, 0)], [label_map(content)]], wide=430),
        ten,
    ]
    return Section("overview", "Overview", blocks)


def explain_level(reason: Reason) -> str:
    """Return in words why a level costs more than the others: its labels, or the models' losses."""
    level, own, elsewhere = LEVEL_NAMES[reason.level], reason.own, "at the other levels"
    split = (
        f" ({numbers.percent(own.share)} by its labels, {numbers.percent(reason.any_severe)} in "
        f"{_ANY})"
        if reason.any_severe
        else ""
    )
    labels = f"{numbers.percent(reason.narrowed)} of them are moderate or severe"
    labels += f" ({numbers.percent(reason.narrowed_elsewhere)} {elsewhere})"
    loss = f"{own.loss:.2f} ({reason.loss_elsewhere:.2f} {elsewhere})"
    heavier = reason.narrowed > _CLEARLY * reason.narrowed_elsewhere
    worse = own.loss > _CLEARLY * reason.loss_elsewhere
    why = {
        (True, True): f"Its labels weigh more, as {labels}, and its mean loss is higher, {loss}.",
        (True, False): f"Its labels weigh more: {labels}. Its mean loss is {loss}.",
        (False, True): f"Its mean loss is higher, {loss}, not the weight of its labels: {labels}.",
        (False, False): f"Its labels are much as elsewhere: {labels}, and their mean loss is "
        f"{loss}.",
    }[heavier, worse]
    return (
        f"{level} costs most: {numbers.percent(reason.cost)} of the score{split}, from "
        f"{numbers.percent(reason.rows)} of the labelled rows. {why} {_explain_condition(reason)}"
    )


def _explain_condition(reason: Reason) -> str:
    """Return in words what the costliest condition of the level costs, and what is unusual."""
    own, others = reason.at_level, reason.at_others
    told = (
        f"Of its conditions, {CONDITION_NAMES[reason.condition].lower()} costs most: "
        f"{numbers.percent(own.share)} of the score"
    )
    losses = sorted(each.loss for each in others)
    if others and own.loss > losses[-1]:
        told += (
            f", with a mean loss of {own.loss:.2f} ({losses[0]:.2f} to {losses[-1]:.2f} elsewhere)"
        )
    narrow = sorted(map(narrowed, others))
    if others and narrowed(own) > narrow[-1]:
        told += f"; {numbers.percent(narrowed(own))} of its labels are moderate or severe"
        told += f" ({numbers.percent(narrow[0])} to {numbers.percent(narrow[-1])} elsewhere)"
    return f"{told}."


def explain_grades(lost: WhereLost) -> str:
    """Return in words what each grade costs."""
    costs = [
        f"{GRADES_SHOWN[grade]} {numbers.percent(group.share)}"
        for grade, group in lost.grades.items()
    ]
    rest = (
        f" The rest, {numbers.percent(lost.any_severe.share)}, is the part {_ANY}, which counts "
        "studies: it has a row of its own in the map. A study's loss there is charged to one case: "
        "its severe canal with the largest predicted probability of severe, or its canal with the "
        "largest one if none is severe."
        if lost.any_severe
        else ""
    )
    return f"Of the score, labels cost: {', '.join(costs)}.{rest} Choose a cell to see its cases."


def _warnings(content: Content) -> list[str]:
    found = list(content.compared.notes)
    for source in content.runs:
        if source.scores.get("partial"):
            scored = ", ".join(map(str, source.scored.folds))
            found.append(f"{source.name} is partial: only the studies of fold {scored} are scored.")
        if source.scores.get("selected"):
            found.append(
                f"{source.name} chose its epochs on the scored folds, so its score is too good."
            )
    return found


def _figures(content: Content) -> list[Figures]:
    spans = [each["score"] for each in content.compared.intervals]
    if not content.is_single:
        return [
            Figures(
                [
                    Figure(
                        each.name,
                        numbers.loss(each.score.score),
                        f"95 %: {numbers.interval(span.low, span.high)}" if span else "",
                        leads=True,
                    )
                    for each, span in zip(content.scored, spans, strict=True)
                ]
                + [_prior(content)]
            )
        ]
    first, span = content.first, spans[0]
    figures = [
        Figure(
            "Score, lower is better",
            numbers.loss(first.score.score),
            f"95 %: {numbers.interval(span.low, span.high)}" if span else "",
            leads=True,
        ),
        _prior(content),
    ]
    for source in content.runs:
        figures += _further(source)
    studies = first.rows["study_id"].n_unique()
    rows = Figure("Studies", numbers.count(studies), f"{first.rows.height:,} labelled rows")
    return [Figures([*figures, rows])]


def _prior(content: Content) -> Figure:
    return Figure(
        "Weighted prior", numbers.loss(content.first.prior.score), "a model has to beat it"
    )


def _further(source: RunSource) -> list[Figure]:
    """Return the reported or expected score and that of held-out studies, if there are any."""
    found = []
    reported = source.reported
    if reported.oof is not None:
        found.append(
            Figure("Reported", numbers.loss(reported.oof), "by the lab log, on its own folds")
        )
    elif reported.folds:
        fold, value = min(reported.folds.items())
        about = f"by the lab log, its fold {fold}"
        found.append(Figure("Reported", numbers.loss(value), about))
    elif words := source.expected.score_words:
        about = f"{source.expected.of} on the competition's data, an estimate"
        found.append(Figure("Expected", words, about))
    if held_out := source.scores.get("holdout"):
        prior = numbers.loss(held_out["weighted_prior"]["score"])
        about = f"{held_out['studies']:,} studies; prior {prior}"
        found.append(Figure("Held out", numbers.loss(held_out["score"]), about))
    return found
