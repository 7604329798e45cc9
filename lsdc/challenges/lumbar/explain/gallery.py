"""Images for the gallery of a report: what the models of a run saw of chosen cases."""

from functools import partial

import polars as pl

from lsdc.challenges.lumbar.explain.cases import Case, SliceSeen, draw_cases
from lsdc.challenges.lumbar.explain.trained import NamedRun
from lsdc.challenges.lumbar.report.page.gallery import Images
from lsdc.report.pictures import Picture, Pictures


def images_of(
    run: NamedRun, cases: int, *, device: str = "auto", threads: int | None = None
) -> Images:
    """Return how a report draws images of this many cases of a run; see `draw_pictures`."""
    return Images(cases, partial(draw_pictures, run, device=device, threads=threads))


def draw_pictures(
    run: NamedRun, rows: pl.DataFrame, *, device: str = "auto", threads: int | None = None
) -> Pictures:
    """Draw the cases of some rows, in a child process.

    Args:
        run: the run that predicted them.
        rows: row_id, study_id, level, condition.
        device: the device to compute on.
        threads: number of torch's threads; None means as set in the environment.

    Returns:
        A picture for each row id.

    Raises:
        DataError, StageError: see `draw_cases`.
    """
    cases = [
        Case(study, level, condition)
        for study, level, condition in rows.select("study_id", "level", "condition").iter_rows()
    ]
    drawn = draw_cases(run, cases, device=device, threads=threads)
    return {
        key: Picture(found.image, found.width, found.height, tuple(map(_describe, found.slices)))
        for key, found in zip(rows["row_id"], drawn, strict=True)
    }


def _describe(seen: SliceSeen) -> str:
    """Return what a slot of a picture shows, and how much it counts."""
    if seen.instance_number is None or seen.offset_mm is None:
        return f"{seen.kind}, {seen.part}: no image"
    return (
        f"{seen.kind}, {seen.part}: image {seen.instance_number} of series {seen.series_id}, "
        f"{seen.offset_mm:+.1f} mm, weight {seen.weight:.2f}"
    )
