"""What `lsdc predict` prints: what was predicted, what is doubtful, what cannot be used."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from lsdc.challenges.ink.predict.fragments import UNIT
from lsdc.challenges.ink.predict.models import TrainedModels
from lsdc.challenges.ink.predict.outcome import FragmentOutcome
from lsdc.messages import counted
from lsdc.predict.printed import show_doubts, show_files, show_head, show_results
from lsdc.predict.results import Prediction
from lsdc.report.fitted_tables import Column, FittedTable

_MOST_FRAGMENTS = 8


@dataclass(frozen=True)
class PrintedPrediction:
    """What was predicted by the models of a run, and where the results are."""

    prediction: Prediction[FragmentOutcome]
    models: TrainedModels
    out: Path

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        prediction, fragments = self.prediction, self.prediction.studies
        return {
            "run": self.models.name,
            "folds": list(self.models.folds),
            "rule": self.models.rule.describe(),
            "out": str(self.out),
            "files": [str(path) for path in prediction.files],
            "fragments": len(fragments),
            "ink_of_mask": {each.fragment: each.ink_share for each in fragments},
            "done_before": prediction.kept,
            "by_prior": [each.fragment for each in prediction.from_prior],
            "doubts": {each.fragment: each.doubts for each in fragments if each.doubts},
            "quarantined": len(prediction.quarantine),
            "other_files": int(prediction.others["files"].sum()),
            "rows_of_unknown_fragments": prediction.unknown_rows,
            "seconds": round(prediction.seconds, 1),
        }

    def show(self, console: Console) -> None:
        """Print what was predicted, what is doubtful, what cannot be used, and the files."""
        prediction, fragments = self.prediction, self.prediction.studies
        folds = counted(len(self.models.folds), "fold")
        show_head(prediction, self.models.name, folds, console, unit=UNIT)
        if fragments:
            rule = self.models.rule.describe()
            console.print(_table(fragments[:_MOST_FRAGMENTS], f"Masks by {rule}"))
        if len(fragments) > _MOST_FRAGMENTS:
            more = counted(len(fragments) - _MOST_FRAGMENTS, f"further {UNIT}")
            console.print(f"{more} in fragments.csv", style="dim")
        show_doubts(sorted(fragments, key=lambda each: not each.why_prior), console, unit=UNIT)
        show_files(prediction, "the sample submission: no such fragment in the folder", console)
        show_results(prediction, console)


def _table(fragments: Sequence[FragmentOutcome], title: str) -> FittedTable:
    """Return the fragments with their sizes and their share of ink."""
    shares = [each.ink_share for each in fragments]
    means = [each.mean_probability for each in fragments]
    columns = [
        Column("fragment", [each.fragment for each in fragments], is_text=True),
        Column("rows", [f"{each.rows:,}" for each in fragments]),
        Column("columns", [f"{each.columns:,}" for each in fragments]),
        Column("ink of the mask", ["-" if share is None else f"{share:.1%}" for share in shares]),
        Column("mean probability", ["-" if mean is None else f"{mean:.3f}" for mean in means]),
    ]
    return FittedTable(columns, title=title)
