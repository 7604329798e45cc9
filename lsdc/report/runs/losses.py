"""The losses: with intervals, by fold, and for several runs their differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lsdc.report import numbers
from lsdc.report.blocks import Block, Chart, DataTable, Paragraph
from lsdc.report.charts import TONES, Estimate, interval_chart
from lsdc.report.runs.content import Content
from lsdc.report.runs.records import RunRecords
from lsdc.scoring.compared import Scored
from lsdc.tables.resampling import Difference, Interval


@dataclass(frozen=True)
class Words:
    """What a challenge calls its losses.

    Attributes:
        parts: the heading of each loss by its name, the score first.
        prior: what predicts the same for everything, such as "weighted prior".
        drawn: one of what intervals are drawn of, such as "patient".
        rows: what is scored, such as "images".
        weights: the weight of each loss in the score by name, for a column with each part of a
            difference of scores; none for no such column.
    """

    parts: Mapping[str, str]
    prior: str
    drawn: str
    rows: str
    weights: Mapping[str, float] | None = None

    @property
    def listed(self) -> tuple[str, ...]:
        """The names of the losses in the order of tables, the score last."""
        first, *others = self.parts
        return (*others, first)

    @property
    def strong(self) -> frozenset[int]:
        """The number of the row of the score."""
        return frozenset([len(self.parts) - 1])


def losses_chart(content: Content[Any, Any], words: Words) -> Chart:
    """Return a chart of all losses with intervals, without those that have none."""
    rows = []
    for part, heading in words.parts.items():
        for run, each in enumerate(content.scored):
            value, span = each.score.as_dict()[part], content.compared.intervals[run][part]
            if value is not None and span is not None:
                estimate = Estimate(
                    name=content.titled(heading, each.name),
                    value=value,
                    low=span.low,
                    high=span.high,
                    dots=_dots(each, part) if content.is_single else (),
                    reference=each.prior.as_dict()[part],
                    tone=run % TONES,
                )
                rows.append(estimate)
    folds = ", circles: single folds" if content.is_single and content.first.folds else ""
    title = f"Losses with 95 % intervals by {words.drawn}; tick: {words.prior}{folds}"
    return Chart(title, interval_chart(rows, title=title, x_name="loss"), wide=True)


def losses_by_fold(
    content: Content[Any, Any],
    run: int,
    words: Words,
    further: Mapping[str, Mapping[str, float | None]] | None = None,
) -> DataTable:
    """Return the losses of each fold, of all folds with the interval, and of the prior.

    Args:
        content: the content of the report.
        run: the number of the source.
        words: how to call the losses.
        further: rows below, with values by the heading of a column: "Fold 0", "All", "Prior" ...
    """
    own, source = content.scored[run], content.sources[run]
    columns = {
        f"Fold {fold}": own.score_of(own.rows.filter(fold=fold)).as_dict() for fold in own.folds
    }
    whole, by_fold, of_all = ("All", " by fold", " of all") if columns else ("Loss", "", "")
    columns |= {whole: own.score.as_dict(), "Prior": own.prior.as_dict()}
    if isinstance(source, RunRecords) and (held_out := source.scores.get("holdout")):
        columns |= {"Held out": held_out, "Its prior": held_out["weighted_prior"]}
    rows = [
        [
            words.parts[part],
            *(numbers.loss(column[part]) for column in columns.values()),
            _span(content.compared.intervals[run][part]),
        ]
        for part in words.listed
    ]
    for heading, values in (further or {}).items():
        cells = (numbers.loss(values[head]) if head in values else "" for head in columns)
        rows.append([heading, *cells, ""])
    return DataTable(
        content.titled(f"Log loss{by_fold}, lower is better", own.name),
        ["", *columns, f"95 % interval{of_all}"],
        rows,
        strong=words.strong,
    )


def losses_beside(content: Content[Any, Any], words: Words) -> DataTable:
    """Return the losses of several sources on the rows that all of them score."""
    rows = [
        [
            words.parts[part],
            *(numbers.loss(each.score.as_dict()[part]) for each in content.scored),
            numbers.loss(content.first.prior.as_dict()[part]),
        ]
        for part in words.listed
    ]
    return DataTable(
        f"Log loss on the {words.rows} that all runs score, lower is better",
        ["", *(each.name for each in content.scored), "Prior"],
        rows,
        strong=words.strong,
    )


def loss_differences(content: Content[Any, Any], words: Words) -> list[Block]:
    """Return for each source after the first how its losses differ, in words and as a table."""
    blocks: list[Block] = []
    for other, found in zip(content.scored[1:], content.compared.differences, strict=True):
        blocks += [
            Paragraph(_in_words(found["score"], other.name, content.first.name)),
            _difference_table(found, f"{other.name} minus {content.first.name}", words),
        ]
    return blocks


def _in_words(score: Difference, other: str, first: str) -> str:
    value = score.value or 0.0
    better = "lower (better)" if value < 0 else "higher (worse)"
    text = f"The score of {other} is {abs(value):.4f} {better} than that of {first}"
    if score.interval is None:
        return f"{text}, without an interval."
    sure = (
        "The interval does not contain zero."
        if score.sure
        else "The interval contains zero: the difference may be chance."
    )
    return f"{text}; 95 % interval {_span(score.interval, signed=True)}. {sure}"


def _difference_table(found: Mapping[str, Difference], caption: str, words: Words) -> DataTable:
    head, rows = ["", "Difference", "95 % interval"], []
    for part in words.listed:
        own = found[part]
        rows.append(
            [
                words.parts[part],
                numbers.difference(own.value),
                _span(own.interval, signed=True),
            ]
        )
    if words.weights is not None:
        head.append("Part of the score's")
        for part, row in zip(words.listed, rows, strict=True):
            row.append(numbers.difference((found[part].value or 0.0) * words.weights[part]))
    return DataTable(f"{caption}, paired by {words.drawn}", head, rows, strong=words.strong)


def _span(span: Interval | None, *, signed: bool = False) -> str:
    return numbers.MISSING if span is None else numbers.interval(span.low, span.high, signed=signed)


def _dots(scored: Scored, part: str) -> Sequence[tuple[str, float]]:
    found = []
    for fold in scored.folds:
        value = scored.score_of(scored.rows.filter(fold=fold)).as_dict()[part]
        if value is not None:
            found.append((f"fold {fold}", value))
    return found
