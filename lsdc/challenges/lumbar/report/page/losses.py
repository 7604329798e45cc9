"""The four losses: with intervals, by fold, and for several runs their differences."""

from lsdc.challenges.lumbar.report.figures.sources import RunSource
from lsdc.challenges.lumbar.report.page.content import Content
from lsdc.challenges.lumbar.report.page.words import PART_NAMES
from lsdc.challenges.lumbar.scoring.metric import ROWS
from lsdc.challenges.lumbar.scoring.scored import Scored
from lsdc.report import numbers
from lsdc.report.blocks import Block, Chart, DataTable, Paragraph, Row, Section
from lsdc.report.charts import TONES, Estimate, interval_chart

_ORDER = tuple(PART_NAMES)  # the score first, as in the intervals


def losses(content: Content) -> Section:
    """Return the section with all losses."""
    if content.is_single:
        table = _by_fold(content, 0)
        # Without folds, a chart would show no more than the table.
        both = Row([[_chart(content)], [table]], wide=480) if content.first.folds else table
        return Section("losses", "Losses", [both])
    tables = [_beside(content), *_differences(content)]
    by_fold = [_by_fold(content, run) for run, each in enumerate(content.scored) if each.folds]
    return Section("losses", "Losses", [Row([[_chart(content)], tables], wide=480), *by_fold])


def _chart(content: Content) -> Chart:
    rows = []
    for place, part in enumerate(_ORDER):
        for run, each in enumerate(content.scored):
            value, span = each.score.as_dict()[part], content.compared.intervals[run][place]
            if value is not None and span is not None:
                estimate = Estimate(
                    name=content.titled(PART_NAMES[part], each.name),
                    value=value,
                    low=span.low,
                    high=span.high,
                    dots=_dots(each, part) if content.is_single else (),
                    reference=each.prior.as_dict()[part],
                    tone=run % TONES,
                )
                rows.append(estimate)
    folds = ", circles: single folds" if content.is_single and content.first.folds else ""
    title = f"Losses with 95 % intervals; tick: weighted prior{folds}"
    return Chart(title, interval_chart(rows, title=title, x_name="loss"), wide=True)


def _dots(scored: Scored, part: str) -> list[tuple[str, float]]:
    found = []
    for fold in scored.folds:
        value = scored.score_of(scored.rows.filter(fold=fold)).as_dict()[part]
        if value is not None:
            found.append((f"fold {fold}", value))
    return found


def _by_fold(content: Content, run: int) -> DataTable:
    """Return the losses of each fold, of all folds with the interval, and of the prior."""
    first, source = content.scored[run], content.sources[run]
    columns = {
        f"Fold {fold}": first.score_of(first.rows.filter(fold=fold)).as_dict()
        for fold in first.folds
    }
    whole, by_fold, of_all = ("All", " by fold", " of all") if columns else ("Loss", "", "")
    columns |= {whole: first.score.as_dict(), "Prior": first.prior.as_dict()}
    if isinstance(source, RunSource) and (held_out := source.scores.get("holdout")):
        columns |= {"Held out": held_out, "Its prior": held_out["weighted_prior"]}
    spans = dict(zip(_ORDER, content.compared.intervals[run], strict=True))
    rows = [
        [
            PART_NAMES[part],
            *(numbers.loss(column[part]) for column in columns.values()),
            "" if (span := spans[part]) is None else numbers.interval(span.low, span.high),
        ]
        for part in ROWS
    ]
    reported = _reported(source, list(columns)) if isinstance(source, RunSource) else []
    return DataTable(
        content.titled(f"Log loss{by_fold}, lower is better", first.name),
        ["", *columns, f"95 % interval{of_all}"],
        [*rows, *reported],
        strong=frozenset([len(ROWS) - 1]),
    )


def _reported(source: RunSource, heads: list[str]) -> list[list[str]]:
    """Return the scores that the lab log reports, on its own folds; none without any."""
    reported = source.reported
    values = {f"Fold {fold}": value for fold, value in reported.folds.items()}
    if reported.oof is not None:
        values["All"] = reported.oof
    if not values:
        return []
    return [
        [
            "Score in the lab log",
            *(numbers.loss(values.get(head)) if head in values else "" for head in heads),
            "",
        ]
    ]


def _beside(content: Content) -> DataTable:
    rows = [
        [
            PART_NAMES[part],
            *(numbers.loss(each.score.as_dict()[part]) for each in content.scored),
            numbers.loss(content.first.prior.as_dict()[part]),
        ]
        for part in ROWS
    ]
    names = [each.name for each in content.scored]
    return DataTable(
        "Log loss on the rows that all runs score, lower is better",
        ["", *names, "Prior"],
        rows,
        strong=frozenset([len(ROWS) - 1]),
    )


def _differences(content: Content) -> list[Block]:
    first = content.first.name
    blocks: list[Block] = []
    for other, found in zip(content.scored[1:], content.compared.differences, strict=True):
        by_part = dict(zip(_ORDER, found, strict=True))
        score = by_part["score"]
        if score.interval is None or score.value is None:
            continue
        better = "lower (better)" if score.value < 0 else "higher (worse)"
        sure = (
            "The interval does not contain zero."
            if score.sure
            else "The interval contains zero: the difference may be chance."
        )
        span = numbers.interval(score.interval.low, score.interval.high, signed=True)
        blocks.append(
            Paragraph(
                f"The score of {other.name} is {abs(score.value):.4f} {better} than that of "
                f"{first}; 95 % interval {span}. {sure}"
            )
        )
        rows = [
            [
                PART_NAMES[part],
                numbers.difference(by_part[part].value),
                ""
                if (own := by_part[part].interval) is None
                else numbers.interval(own.low, own.high, signed=True),
            ]
            for part in ROWS
        ]
        blocks.append(
            DataTable(
                f"{other.name} minus {first}, paired by study",
                ["", "Difference", "95 % interval"],
                rows,
                strong=frozenset([len(ROWS) - 1]),
            )
        )
    return blocks
