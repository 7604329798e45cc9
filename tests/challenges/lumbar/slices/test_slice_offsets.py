import numpy as np
import polars as pl

from lsdc.challenges.lumbar.annotations.patient_space import place_annotations
from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.coordinates.landmarks import annotated_landmarks
from lsdc.challenges.lumbar.slices.choose import choose_slices
from lsdc.challenges.lumbar.slices.slice_offsets import measure_offsets
from lsdc.challenges.lumbar.vocabulary import Condition


def answers(walked) -> pl.DataFrame:
    return pl.read_csv(walked.competition.root / "answers" / "points.csv")


def test_annotated_points_match_the_phantoms_answers(walked) -> None:
    both = walked.points.filter(source="annotated").join(answers(walked), on=["study_id", "level"])
    error = (
        both.select("x_mm", "y_mm", "z_mm").to_numpy()
        - both.select("x_mm_right", "y_mm_right", "z_mm_right").to_numpy()
    )
    # An annotation lies on a slice, so without subarticular points its error across the slice is
    # up to half a slice gap.
    assert len(both) >= 25
    assert np.abs(error).max() < 2.5
    assert np.median(np.linalg.norm(error, axis=1)) < 0.1


def test_sagittal_offset_increases_to_the_patients_left(walked) -> None:
    """The slices nearest to the true position of a foramen have the sign of its side."""
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


def test_axial_offset_increases_towards_the_head(walked) -> None:
    axial = walked.table("slices").filter(pl.col("series_description") == "Axial T2")
    for _, stack in axial.group_by("study_id", "series_id", "instance_number"):
        # Seen from a lower level, the same slice lies higher.
        offsets = stack.sort("level")["offset_mm"].to_list()
        assert offsets == sorted(offsets)


def test_level_point_projected_onto_its_annotated_slice_is_the_annotation(walked) -> None:
    canal = walked.competition.annotations.filter(condition="spinal_canal_stenosis")
    both = canal.join(
        walked.table("slices"),
        on=["study_id", "series_id", "instance_number", "level"],
        suffix="_found",
    )
    assert len(both) >= 25
    assert (both["x_px"] - both["x_px_found"]).abs().max() < 1e-6
    assert (both["y_px"] - both["y_px_found"]).abs().max() < 1e-6
    # The point was centred on the midline across its slice, by at most half a slice gap.
    assert both["offset_mm"].abs().max() < 2.4


def test_planted_swap_of_sides_is_the_only_conflict(walked, tmp_path) -> None:
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
    measure_offsets(walked.table("instances"), walked.points, swapped, tmp_path)

    conflicts = pl.read_parquet(tmp_path / "conflicts.parquet")
    assert conflicts.select("study_id", "level").unique().row(0, named=True) == key
    assert len(conflicts) == 2
    assert (conflicts["named_side"] != conflicts["side"]).all()


def test_order_of_instances_does_not_matter(walked, tmp_path) -> None:
    shuffled = walked.table("instances").sample(fraction=1.0, shuffle=True, seed=3)
    measure_offsets(shuffled, walked.points, walked.competition.annotations, tmp_path)
    key = ["study_id", "series_id", "instance_number", "level"]
    again = pl.read_parquet(tmp_path / "slices.parquet").sort(key)
    assert again.equals(walked.table("slices").sort(key))


def test_annotations_without_a_usable_file_are_dropped(walked) -> None:
    annotations = walked.competition.annotations
    lost = annotations.with_columns(instance_number=pl.lit(99999, dtype=pl.Int64))
    assert place_annotations(walked.table("instances"), lost).is_empty()


def stored_otherwise(instances: pl.DataFrame) -> pl.DataFrame:
    """Return the same images with each row stored in the opposite direction."""
    orientation = instances["orientation"].to_numpy().copy()
    width_mm = (instances["columns"] - 1).to_numpy() * instances["column_spacing_mm"].to_numpy()
    position = instances["position_mm"].to_numpy() + orientation[:, :3] * width_mm[:, None]
    orientation[:, :3] *= -1
    return instances.with_columns(
        pl.Series("position_mm", position).cast(pl.Array(pl.Float64, 3)),
        pl.Series("orientation", orientation).cast(pl.Array(pl.Float64, 6)),
    )


def test_offsets_do_not_depend_on_the_stored_direction_of_rows(walked, tmp_path) -> None:
    instances = walked.table("instances")
    measure_offsets(stored_otherwise(instances), walked.points, None, tmp_path)
    before = walked.table("slices")
    after = pl.read_parquet(tmp_path / "slices.parquet")
    assert (after["offset_mm"] - before["offset_mm"]).abs().max() < 1e-9
    assert (after["inside"] == before["inside"]).all()
    flipped = after["patient_left_is_image_right"] != before["patient_left_is_image_right"]
    assert flipped.filter(before["series_description"] == "Axial T2").all()
    columns = before.join(instances, on=["study_id", "series_id", "instance_number"])["columns"]
    assert (after["x_px"] + before["x_px"] - (columns - 1)).abs().max() < 1e-6


def test_offset_from_a_landmark_is_zero_on_its_own_slice(walked, tmp_path) -> None:
    instances, annotations = walked.table("instances"), walked.competition.annotations
    landmarks = annotated_landmarks(walked.points, instances, annotations)
    measure_offsets(instances, walked.points, None, tmp_path, landmarks=landmarks)
    slices = pl.read_parquet(tmp_path / "slices.parquet")
    key = ["study_id", "series_id", "instance_number", "level"]
    for condition in list(Condition)[1:]:
        own = annotations.filter(condition=str(condition)).join(slices, on=key)
        assert len(own) > 20
        assert own[f"{condition.side}_offset_mm"].abs().max() < 1e-6
    side = pl.col("series_description") != "Axial T2"
    beside = slices.filter(side, pl.col("left_offset_mm").abs() < 1)
    assert len(beside)
    assert (beside["offset_mm"] > 0).all()


def test_side_offsets_are_null_without_landmarks(walked) -> None:
    slices = walked.table("slices")
    assert slices["left_offset_mm"].null_count() == slices["right_offset_mm"].null_count()
    assert slices["left_offset_mm"].null_count() == len(slices)


def test_slices_of_another_plane_show_no_level(walked, tmp_path) -> None:
    """A localizer within a sagittal series, or a coronal slice among axial ones."""
    instances = walked.table("instances")
    coronal = [1.0, 0.0, 0.0, 0.0, 0.0, -1.0]
    odd = pl.col("instance_number") == pl.col("instance_number").min().over("series_id")
    turned = instances.with_columns(
        orientation=pl.when(odd)
        .then(pl.lit(coronal, dtype=pl.List(pl.Float64)).list.to_array(6))
        .otherwise("orientation")
    )
    measure_offsets(turned, walked.points, None, tmp_path)
    slices = pl.read_parquet(tmp_path / "slices.parquet")
    assert not slices.filter(odd)["inside"].any()
    assert slices.filter(~odd)["inside"].any()
    chosen = choose_slices(slices, SlicesConfig())
    key = ["series_id", "instance_number"]
    assert chosen.join(instances.filter(odd), on=key, how="semi").is_empty()
    assert len(chosen) > 500


def test_truly_nearest_axial_slice_is_chosen_from_files(walked, tmp_path) -> None:
    instances = walked.table("instances")
    truth = answers(walked).select("study_id", "level", "x_mm", "y_mm", "z_mm")
    points = walked.points.drop("x_mm", "y_mm", "z_mm").join(truth, on=["study_id", "level"])
    measure_offsets(instances, points, None, tmp_path)
    config = SlicesConfig(side_slices=0, middle_slices=0, axial_slices=1)
    chosen = choose_slices(pl.read_parquet(tmp_path / "slices.parquet"), config)
    assert len(chosen) >= 25
    for study, level, series, number in chosen.select(
        "study_id", "level", "series_id", "instance_number"
    ).iter_rows():
        point = points.filter(study_id=study, level=level).select("x_mm", "y_mm", "z_mm").row(0)
        axial = instances.filter(study_id=study, series_description="Axial T2")
        orientation = axial["orientation"].to_numpy()
        normal = np.cross(orientation[:, :3], orientation[:, 3:])
        away = np.abs(np.sum((np.array(point) - axial["position_mm"].to_numpy()) * normal, axis=1))
        nearest = axial.row(int(away.argmin()), named=True)
        assert (series, number) == (nearest["series_id"], nearest["instance_number"])
