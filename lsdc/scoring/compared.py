"""Several runs compared: intervals of their losses, how they differ, which folds they share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.messages import counted
from lsdc.tables.resampling import Difference, Interval, interval


class Score(Protocol):
    """A score, and the losses that it is made of."""

    @property
    def score(self) -> float:
        """The score."""

    def as_dict(self) -> Mapping[str, float | None]:
        """Return the score, first, and its parts by name; None for a part without rows."""


class Scored(Protocol):
    """Scored predictions of a run, or of a file."""

    @property
    def name(self) -> str:
        """The run, or the file."""

    @property
    def rows(self) -> pl.DataFrame:
        """The labelled rows, with their `fold`, null without folds."""

    @property
    def folds(self) -> tuple[int, ...]:
        """The folds of the rows; none if the predictions have no folds."""

    @property
    def score(self) -> Score:
        """The score of all rows."""

    @property
    def prior(self) -> Score:
        """The score of the prior on the same rows."""

    def score_of(self, rows: pl.DataFrame) -> Score:
        """Return the score of some of the rows."""


S = TypeVar("S", bound=Scored)


@dataclass(frozen=True)
class Compared(Generic[S]):
    """Runs on the rows that all of them score.

    Attributes:
        scored: each run on these rows.
        intervals: for each run, the interval of the score and of each part, by name; None for a
            part without rows, and for all parts where nothing can be drawn.
        differences: for each run after the first, how the score and each part differ from the first
            run's.
        notes: what a reader has to know, such as rows or folds that are not the same.
    """

    scored: tuple[S, ...]
    intervals: tuple[dict[str, Interval | None], ...]
    differences: tuple[dict[str, Difference], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Nouns:
    """What a challenge calls what is compared.

    Attributes:
        row: what is scored, such as "image".
        dealt: one of what is dealt to folds, such as "study".
        key: the column that names what is dealt.
        held_out: what no model may have seen, such as "patients".
        images: what models are trained on, such as "studies".
    """

    row: str
    dealt: str
    key: str
    held_out: str
    images: str


def compare_scored(
    given: Sequence[S],
    same: Sequence[S],
    draws: NDArray[np.float64] | None,
    nouns: Nouns,
    notes: Sequence[str] = (),
) -> Compared[S]:
    """Compare runs; works for a single run, too.

    Args:
        given: the runs.
        same: each of them on the rows that all score, in the order of the first.
        draws: the score and its parts for random sets of these rows, in the order of a score's
            `as_dict`, (runs, draws, 1 + parts); None if nothing can be drawn.
        nouns: how to call what is compared.
        notes: further notes, which come first.
    """
    values = [each.score.as_dict() for each in same]
    places = {name: place for place, name in enumerate(values[0])}

    def span(run: int, name: str) -> Interval | None:
        has_none = draws is None or values[run][name] is None
        return None if has_none or draws is None else interval(draws[run, :, places[name]])

    def difference(run: int, name: str) -> Difference:
        own, first, place = values[run][name], values[0][name], places[name]
        if own is None or first is None:
            return Difference(None, None)
        paired = None if draws is None else interval(draws[run, :, place] - draws[0, :, place])
        return Difference(own - first, paired)

    return Compared(
        tuple(same),
        tuple({name: span(run, name) for name in places} for run in range(len(same))),
        tuple({name: difference(run, name) for name in places} for run in range(1, len(same))),
        (*notes, *_notes(given, same, nouns)),
    )


def _notes(given: Sequence[Scored], same: Sequence[Scored], nouns: Nouns) -> list[str]:
    notes = []
    for before, after in zip(given, same, strict=True):
        if left := before.rows.height - after.rows.height:
            notes.append(
                f"{before.name} scores {counted(left, nouns.row)} that not all runs score; they "
                f"are left out here. Its score over all its {nouns.row}s is "
                f"{before.score.score:.4f}."
            )
    first = same[0]
    for other in same[1:]:
        moved = _moved(first, other, nouns.key)
        if moved is None:
            notes.append(
                f"{first.name} or {other.name} has no folds: make sure that neither was trained on "
                f"the {nouns.held_out} that it predicts."
            )
        elif moved:
            dealt = first.rows[nouns.key].n_unique()
            notes.append(
                f"{first.name} and {other.name} have different folds: {moved:,} of "
                f"{counted(dealt, nouns.dealt)} are in another fold, so their models were trained "
                f"on different {nouns.images}, too."
            )
    return notes


def _moved(first: Scored, other: Scored, key: str) -> int | None:
    """Return how many are in another fold; None if one of the two has no folds."""
    if not first.folds and not other.folds:
        return 0
    if not (first.folds and other.folds):
        return None
    own, theirs = (
        each.rows.select(key, "fold").unique(maintain_order=True) for each in (first, other)
    )
    both = own.join(theirs, on=key)
    return both.filter(pl.col("fold") != pl.col("fold_right")).height
