"""Coordinates from annotations; held-out studies keep their predicted points."""

from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from lsdc.challenges.lumbar.coordinates.annotated import take_annotated, write_annotated
from tests.challenges.lumbar.conftest import Walked

TABLES = ("points", "landmarks", "spines")


def read(folder: Path) -> dict[str, pl.DataFrame]:
    return {name: pl.read_parquet(folder / f"{name}.parquet") for name in TABLES}


def test_held_out_studies_keep_the_predicted_points(walked: Walked, tmp_path: Path) -> None:
    instances, annotations = walked.table("instances"), walked.competition.annotations
    first, *others = annotations["study_id"].unique().sort().to_list()
    found, given = tmp_path / "found", tmp_path / "given"
    for folder in (found, given):
        folder.mkdir()
        write_annotated(instances, annotations, folder)
    moved = pl.read_parquet(found / "points.parquet").with_columns(pl.col("x_mm") + 5)
    moved.write_parquet(found / "points.parquet")

    take_annotated(instances, annotations, found, but_for=[first])
    taken, expected = read(found), read(given)
    for name in TABLES:
        rest = pl.col("study_id").is_in(others)
        assert_frame_equal(taken[name].filter(rest), expected[name].filter(rest))
        assert len(taken[name]) == len(expected[name])
    assert_frame_equal(
        taken["points"].filter(study_id=first), moved.filter(study_id=first), check_exact=True
    )


def test_without_held_out_studies_all_points_are_annotated(walked: Walked, tmp_path: Path) -> None:
    instances, annotations = walked.table("instances"), walked.competition.annotations
    write_annotated(instances, annotations, tmp_path)
    expected = read(tmp_path)
    take_annotated(instances, annotations, tmp_path, but_for=[])
    for name, table in read(tmp_path).items():
        assert_frame_equal(table, expected[name].sort("study_id", maintain_order=True))
