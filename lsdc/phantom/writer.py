"""Write a whole synthetic competition: DICOM files, tables and answers."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lsdc.errors import SettingsError
from lsdc.phantom.anatomy import Spine, draw_patient
from lsdc.phantom.dicom_files import SeriesWriter, StudyTags
from lsdc.phantom.grades import GradeMix, deal_grades
from lsdc.phantom.image import Scene
from lsdc.phantom.planning import SeriesPlan, plan_series
from lsdc.phantom.quirks import quirks_of
from lsdc.phantom.tables import Grades, Split, StudyRecord, write_tables
from lsdc.phantom.tissues import TISSUES, vary

SMALLEST_SIZE_PX = 32


def write_phantom(
    out: Path,
    *,
    studies: int,
    test: int,
    seed: int,
    grades: GradeMix = "balanced",
    max_size: int = 320,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a competition of synthetic studies in the layout of the real one.

    Beside the competition's tables, `answers/points.csv` and `answers/grades.csv` hold the truth,
    of test studies too. The same arguments give the same bytes. `out` appears when all is
    written, or not at all.

    Args:
        out: a folder that does not exist yet, or an empty one.
        studies: training studies; from six on every oddity of real data is present.
        test: test studies; the first one lacks a series.
        seed: of everything that is drawn.
        grades: "balanced" thirds, or the "real" frequencies.
        max_size: the longest side of an image, in pixels.
        on_progress: told how many studies are written, and of how many.

    Raises:
        SettingsError: `out` holds something, or a number is out of bounds.

    """
    _check(out, studies, test, seed, max_size)
    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        rng = np.random.default_rng(seed)
        dealt = np.concatenate([deal_grades(studies, grades, rng), deal_grades(test, grades, rng)])
        ids = np.sort(rng.choice(2**31, size=studies + test, replace=False) + 1_000_003)
        (unfinished / "train_images").mkdir()
        (unfinished / "test_images").mkdir()
        records = []
        for number, study_id in enumerate(rng.permutation(ids).tolist()):
            split: Split = "train" if number < studies else "test"
            index = number if split == "train" else number - studies
            record = _write_study(
                unfinished, split, index, study_id, dealt[number], (seed, number), max_size
            )
            records.append(record)
            if on_progress is not None:
                on_progress(number + 1, studies + test)
        write_tables(unfinished, sorted(records, key=lambda record: record.study_id))
        if out.exists():
            out.rmdir()
        unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_study(
    root: Path,
    split: Split,
    index: int,
    study_id: int,
    grades: Grades,
    seeds: tuple[int, int],
    max_size: int,
) -> StudyRecord:
    rng = np.random.default_rng(seeds)
    quirks = quirks_of(index, split, rng)
    spine = Spine(draw_patient(grades, rng))
    scene = Scene(spine)
    plans = plan_series(spine, quirks, max_size, rng)
    series_ids = sorted(rng.choice(2**32 - 10**6, len(plans), replace=False).tolist())
    series_ids = [int(number) + 10**6 for number in rng.permutation(series_ids)]
    for series_id, plan in zip(series_ids, plans, strict=True):
        tags = StudyTags(seed=seeds[0], number=seeds[1], study_id=study_id, series_id=series_id)
        folder = root / f"{split}_images" / str(study_id) / str(series_id)
        _write_series(folder, scene, plan, tags, rng)
    return StudyRecord(
        split=split,
        study_id=study_id,
        grades=grades,
        empty_labels=quirks.empty_labels,
        series=tuple(zip(series_ids, plans, strict=True)),
        spine=spine,
    )


def _write_series(
    folder: Path, scene: Scene, plan: SeriesPlan, tags: StudyTags, rng: np.random.Generator
) -> None:
    tissues = vary(TISSUES[plan.contrast], rng)
    shading = float(rng.uniform(0.3, 0.7))
    gain = float(rng.uniform(900.0, 2600.0))
    noise = float(rng.uniform(0.012, 0.03))
    images = scene.slices(plan.planes, tissues, shading)
    writer = SeriesWriter(folder, plan, tags)
    for number, plane, image in zip(plan.instance_numbers, plan.planes, images, strict=True):
        grain = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(noise)
        values = np.abs(image + grain) * np.float32(gain)
        writer.write(number, plane, values)
    if plan.broken_files:
        writer.write_broken_files()


def _check(out: Path, studies: int, test: int, seed: int, max_size: int) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingsError(
            f"{out}: a phantom is written to a new or an empty folder, and this is neither; "
            "name another one or empty it first"
        )
    bounds = {
        "studies": (studies, 1, 100_000),
        "test": (test, 0, 100_000),
        "seed": (seed, 0, 2**32 - 1),
        "max_size": (max_size, SMALLEST_SIZE_PX, 2048),
    }
    for name, (value, lowest, highest) in bounds.items():
        if not lowest <= value <= highest:
            raise SettingsError(f"{name}: expected {lowest} to {highest}, got {value}")
