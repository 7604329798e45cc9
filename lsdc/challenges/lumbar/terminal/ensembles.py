"""What `lsdc ensemble` prints: scores with intervals, and what each member adds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console

from lsdc.challenges.lumbar.config.ensemble import EnsembleConfig
from lsdc.challenges.lumbar.ensemble.assess import Assessed, Assessment, MemberScore
from lsdc.messages import counted
from lsdc.report.fitted_tables import Column, FittedTable
from lsdc.tables.resampling import Difference


@dataclass(frozen=True)
class PrintedEnsemble:
    """An ensemble of files and runs, its settings, and the file of its predictions, if any."""

    result: Assessment
    config: EnsembleConfig
    out: Path | None

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return summarize(self.result, self.config, self.out)

    def show(self, console: Console) -> None:
        """Print the scores with their intervals, and what each member adds."""
        show_ensemble(self.result, self.config, self.out, console)


_PARTS = {
    "score": "score",
    "spinal": "canal",
    "foraminal": "foraminal",
    "subarticular": "subartic.",
    "any_severe_spinal": "any severe",
}


def summarize(result: Assessment, config: EnsembleConfig, out: Path | None) -> dict[str, Any]:
    """Return the scores, their intervals and what each member adds, as JSON values."""
    rows = result.ensemble.scored.rows
    return {
        **_losses(result.ensemble),
        "rows": rows.height,
        "studies": rows["study_id"].n_unique(),
        "settings": config.model_dump(),
        "mean": _losses(result.mean),
        "gain_over_mean": _difference(result.gain),
        "members": [
            {
                "name": each.name,
                "rows": each.own.scored.rows.height if each.own else 0,
                **(_losses(each.own) if each.own else {"score": None}),
                "adds": _difference(each.adds),
            }
            for each in result.members
        ],
        "out": str(out) if out else None,
    }


def show_ensemble(
    result: Assessment, config: EnsembleConfig, out: Path | None, console: Console
) -> None:
    """Print the scores with their intervals, and what each member adds."""
    is_mean = config == EnsembleConfig()
    listed = [*result.members, MemberScore("mean of all", result.mean, None)]
    if not is_mean:
        listed.append(MemberScore("ensemble", result.ensemble, None))
    console.print(_scores(listed, result.ensemble.scored.rows))
    console.print(_intervals(listed))
    if not is_mean:
        sure = "" if result.gain.sure else "; the interval contains 0: it may be chance"
        console.print(
            f"gain over the mean: {_value(result.gain)}, 95 % interval "
            f"{_interval(result.gain)}{sure}"
        )
    if out is not None:
        console.print(out, soft_wrap=True, highlight=False)


def _scores(listed: Sequence[MemberScore], rows: pl.DataFrame) -> FittedTable:
    losses: list[Mapping[str, float | None]] = [
        each.own.scored.score.as_dict() if each.own else dict.fromkeys(_PARTS) for each in listed
    ]
    counts = [each.own.scored.rows.height if each.own else 0 for each in listed]
    studies = counted(rows["study_id"].n_unique(), "study")
    return FittedTable(
        [
            Column("member", [each.name for each in listed], is_text=True),
            *(
                Column(name, [_loss(each[part]) for each in losses])
                for part, name in _PARTS.items()
            ),
            Column("rows", [f"{count:,}" for count in counts], rank=1),
        ],
        title=(
            f"Weighted log loss of {studies}, {counted(rows.height, 'labelled row')}; "
            "lower is better"
        ),
        styles=[*[""] * (len(listed) - 1), "bold"],
    )


def _intervals(listed: Sequence[MemberScore]) -> FittedTable:
    return FittedTable(
        [
            Column("member", [each.name for each in listed], is_text=True),
            Column("interval of the score", [_span(each.own) for each in listed]),
            Column("adds", [_value(each.adds) for each in listed]),
            Column("interval of what it adds", [_interval(each.adds) for each in listed]),
        ],
        title="95 % intervals, and what each adds: the score without it minus the score with it",
        styles=[*[""] * (len(listed) - 1), "bold"],
    )


def _losses(assessed: Assessed) -> dict[str, Any]:
    losses = assessed.scored.score.as_dict()
    return {
        **losses,
        "intervals": {
            part: [span.low, span.high] if span else None
            for part, span in assessed.intervals.items()
        },
    }


def _difference(found: Difference | None) -> dict[str, Any] | None:
    if found is None or found.value is None or found.interval is None:
        return None
    return {"score": found.value, "interval": [found.interval.low, found.interval.high]}


def _loss(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _span(assessed: Assessed | None) -> str:
    interval = assessed.intervals["score"] if assessed else None
    return "-" if interval is None else f"{interval.low:.4f} to {interval.high:.4f}"


def _value(found: Difference | None) -> str:
    return "-" if found is None or found.value is None else f"{found.value:+.4f}"


def _interval(found: Difference | None) -> str:
    if found is None or found.interval is None:
        return "-"
    return f"{found.interval.low:+.4f} to {found.interval.high:+.4f}"
