import numpy as np
import polars as pl

from lsdc.lumbar.places import place_annotations
from lsdc.lumbar.sides import find_sides
from lsdc.lumbar.vocabulary import Condition


def answers(walked) -> pl.DataFrame:
    return pl.read_csv(walked.competition.root / "answers" / "points.csv")


def test_annotated_points_lie_where_the_phantom_put_them(walked) -> None:
    both = walked.points.filter(source="annotated").join(answers(walked), on=["study_id", "level"])
    error = (
        both.select("x_mm", "y_mm", "z_mm").to_numpy()
        - both.select("x_mm_right", "y_mm_right", "z_mm_right").to_numpy()
    )
    # An annotation lies on a slice, so it may be half a slice gap off across the plane.
    assert len(both) >= 25
    assert np.abs(error).max() < 3.0


def test_sagittal_offset_grows_to_the_patients_left(walked) -> None:
    """The slices nearest to a foramen's true place have its side's sign."""
    sagittal = walked.table("slices").filter(pl.col("series_description") != "Axial T2")
    both = sagittal.join(answers(walked), on=["study_id", "level"])
    for side, sign in (("left", 1), ("right", -1)):
        expected = both[f"{side}_foramen_x_mm"] - both["x_mm"]
        assert (np.sign(expected) == sign).all()
        nearest = (
            both.with_columns(miss=(pl.col("offset_mm") - expected).abs())
            .sort("miss")
            .group_by("study_id", "series_id", "level", maintain_order=True)
            .first()
        )
        assert (np.sign(nearest["offset_mm"]) == sign).all()
        assert nearest["miss"].max() < 5.0


def test_axial_offset_grows_to_the_head(walked) -> None:
    axial = walked.table("slices").filter(pl.col("series_description") == "Axial T2")
    for _, stack in axial.group_by("study_id", "series_id", "instance_number"):
        # Seen from a lower level, the same slice lies higher.
        offsets = stack.sort("level")["offset_mm"].to_list()
        assert offsets == sorted(offsets)


def test_level_point_dropped_on_its_own_annotated_slice_is_the_annotation(walked) -> None:
    canal = walked.competition.annotations.filter(condition="spinal_canal_stenosis")
    both = canal.join(
        walked.table("slices"),
        on=["study_id", "series_id", "instance_number", "level"],
        suffix="_found",
    )
    assert len(both) >= 25
    assert (both["x_px"] - both["x_px_found"]).abs().max() < 1e-6
    assert (both["y_px"] - both["y_px_found"]).abs().max() < 1e-6
    assert both["offset_mm"].abs().max() < 1e-6


def test_phantom_has_no_conflict_and_a_planted_swap_is_found(walked, tmp_path) -> None:
    assert walked.table("conflicts").is_empty()

    annotations = walked.competition.annotations
    sided = annotations.filter(pl.col("condition").str.contains("foraminal"))
    victim = sided.row(0, named=True)
    key = {name: victim[name] for name in ("study_id", "level")}
    mirrored = {str(condition): str(condition.mirrored) for condition in Condition}
    swapped = annotations.with_columns(
        condition=pl.when(pl.struct(*key) == key, pl.col("condition").str.contains("foraminal"))
        .then(pl.col("condition").replace_strict(mirrored))
        .otherwise("condition")
    )
    find_sides(walked.table("instances"), walked.points, swapped, tmp_path)

    conflicts = pl.read_parquet(tmp_path / "conflicts.parquet")
    assert conflicts.select("study_id", "level").unique().row(0, named=True) == key
    assert len(conflicts) == 2
    assert (conflicts["named_side"] != conflicts["side"]).all()


def test_order_of_instances_does_not_matter(walked, tmp_path) -> None:
    shuffled = walked.table("instances").sample(fraction=1.0, shuffle=True, seed=3)
    find_sides(shuffled, walked.points, walked.competition.annotations, tmp_path)
    key = ["study_id", "series_id", "instance_number", "level"]
    again = pl.read_parquet(tmp_path / "slices.parquet").sort(key)
    assert again.equals(walked.table("slices").sort(key))


def test_annotations_on_no_usable_file_drop_out(walked) -> None:
    annotations = walked.competition.annotations
    lost = annotations.with_columns(instance_number=pl.lit(99999, dtype=pl.Int64))
    assert place_annotations(walked.table("instances"), lost).is_empty()
