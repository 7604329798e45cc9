"""Outcomes: what is known of each study after its prediction."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lsdc.challenges.hemorrhage.predict.sources import Studies
from lsdc.messages import counted
from lsdc.predict.files import folders_of

_OF_SERIES = ["study_id", "series_id"]


@dataclass(frozen=True)
class SeriesOutcome:
    """A series of a study.

    Attributes:
        images: the number of its usable images; of these, `unused` are not used.
        step_mm: the median distance of its slices along their normal; None without positions.
        tilt_degrees: the median angle between the slices' normal and the patient's long axis.
        left_out: why it is not used; empty if it is used.
        doubt: what may be wrong with the order of its slices; empty without a doubt.
    """

    series_id: str
    images: int
    unused: int
    step_mm: float | None
    tilt_degrees: float | None
    left_out: str
    doubt: str


@dataclass(frozen=True)
class StudyOutcome:
    """A study.

    Attributes:
        study_id: its id.
        folder: the folder of its files, relative to the folder that was read.
        series: its series.
        images: the number of images that are predicted.
        by_neighbours: the number of these that are predicted as the mean of their neighbours.
        by_prior: the number of these that are predicted by the prior.
        why_prior: why all of it is predicted by the prior; empty if it is predicted from images.
        quarantined: the number of its files that cannot be used.
        patients: the number of patients that its images name.
    """

    study_id: str
    folder: str
    series: tuple[SeriesOutcome, ...]
    images: int
    by_neighbours: int
    by_prior: int
    why_prior: str
    quarantined: int
    patients: int

    @property
    def spelled(self) -> str:
        """Its id as tables write it."""
        return self.study_id

    @property
    def subfolder(self) -> str:
        """The folder of its files; empty if that is the one that was read."""
        return "" if self.folder == "." else self.folder

    @property
    def doubts(self) -> list[str]:
        """All that may be wrong with its predictions."""
        found = [self.why_prior] if self.why_prior else []
        if self.by_neighbours:
            found.append(f"{_of(self.by_neighbours, self.images)} predicted from their neighbours")
        if self.by_prior and not self.why_prior:
            found.append(f"{_of(self.by_prior, self.images)} predicted by the prior")
        found += [f"series {each.series_id}: {each.doubt}" for each in self.series if each.doubt]
        if self.patients > 1:
            found.append(f"its images name {self.patients} patients")
        return found


def describe_studies(
    studies: Studies, rows: pl.DataFrame, unreadable: pl.DataFrame, root: Path
) -> Iterator[StudyOutcome]:
    """Describe each study of a block.

    Args:
        studies: the studies.
        rows: study_id and source of all predicted images.
        unreadable: study_id of the files whose pixels cannot be read.
        root: the folder of all files.
    """
    images = studies.images
    own_series: dict[str, list[SeriesOutcome]] = {}
    for (study, _), own in images.group_by(_OF_SERIES, maintain_order=True):
        own_series.setdefault(str(study), []).append(_describe_series(own))
    known = pl.concat([each.select("study_id", "path") for each in (images, studies.quarantine)])
    folders = folders_of(known, root)
    bad = pl.concat([studies.quarantine["study_id"], unreadable["study_id"]])
    quarantined = dict(bad.value_counts().iter_rows())
    counts = {
        (study, source): count
        for study, source, count in rows.group_by("study_id", "source").len().iter_rows()
    }
    patients = dict(images.group_by("study_id").agg(pl.col("patient").n_unique()).iter_rows())
    for study in studies.ids:
        by = {
            source: counts.get((study, source), 0) for source in ("images", "neighbours", "prior")
        }
        series = tuple(own_series.get(study, ()))
        yield StudyOutcome(
            study_id=study,
            folder=folders.get(study, ""),
            series=series,
            images=sum(by.values()),
            by_neighbours=by["neighbours"],
            by_prior=by["prior"],
            why_prior="" if by["images"] else _why_prior(series),
            quarantined=quarantined.get(study, 0),
            patients=patients.get(study, 0),
        )


def _describe_series(images: pl.DataFrame) -> SeriesOutcome:
    reasons = images["left_out"].drop_nulls()
    used = images.filter(pl.col("left_out").is_null())
    unplaced = used["along_mm"].null_count()
    tied = int(used["tied"].sum())
    steps = used["step_mm"].drop_nulls()
    return SeriesOutcome(
        series_id=str(images["series_id"][0]),
        images=len(images),
        unused=len(reasons),
        step_mm=_median(steps.filter(steps > 0)),
        tilt_degrees=_median(images["tilt_degrees"]),
        left_out="" if len(used) else str(reasons.mode().sort()[0]),
        doubt="; ".join(
            [
                *([f"{_of(unplaced, len(used))} without a position"] if unplaced else []),
                *([f"{_of(tied, len(used))} at the position of another"] if tied else []),
            ]
        ),
    )


def _why_prior(series: Sequence[SeriesOutcome]) -> str:
    if not series:
        return "predicted by the prior: no usable image"
    if all(each.left_out for each in series):
        return "predicted by the prior: no series that the models use"
    return "predicted by the prior: the pixels of no image can be read"


def _of(some: int, every: int) -> str:
    return f"{some} of {counted(every, 'image')}"


def _median(values: pl.Series) -> float | None:
    found = values.drop_nulls().median()
    return float(found) if isinstance(found, int | float) else None
