"""The parts that model cards of all challenges have, in Markdown."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lsdc.report import numbers
from lsdc.report.markdown import table
from lsdc.report.runs.record import versions_of
from lsdc.report.runs.records import RunRecords
from lsdc.report.runs.trained import TrainedFold
from lsdc.tables.resampling import Interval
from lsdc.training.trained_fold import WEIGHTS

_PHANTOM = "phantom"
_ONLY_A_PHANTOM = (
    "Anything but trying out the software. The models were trained on a phantom, which is "
    "synthetic, and have never seen a real image."
)


def is_phantom(run: RunRecords, answers: Path) -> bool:
    """Return whether a run was trained on a phantom, the home's or one in another folder.

    Args:
        run: the run.
        answers: a file that only a phantom has, in its folder.
    """
    data = None if run.record is None else run.record.data
    return data is not None and (data == _PHANTOM or (Path(data) / answers).is_file())


def limits_list(items: Sequence[str], *, phantom: bool) -> str:
    """Return what the models are not for, as a list; for those of a phantom, that comes first."""
    return "\n".join(f"- {item}" for item in ([_ONLY_A_PHANTOM] if phantom else []) + [*items])


def backbone_row(settings: Mapping[str, Any]) -> list[list[str]]:
    """Return a row of the table of models on their backbone, if the settings name one."""
    if not (backbone := settings.get("model.backbone")):
        return []
    start = "pretrained weights" if settings.get("model.pretrained") else "random weights"
    return [["Backbone", f"{backbone} of timm, from {start}"]]


def models_table(
    rows: Sequence[Sequence[str]], run: RunRecords, folds: Sequence[TrainedFold]
) -> str:
    """Return the table of the models: these rows, and how they were trained."""
    facts, rows = [fold.facts for fold in folds], [*map(list, rows)]
    if run.record:
        rows += [
            ["Experiment", run.record.experiment],
            ["Begun", f"{run.record.begun:%Y-%m-%d} UTC"],
        ]
    for name, key in (("Device", "device"), ("CPU", "cpu"), ("Seed", "seed")):
        if values := sorted({str(each[key]) for each in facts if key in each}):
            rows.append([name, ", ".join(values)])
    if versions := versions_of(folds):
        rows.append(["Versions", ", ".join(versions)])
    return table(["", "Value"], rows)


def data_table(
    rows: Sequence[Sequence[str]], run: RunRecords, *, bad_files: int, phantom: bool
) -> str:
    """Return the table of the training data: these rows between what all challenges tell.

    Args:
        rows: the challenge's counts.
        run: the run.
        bad_files: the number of files that could not be used.
        phantom: whether the data are a phantom's.
    """
    facts = [
        ["Data", "phantom (synthetic)" if phantom else "competition"],
        *map(list, rows),
        ["Files that could not be used", numbers.count(bad_files)],
    ]
    if run.record and run.record.tables:
        facts.append(["SHA-256 of the training tables", f"`{run.record.tables}`"])
    return table(["", "Value"], facts)


def scores_table(
    losses: Mapping[str, float | None],
    prior: Mapping[str, float | None],
    spans: Mapping[str, Interval | None],
    *,
    names: Mapping[str, str],
    prior_name: str,
    further: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """Return the table of the losses, their intervals and the prior's losses.

    Args:
        losses: the losses by name, the score first.
        prior: those of the prior.
        spans: their 95 % intervals.
        names: their headings.
        prior_name: the heading of the prior.
        further: the columns that follow: their texts by name of the loss, by heading.
    """
    rows = [
        [
            names[part],
            numbers.loss(value),
            numbers.interval(span.low, span.high) if (span := spans[part]) else numbers.MISSING,
            numbers.loss(prior[part]),
            *(column.get(part, numbers.MISSING) for column in (further or {}).values()),
        ]
        for part, value in losses.items()
    ]
    return table(["", "Out of fold", "95 % interval", prior_name, *(further or {})], rows)


def digests_table(run: RunRecords, trained: Sequence[tuple[str, TrainedFold]]) -> str:
    """Return how to reproduce a run: the digests of its results and of its trained models.

    Args:
        run: the run.
        trained: each training with its name, such as "Fold 0".
    """
    rows = [[f"Result {path.parent.name}", f"`{path.name}`"] for path in run.results]
    rows += [
        [f"{name}, {WEIGHTS}", f"`{fold.facts['digests'][WEIGHTS]}`"] for name, fold in trained
    ]
    settings = "`run.json`, next to this file, has all settings. SHA-256 of what was made:"
    return f"{settings}\n\n{table(['', 'SHA-256'], rows)}"
