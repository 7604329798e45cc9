"""Gather a run's results of one study for display."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from lsdc.challenges.lumbar.annotations.patient_space import place_annotations
from lsdc.challenges.lumbar.columns import LEVEL_NUMBER
from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.coordinates.moves import moved_back
from lsdc.challenges.lumbar.crops.frames import show_crops
from lsdc.challenges.lumbar.slices.choose import choose_slices
from lsdc.challenges.lumbar.slices.slots import Place, list_places, mirrored_places
from lsdc.challenges.lumbar.vocabulary import SeriesDescription, Side
from lsdc.dicom_index.image_use import used_images
from lsdc.errors import DataError
from lsdc.store.exact_names import read_parquet, scan_parquet

Crops = npt.NDArray[np.uint8 | np.uint16]

_XYZ = ["x_mm", "y_mm", "z_mm"]
_MARKS = ["kind", "condition", "level", *_XYZ]


@dataclass(frozen=True)
class StudyResults:
    """One study's results of a run, as far as the run got; every table may be empty.

    Attributes:
        study_id: the study's id.
        split: `train` or `test`; a study in both is shown as `train`.
        instances: its used images in the instances table, with the patient's moves undone.
        slices: its rows of the slices table: every slice measured against every level point.
        chosen: the rows of `slices` that the model receives, with `place`.
        points: its level points.
        landmarks: the points of all conditions that the run uses.
        marks: kind ("predicted" for what the run uses, or "annotated"), condition, level, x_mm,
            y_mm, z_mm.
        corrections: the corrections of its annotations.
        places: the meaning of each slot of a sample.
        mirrored: for each slot, the slot whose slice a right side's sample has there.
        samples: level and side of each sample with crops; None as side means both.
        crops: (samples, places, size, size).
        mask: (samples, places), whether there is a slice.
    """

    study_id: int
    split: str
    instances: pl.DataFrame
    slices: pl.DataFrame
    chosen: pl.DataFrame
    points: pl.DataFrame
    landmarks: pl.DataFrame
    marks: pl.DataFrame
    corrections: pl.DataFrame
    places: tuple[Place, ...]
    mirrored: tuple[int, ...]
    samples: tuple[tuple[str, str | None], ...]
    crops: Crops
    mask: npt.NDArray[np.bool_]

    def middle(self, kind: SeriesDescription) -> pl.DataFrame:
        """Return the instance of a series kind nearest to the canal, one row; empty if none.

        Without level points, return the middle instance of the longest series.
        """
        own = self.instances.filter(series_description=str(kind))
        file = ["series_id", "instance_number"]
        if self.slices.is_empty() or own.is_empty():
            longest = own.filter(pl.len().over("series_id") == pl.len().over("series_id").max())
            first = longest.filter(pl.col("series_id") == pl.col("series_id").first())
            return first.sort("normal_position_mm").slice(len(first) // 2, 1)
        near = (
            self.slices.filter(series_description=str(kind))
            .group_by(file, maintain_order=True)
            .agg(pl.col("offset_mm").abs().mean())
            .sort("offset_mm")
        )
        return near.head(1).join(own, on=file, how="inner").select(own.columns)

    def nearest_axial(self, level: str) -> pl.DataFrame:
        """Return the chosen axial instance nearest to a level, with offset_mm; empty if none."""
        near = (
            self.chosen.filter(series_description=str(SeriesDescription.AXIAL_T2), level=level)
            .sort(pl.col("offset_mm").abs())
            .head(1)
        )
        file = ["series_id", "instance_number"]
        return self.instances.join(near.select(*file, "offset_mm"), on=file, how="inner")

    def offsets_mm(self, level: str, side: str | None) -> dict[int, float]:
        """Return each slot's distance from the level point in a sample; see `chosen`."""
        if self.chosen.is_empty():
            return {}
        own = self.chosen.filter(level=level).select("place", "offset_mm")
        offsets: dict[int, float] = dict(own.iter_rows())
        if side != Side.RIGHT:
            return offsets
        return {
            place: offsets[other] for place, other in enumerate(self.mirrored) if other in offsets
        }


def gather_study(study: int, results: Sequence[Path], config: SlicesConfig) -> StudyResults:
    """Read a study from the results of a run's stages.

    Args:
        study: the study's id.
        results: the folders of all results that the run uses; see `garbage.pinned_results`.
        config: the settings by which slices were chosen.

    Raises:
        DataError: the study is in none of the results' indices.
    """
    tables = _Tables(results, study)
    instances = tables.read("instances")
    if instances.is_empty():
        raise DataError(
            f"study {study}: no image in the results of the run, expected a study of the run; "
            "see the catalog's table 'studies'"
        )
    split = instances["split"].sort(descending=True).first()  # "train" before "test"
    assert isinstance(split, str)
    instances = moved_back(instances.filter(split=split), tables.read("moves"))
    points, landmarks, slices = (
        tables.read(name).pipe(_of, split) for name in ("points", "landmarks", "slices")
    )
    annotations = tables.read("annotations") if split == "train" else pl.DataFrame()
    samples, crops, mask = tables.crops(split)
    return StudyResults(
        study_id=study,
        split=split,
        instances=used_images(instances),
        slices=slices,
        chosen=choose_slices(slices, config) if len(slices) else slices,
        points=points,
        landmarks=landmarks,
        marks=_marks(instances, landmarks, annotations),
        corrections=tables.read("corrections"),
        places=list_places(config),
        mirrored=tuple(mirrored_places(config)),
        samples=samples,
        crops=crops,
        mask=mask,
    )


class _Tables:
    """One study's rows of the tables in several folders."""

    def __init__(self, folders: Sequence[Path], study: int) -> None:
        self._folders, self._study = folders, study

    def read(self, name: str) -> pl.DataFrame:
        """Return the rows of a table from all folders that have it; no columns if none has it."""
        files = [path for path in (f / f"{name}.parquet" for f in self._folders) if path.is_file()]
        parts = [scan_parquet(file).filter(study_id=self._study) for file in files]
        return pl.concat(pl.collect_all(parts), how="diagonal") if parts else pl.DataFrame()

    def crops(
        self, split: str
    ) -> tuple[tuple[tuple[str, str | None], ...], Crops, npt.NDArray[np.bool_]]:
        """Return the samples, their crops and masks; see `StudyResults`."""
        for folder in self._folders:
            if (folder / "crops.npy").is_file():
                samples = read_parquet(folder / "samples.parquet")
                own = samples.filter(study_id=self._study, split=split).sort(LEVEL_NUMBER, "side")
                if len(own):
                    of, mask = tuple(own.select("level", "side").rows()), own["mask"].to_list()
                    kept = np.array(mask, dtype=bool)
                    return of, show_crops(folder, own["row"].to_list(), kept), kept
        return (), np.zeros((0, 0, 1, 1), dtype=np.uint8), np.zeros((0, 0), dtype=bool)


def _of(table: pl.DataFrame, split: str) -> pl.DataFrame:
    return table.filter(split=split) if "split" in table.columns else table


def _marks(
    instances: pl.DataFrame, landmarks: pl.DataFrame, annotations: pl.DataFrame
) -> pl.DataFrame:
    """Return predicted and annotated points in mm."""
    parts = []
    if len(landmarks):
        parts.append(landmarks.with_columns(kind=pl.lit("predicted")).select(_MARKS))
    if len(annotations):
        placed = place_annotations(instances, annotations)
        parts.append(placed.with_columns(kind=pl.lit("annotated")).select(_MARKS))
    schema = dict.fromkeys(_MARKS[:3], pl.String) | dict.fromkeys(_XYZ, pl.Float64)
    return pl.concat([pl.DataFrame(schema=schema), *parts])
