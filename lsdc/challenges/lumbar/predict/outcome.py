"""Outcomes: what is known of each study after the prediction, as tables and as JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.competition.row_ids import with_row_id
from lsdc.challenges.lumbar.predict.models import Models
from lsdc.challenges.lumbar.predict.names import Names
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS, Condition, SeriesDescription

_CELL = ["study_id", "condition", "level"]
_SCHEMA: dict[str, type[pl.DataType]] = {
    "study_id": pl.Int64,
    "condition": pl.String,
    "level": pl.String,
}
_PROBABILITIES: dict[str, type[pl.DataType]] = dict.fromkeys(PROBABILITIES, pl.Float64)


@dataclass(frozen=True)
class SeriesOutcome:
    """A series of a study.

    Attributes:
        kind: the kind it is used as; None if it is not used.
        told_by: `table`, `tags`, `content`, `other series` or `guess`; None if it was not asked.
        doubt: why the kind may be wrong, whether it is used or not; empty without a doubt.
        left_out: why it is not used; empty if it is used.
        images: the number of its usable images; of these, `unused` are not used.
    """

    series_id: int
    kind: str | None
    told_by: str | None
    doubt: str
    left_out: str
    images: int
    unused: int
    plane: str | None = None
    echo_ms: float | None = None
    repetition_ms: float | None = None
    fluid: float | None = None


@dataclass(frozen=True)
class StudyOutcome:
    """A study.

    Attributes:
        study_id: its id; `spelled` is how a table writes it.
        folder: the folder of its files, relative to the folder that was read.
        series: its series.
        missing: the kinds of series without a used image.
        names: how sure the names of its levels are; None if it was not predicted from images.
        why_prior: why all of it is predicted by the prior; empty if it is predicted from images.
        quarantined: the number of its files that cannot be used.
    """

    study_id: int
    spelled: str
    folder: str
    series: tuple[SeriesOutcome, ...]
    missing: tuple[str, ...]
    names: Names | None
    why_prior: str
    quarantined: int

    @property
    def subfolder(self) -> str:
        """The folder of its files; empty if that is the one that was read."""
        return "" if self.folder == "." else self.folder

    @property
    def doubts(self) -> list[str]:
        """All that may be wrong with its predictions."""
        found = [self.why_prior] if self.why_prior else []
        found += [f"no {kind}" for kind in self.missing if not self.why_prior]
        for each in self.series:
            left_out = ", left out" if each.left_out else ""
            found += [f"series {each.series_id}{left_out}: {each.doubt}"] if each.doubt else []
        return [*(self.names.doubts if self.names else ()), *found]

    @property
    def has_doubtful_names(self) -> bool:
        """Whether all grades may stand at wrong levels."""
        return self.names is None or self.names.extra_or_missing is not False

    def is_doubtful(self, condition: Condition, level: str) -> bool:
        """Return whether a grade has no sure level under it, or no series that shows it."""
        if self.names is None or str(condition.shown_on) in self.missing:
            return True
        return not self.names.levels[level].is_sure


def missing_kinds(series: Iterable[SeriesOutcome]) -> tuple[str, ...]:
    """Return the kinds of series that a study lacks."""
    there = {each.kind for each in series if not each.left_out and each.images > each.unused}
    return tuple(str(kind) for kind in SeriesDescription if str(kind) not in there)


def tabulate_predictions(
    studies: Sequence[StudyOutcome],
    mean: pl.DataFrame,
    by_fold: pl.DataFrame,
    models: Models,
) -> pl.DataFrame:
    """Return 25 rows a study: probabilities, spread over folds, and what they rest on.

    Args:
        studies: the studies, in the order of the table.
        mean: the mean predictions, as `SampleQueue.finish` returns them.
        by_fold: those of each fold.
        models: the models, for the prior of rows that are not predicted from images.

    Returns:
        row_id, study_id, condition, level, the three probabilities; `spread`, the largest standard
        deviation of a probability over the folds (null for the prior); `source`, `images` or
        `prior`; `level_confidence`, of the level's point and name (0 without one); `doubtful`,
        whether its level is not sure or no series shows it.
    """
    cells = [
        (
            each.study_id,
            str(condition),
            str(level),
            _confidence(each.names, str(level)),
            each.is_doubtful(condition, str(level)),
        )
        for each in studies
        for condition in CONDITIONS
        for level in LEVELS
    ]
    schema = _SCHEMA | {"level_confidence": pl.Float64, "doubtful": pl.Boolean}
    rows = pl.DataFrame(cells, schema=schema, orient="row")
    found = mean if len(mean) else pl.DataFrame(schema=_SCHEMA | _PROBABILITIES)
    rows = rows.join(
        found.select(*_CELL, *PROBABILITIES), on=_CELL, how="left", maintain_order="left"
    )
    rows = rows.with_columns(
        source=pl.when(pl.col(PROBABILITIES[0]).is_null())
        .then(pl.lit("prior"))
        .otherwise(pl.lit("images"))
    ).join(_spreads(by_fold), on=_CELL, how="left", maintain_order="left")
    rows = rows.join(
        models.prior, on=["condition", "level"], how="left", suffix="_prior", maintain_order="left"
    ).with_columns(pl.coalesce(name, f"{name}_prior").alias(name) for name in PROBABILITIES)
    order = [*_CELL, *PROBABILITIES, "spread", "source", "level_confidence", "doubtful"]
    return with_row_id(rows.select(order))


def _confidence(names: Names | None, level: str) -> float:
    return 0.0 if names is None else names.levels[level].confidence


def _spreads(by_fold: pl.DataFrame) -> pl.DataFrame:
    """Return the largest standard deviation of a probability over the folds, for each cell."""
    if by_fold.is_empty():
        return pl.DataFrame(schema={**_SCHEMA, "spread": pl.Float64})
    deviations = by_fold.group_by(_CELL).agg(pl.col(PROBABILITIES).std(ddof=0))
    return deviations.select(*_CELL, spread=pl.max_horizontal(PROBABILITIES))


def describe(
    studies: Sequence[StudyOutcome],
    rows: pl.DataFrame,
    by_fold: pl.DataFrame,
    files: pl.DataFrame,
) -> list[dict[str, Any]]:
    """Return each study as JSON values, with its predictions.

    Args:
        studies: the studies.
        rows: the table of `tabulate_predictions`.
        by_fold: the predictions of each fold.
        files: the table of `tabulate_files`.
    """
    paths: dict[tuple[str, int], list[str]] = {}
    for path, study, series in files.select("path", "study_id", "series_id").iter_rows():
        paths.setdefault((study, series), []).append(path)
    own = {study: part for (study,), part in rows.group_by("study_id", maintain_order=True)}
    folds: dict[tuple[Any, ...], dict[str, list[float]]] = {}
    if len(by_fold):
        for fold, study, condition, level, *found in by_fold.select(
            "fold", *_CELL, *PROBABILITIES
        ).iter_rows():
            folds.setdefault((study, condition, level), {})[str(fold)] = found
    return [_as_dict(each, own[each.study_id], folds, paths) for each in studies]


def _as_dict(
    study: StudyOutcome,
    rows: pl.DataFrame,
    folds: Mapping[tuple[Any, ...], Mapping[str, list[float]]],
    paths: Mapping[tuple[str, int], list[str]],
) -> dict[str, Any]:
    names = study.names
    return {
        "study_id": study.spelled,
        "folder": study.folder,
        "predicted_from": "prior" if study.why_prior else "images",
        "doubts": study.doubts,
        "missing": list(study.missing),
        "quarantined": study.quarantined,
        "extra_or_missing_vertebra": names.extra_or_missing if names else None,
        "levels": {level: vars(each) for level, each in names.levels.items()} if names else {},
        "series": [
            # An id has more digits than a number of JavaScript.
            vars(each)
            | {"series_id": str(each.series_id)}
            | {"files": paths.get((study.spelled, each.series_id), [])}
            for each in study.series
        ],
        "predictions": [
            {
                "condition": row["condition"],
                "level": row["level"],
                **{name: row[name] for name in PROBABILITIES},
                "spread": row["spread"],
                "source": row["source"],
                "doubtful": row["doubtful"],
                "by_fold": folds.get((row["study_id"], row["condition"], row["level"]), {}),
            }
            for row in rows.iter_rows(named=True)
        ],
    }


def likeliest(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the most likely grade of each row, as `grade`, with its probability `share`."""
    values = rows.select(PROBABILITIES).to_numpy()
    best = values.argmax(axis=1)
    return rows.with_columns(
        grade=pl.Series(np.array(PROBABILITIES)[best].tolist(), dtype=pl.String),
        share=pl.Series(values.max(axis=1)),
    )
