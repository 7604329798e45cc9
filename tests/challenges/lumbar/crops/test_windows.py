"""Windows of crops follow their settings, whatever the order and spacing of the files."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.annotations.patient_space import planes_of
from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.coordinates.landmarks import annotated_landmarks
from lsdc.challenges.lumbar.coordinates.level_planes import level_normals
from lsdc.challenges.lumbar.crops.windows import window_maps
from lsdc.challenges.lumbar.slices.choose import choose_slices
from lsdc.errors import DataError

SIZE = 32
AXIAL = pl.col("series_description") == "Axial T2"
FILE = ["study_id", "series_id", "instance_number"]


@pytest.fixture(scope="module")
def chosen(walked) -> pl.DataFrame:
    instances = walked.table("instances").drop("split", "series_description")
    rows = choose_slices(walked.table("slices"), SlicesConfig())
    whole = rows.join(instances, on=FILE, how="left", maintain_order="left")
    return whole.with_columns(side=pl.lit(None, dtype=pl.String))


@pytest.fixture(scope="module")
def landmarks(walked) -> pl.DataFrame:
    return annotated_landmarks(
        walked.points, walked.table("instances"), walked.competition.annotations
    )


def places(chosen: pl.DataFrame, maps: np.ndarray, pixels: list[list[float]]) -> np.ndarray:
    """Return (n, k, 3), the positions of the crops' pixels in the patient."""
    image = np.asarray(pixels) @ maps[:, :, :2].transpose(0, 2, 1) + maps[:, None, :, 2]
    return planes_of(chosen).to_mm(image)


def frame(chosen: pl.DataFrame, landmarks: pl.DataFrame | None = None, **settings: Any):
    """Return the crops' centres and their steps of one pixel to the right and down, (n, 3) each."""
    config = CropsConfig(size_px=SIZE, **settings)
    middle = (SIZE - 1) / 2
    at = [[middle, middle], [middle + 1, middle], [middle, middle + 1]]
    mm = places(chosen, window_maps(chosen, landmarks, config), at)
    return mm[:, 0], mm[:, 1] - mm[:, 0], mm[:, 2] - mm[:, 0]


def level_points(chosen: pl.DataFrame) -> np.ndarray:
    return planes_of(chosen).to_mm(chosen.select("x_px", "y_px").to_numpy())


def is_axial(chosen: pl.DataFrame) -> np.ndarray:
    return chosen.select(AXIAL).to_series().to_numpy()


def test_window_in_mm_has_its_size_and_square_pixels_on_every_image(chosen) -> None:
    assert (chosen["row_spacing_mm"] != chosen["column_spacing_mm"]).any()
    _, right, down = frame(chosen, sagittal_window_mm=40, axial_window_mm=70)
    side = np.where(is_axial(chosen), 70, 40)
    for step in (right, down):
        np.testing.assert_allclose(np.linalg.norm(step, axis=1) * SIZE, side, atol=1e-6)
    np.testing.assert_allclose(np.sum(right * down, axis=1), 0, atol=1e-6)


def test_relative_window_is_a_fraction_of_the_longer_image_side(chosen) -> None:
    _, right, _ = frame(chosen, sagittal_window=0.2, axial_window=0.5)
    height = chosen["rows"] * chosen["row_spacing_mm"]
    width = chosen["columns"] * chosen["column_spacing_mm"]
    longer = np.maximum(height.to_numpy(), width.to_numpy())
    side = np.where(is_axial(chosen), 0.5, 0.2) * longer
    np.testing.assert_allclose(np.linalg.norm(right, axis=1) * SIZE, side, atol=1e-6)


def test_crop_directions_are_those_of_the_patient(chosen) -> None:
    _, right, down = frame(chosen)
    axial = is_axial(chosen)
    assert (right[axial, 0] > 0).all()  # the patient's left
    assert (down[axial, 1] > 0).all()  # the back
    assert (right[~axial, 1] > 0).all()
    assert (down[~axial, 2] < 0).all()  # the feet


@pytest.mark.parametrize("flips", [(1, 0), (0, 1), (1, 1)])
def test_flipped_images_give_the_same_windows(chosen, landmarks, flips: tuple[int, int]) -> None:
    settings = {"sagittal_offset": (0.3, -0.3), "tilt": True}
    by_columns, by_rows = flips
    last = chosen.select(pl.col("columns") - 1, pl.col("rows") - 1).to_numpy() * flips
    directions = chosen["orientation"].to_numpy().reshape(-1, 2, 3)
    senses = np.array([[-1.0 if by_columns else 1.0], [-1.0 if by_rows else 1.0]])
    pixels = chosen.select("x_px", "y_px").to_numpy()
    kind = chosen.schema["orientation"]
    stored = chosen.with_columns(
        pl.Series("position_mm", planes_of(chosen).to_mm(last.astype(float))).cast(
            chosen.schema["position_mm"]
        ),
        pl.Series("orientation", (directions * senses).reshape(-1, 6)).cast(kind),
        pl.Series("x_px", last[:, 0] + pixels[:, 0] * senses[0]),
        pl.Series("y_px", last[:, 1] + pixels[:, 1] * senses[1]),
    )
    for one, other in zip(
        frame(chosen, landmarks, **settings), frame(stored, landmarks, **settings), strict=True
    ):
        np.testing.assert_allclose(other, one, atol=1e-6)


def test_windows_are_centred_on_the_level_point_or_the_image(chosen) -> None:
    np.testing.assert_allclose(frame(chosen)[0], level_points(chosen), atol=1e-6)
    middle = (chosen.select("columns", "rows").to_numpy() - 1) / 2
    middle_mm = planes_of(chosen).to_mm(middle)
    found = frame(chosen, axial_centre="image", sagittal_centre="image")[0]
    np.testing.assert_allclose(found, middle_mm, atol=1e-6)
    axial_alone = frame(chosen, axial_centre="image")[0]
    expected = np.where(is_axial(chosen)[:, None], middle_mm, level_points(chosen))
    np.testing.assert_allclose(axial_alone, expected, atol=1e-6)


def on_slices(chosen: pl.DataFrame, landmarks: pl.DataFrame, condition: str) -> np.ndarray:
    """Return (n, 3), the landmark of each row's level, projected onto the slice."""
    own = landmarks.filter(condition=condition).select("study_id", "level", "x_mm", "y_mm", "z_mm")
    table = chosen.select("study_id", "level").join(
        own, on=["study_id", "level"], how="left", maintain_order="left"
    )
    planes = planes_of(chosen)
    return planes.to_mm(planes.to_pixel(table.select("x_mm", "y_mm", "z_mm").to_numpy()))


def test_side_slices_are_centred_on_the_foramen_of_their_side(chosen, landmarks) -> None:
    both = {"sagittal_centre": "landmark", "axial_centre": "landmark"}
    middles = frame(chosen, landmarks, **both)[0]
    for side, sign in (("left", 1), ("right", -1)):
        far = chosen.select(~AXIAL & (pl.col("offset_mm") * sign > 13)).to_series().to_numpy()
        foramen = on_slices(chosen, landmarks, f"{side}_neural_foraminal_narrowing")
        assert far.sum() > 20
        np.testing.assert_allclose(middles[far], foramen[far], atol=1e-6)
    near = chosen.select(AXIAL | (pl.col("offset_mm").abs() < 5)).to_series().to_numpy()
    canal = on_slices(chosen, landmarks, "spinal_canal_stenosis")
    np.testing.assert_allclose(middles[near], canal[near], atol=1e-6)


@pytest.mark.parametrize("side", ["left", "right"])
def test_axial_windows_of_a_side_are_centred_on_its_subarticular_zone(
    chosen, landmarks, side: str
) -> None:
    sided = chosen.with_columns(side=pl.lit(side))
    middles = frame(sided, landmarks, axial_centre="landmark")[0]
    zone = on_slices(chosen, landmarks, f"{side}_subarticular_stenosis")
    np.testing.assert_allclose(middles[is_axial(chosen)], zone[is_axial(chosen)], atol=1e-6)


def test_only_axial_windows_of_a_right_side_are_mirrored(chosen) -> None:
    for both, mirrored in zip(
        frame(chosen), frame(chosen.with_columns(side=pl.lit("right"))), strict=True
    ):
        sagittal = ~is_axial(chosen)
        np.testing.assert_allclose(mirrored[sagittal], both[sagittal], atol=1e-9)
    right, left = (
        frame(chosen.with_columns(side=pl.lit(side)))[1][is_axial(chosen)]
        for side in ("right", "left")
    )
    np.testing.assert_allclose(right, -left, atol=1e-9)


def test_offset_moves_sagittal_windows_by_fractions_of_their_edge(chosen) -> None:
    middles, right, down = frame(chosen, sagittal_offset=(0.3, -0.25))
    still = frame(chosen)[0]
    axial = is_axial(chosen)[:, None]
    expected = np.where(axial, still, still + SIZE * (0.3 * right - 0.25 * down))
    np.testing.assert_allclose(middles, expected, atol=1e-6)


def test_tilt_aligns_only_sagittal_windows_with_the_spine(chosen, landmarks) -> None:
    _, _, down = frame(chosen, landmarks, tilt=True)
    _, _, untilted = frame(chosen)
    axial = is_axial(chosen)
    np.testing.assert_allclose(down[axial], untilted[axial], atol=1e-9)
    normals = chosen.join(
        level_normals(landmarks.filter(condition="spinal_canal_stenosis")),
        on=["study_id", "level"],
        how="left",
        maintain_order="left",
    )
    across = planes_of(chosen).normal
    spine = -normals.select("normal_x", "normal_y", "normal_z").to_numpy()
    spine -= np.sum(spine * across, axis=1)[:, None] * across
    cosine = np.sum(spine * down, axis=1) / np.linalg.norm(spine, axis=1)
    cosine /= np.linalg.norm(down, axis=1)
    np.testing.assert_allclose(cosine[~axial], 1, atol=1e-9)
    turned = np.sum(down * untilted, axis=1) / np.linalg.norm(untilted, axis=1) ** 2
    assert turned[~axial].min() < 0.95


@pytest.mark.parametrize(
    "settings", [{"tilt": True}, {"axial_centre": "landmark"}, {"sagittal_centre": "landmark"}]
)
def test_missing_landmarks_are_refused(chosen, settings) -> None:
    with pytest.raises(DataError, match=r"landmarks\.parquet"):
        window_maps(chosen, None, CropsConfig(**settings))


def test_empty_table_gives_no_windows(chosen) -> None:
    assert window_maps(chosen.clear(), None, CropsConfig()).shape == (0, 2, 3)
