"""Several runs: which images and folds they share, and how they differ."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from lsdc.challenges.hemorrhage.report.figures.scored import Scored, common_images
from lsdc.challenges.hemorrhage.scoring.bootstrap import bootstrap
from lsdc.challenges.hemorrhage.scoring.metric import PARTS
from lsdc.messages import counted
from lsdc.tables.resampling import Difference, Interval, interval

ORDER = ("score", *PARTS)  # of intervals and differences


@dataclass(frozen=True)
class Compared:
    """Runs on the images that all of them score.

    Attributes:
        scored: each run on these images.
        intervals: for each run, the interval of the score and of each label's loss, by name; none
            where patients are not known.
        differences: for each run after the first, the difference of each to the first run's.
        notes: what a reader has to know, such as images or folds that are not the same.
    """

    scored: tuple[Scored, ...]
    intervals: tuple[dict[str, Interval], ...]
    differences: tuple[dict[str, Difference], ...]
    notes: tuple[str, ...]


def compare(given: Sequence[Scored]) -> Compared:
    """Compare runs on their common images; works for a single run, too.

    Raises:
        DataError: runs have no image in common, or different labels.
    """
    same = common_images(given) if len(given) > 1 else [*given]
    spans: list[dict[str, Interval]] = [{} for _ in same]
    differences: list[dict[str, Difference]] = []
    values = [each.score.as_dict() for each in same]
    draws = bootstrap([each.rows for each in same]) if same[0].has_patients else None
    if draws is not None:
        spans = [
            {name: interval(own[:, place]) for place, name in enumerate(ORDER)} for own in draws
        ]
    for run in range(1, len(same)):
        found = {}
        for place, name in enumerate(ORDER):
            paired = None if draws is None else interval(draws[run, :, place] - draws[0, :, place])
            found[name] = Difference(values[run][name] - values[0][name], paired)
        differences.append(found)
    return Compared(tuple(same), tuple(spans), tuple(differences), tuple(_notes(given, same)))


def _notes(given: Sequence[Scored], same: Sequence[Scored]) -> list[str]:
    notes = []
    if not same[0].has_patients:
        notes.append(
            "The patients of the images are not known here, so there are no intervals: slices of "
            "one patient are alike, and intervals of single images would be too narrow."
        )
    for before, after in zip(given, same, strict=True):
        if left := before.rows.height - after.rows.height:
            notes.append(
                f"{before.name} scores {counted(left, 'image')} that not all runs score; they are "
                f"left out here. Its score over all its images is {before.score.score:.4f}."
            )
    first = same[0]
    for other in same[1:]:
        moved = _moved(first, other)
        if moved is None:
            notes.append(
                f"{first.name} or {other.name} has no folds: make sure that neither was trained on "
                "the patients that it predicts."
            )
        elif moved:
            notes.append(
                f"{first.name} and {other.name} have different folds: {moved:,} of "
                f"{counted(first.rows.height, 'image')} are in another fold, so their models were "
                "trained on different images, too."
            )
    return notes


def _moved(first: Scored, other: Scored) -> int | None:
    """Return how many images are in another fold; None if one of the two has no folds."""
    if not first.folds and not other.folds:
        return 0
    if not (first.folds and other.folds):
        return None
    moved: pl.Series = first.rows["fold"] != other.rows["fold"]
    return int(moved.sum())
