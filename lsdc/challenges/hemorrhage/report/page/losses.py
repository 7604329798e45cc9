"""The losses: with intervals, by fold, and for several runs their differences."""

from lsdc.challenges.hemorrhage.report.figures.compared import ORDER
from lsdc.challenges.hemorrhage.report.figures.scored import Scored, prior_of
from lsdc.challenges.hemorrhage.report.figures.sources import RunSource
from lsdc.challenges.hemorrhage.report.page.content import Content
from lsdc.challenges.hemorrhage.report.words import PART_NAMES
from lsdc.challenges.hemorrhage.scoring.metric import PART_WEIGHTS, PARTS
from lsdc.report import numbers
from lsdc.report.blocks import Block, Chart, DataTable, Paragraph, Row, Section
from lsdc.report.charts import TONES, Estimate, interval_chart

_ROWS = (*PARTS, "score")
_ABOUT = (
    "The score is the mean of the six log losses; any counts twice, so a seventh each of the other "
    "labels and two sevenths of it. The prior predicts each label's share for every slice."
)


def losses(content: Content) -> Section:
    """Return the section with all losses."""
    if content.is_single:
        table = _by_fold(content, 0)
        # Without folds or intervals, a chart would show no more than the table.
        has_chart = content.compared.intervals[0] and content.first.folds
        both = Row([[_chart(content)], [table]], wide=480) if has_chart else table
        return Section("losses", "Losses", [Paragraph(_ABOUT), both])
    tables = [_beside(content), *_differences(content)]
    by_fold = [_by_fold(content, run) for run, each in enumerate(content.scored) if each.folds]
    columns: list[list[Block]] = [[_chart(content)]] if content.compared.intervals[0] else []
    blocks: list[Block] = [Paragraph(_ABOUT), Row([*columns, tables], wide=480), *by_fold]
    return Section("losses", "Losses", blocks)


def _chart(content: Content) -> Chart:
    rows = []
    for part in ORDER:
        for run, each in enumerate(content.scored):
            span = content.compared.intervals[run][part]
            rows.append(
                Estimate(
                    name=content.titled(PART_NAMES[part], each.name),
                    value=each.score.as_dict()[part],
                    low=span.low,
                    high=span.high,
                    dots=_dots(each, part) if content.is_single else (),
                    reference=each.prior.as_dict()[part],
                    tone=run % TONES,
                )
            )
    folds = ", circles: single folds" if content.is_single and content.first.folds else ""
    title = f"Losses with 95 % intervals by patient; tick: prior{folds}"
    return Chart(title, interval_chart(rows, title=title, x_name="loss"), wide=True)


def _dots(scored: Scored, part: str) -> list[tuple[str, float]]:
    return [
        (f"fold {fold}", scored.score_of(scored.rows.filter(fold=fold)).as_dict()[part])
        for fold in scored.folds
    ]


def _by_fold(content: Content, run: int) -> DataTable:
    """Return the losses of each fold, of all folds with the interval, and of the prior."""
    own, source = content.scored[run], content.sources[run]
    columns = {
        f"Fold {fold}": own.score_of(own.rows.filter(fold=fold)).as_dict() for fold in own.folds
    }
    whole, by_fold, of_all = ("All", " by fold", " of all") if columns else ("Loss", "", "")
    columns |= {whole: own.score.as_dict(), "Prior": own.prior.as_dict()}
    if isinstance(source, RunSource) and (held_out := source.scores.get("holdout")):
        columns |= {"Held out": held_out, "Its prior": held_out["weighted_prior"]}
    spans = content.compared.intervals[run]
    rows = [
        [
            PART_NAMES[part],
            *(numbers.loss(column[part]) for column in columns.values()),
            numbers.interval(spans[part].low, spans[part].high) if spans else numbers.MISSING,
        ]
        for part in _ROWS
    ]
    if own.folds:
        priors = [prior_of(own.rows.filter(fold=fold)).score for fold in own.folds]
        cells = [numbers.loss(value) for value in priors]
        rows.append(
            ["Score of the fold's own prior", *cells, *[""] * (len(columns) - len(cells) + 1)]
        )
    return DataTable(
        content.titled(f"Log loss{by_fold}, lower is better", own.name),
        ["", *columns, f"95 % interval{of_all}"],
        rows,
        strong=frozenset([len(PARTS)]),
    )


def _beside(content: Content) -> DataTable:
    rows = [
        [
            PART_NAMES[part],
            *(numbers.loss(each.score.as_dict()[part]) for each in content.scored),
            numbers.loss(content.first.prior.as_dict()[part]),
        ]
        for part in _ROWS
    ]
    return DataTable(
        "Log loss on the images that all runs score, lower is better",
        ["", *(each.name for each in content.scored), "Prior"],
        rows,
        strong=frozenset([len(PARTS)]),
    )


def _differences(content: Content) -> list[Block]:
    first = content.first.name
    weights = dict(zip(PARTS, PART_WEIGHTS / PART_WEIGHTS.sum(), strict=True)) | {"score": 1.0}
    blocks: list[Block] = []
    for other, found in zip(content.scored[1:], content.compared.differences, strict=True):
        score = found["score"]
        value = score.value or 0.0
        better = "lower (better)" if value < 0 else "higher (worse)"
        text = f"The score of {other.name} is {abs(value):.4f} {better} than that of {first}"
        if score.interval:
            span = numbers.interval(score.interval.low, score.interval.high, signed=True)
            sure = (
                "The interval does not contain zero."
                if score.sure
                else "The interval contains zero: the difference may be chance."
            )
            text += f"; 95 % interval {span}. {sure}"
        else:
            text += ", without an interval."
        rows = [
            [
                PART_NAMES[part],
                numbers.difference(found[part].value),
                numbers.interval(own.low, own.high, signed=True)
                if (own := found[part].interval)
                else numbers.MISSING,
                numbers.difference((found[part].value or 0.0) * float(weights[part])),
            ]
            for part in _ROWS
        ]
        blocks += [
            Paragraph(text),
            DataTable(
                f"{other.name} minus {first}, paired by patient",
                ["", "Difference", "95 % interval", "Part of the score's"],
                rows,
                strong=frozenset([len(PARTS)]),
            ),
        ]
    return blocks
