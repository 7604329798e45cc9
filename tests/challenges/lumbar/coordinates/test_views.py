"""Views: the positions of prepared pixels, and the handling of unreadable slices."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.coordinates.views import SAGITTAL, prepare_views
from tests.challenges.lumbar.coordinates.made_series import GEOMETRIES, series_with_a_spot


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_prepared_pixels_lie_on_their_planes(geometry, tmp_path):
    spot = np.array([2.0, -5.0, 10.0])
    instances = series_with_a_spot(tmp_path, spot, GEOMETRIES[geometry])
    series = prepare(instances, tmp_path)
    weight = np.load(tmp_path / "images.npy").astype(np.float64)
    weight[weight < 40] = 0
    y, x = np.indices(weight.shape[1:])
    origin, across, along = (part[:, None, None] for part in np.moveaxis(series.planes_mm, 1, 0))
    places = origin + x[None, ..., None] * across + y[None, ..., None] * along
    seen = (weight[..., None] * places).sum(axis=(0, 1, 2)) / weight.sum()
    assert np.linalg.norm(seen - spot) < 1.5
    # The slices always run from the patient's right to the left.
    assert (np.diff(series.planes_mm[:, 0, 0]) > 0).all()


def prepare(instances: pl.DataFrame, folder: Path):
    return prepare_views(
        instances,
        SAGITTAL,
        folder / "images.npy",
        size=64,
        field_mm=200.0,
        processes=1,
        on_progress=lambda *_: None,
    )


def test_series_is_scaled_as_a_whole_before_rounding(tmp_path):
    plain = GEOMETRIES["plain"]
    spot = np.array([0.0, -5.0, 10.0])
    prepare(series_with_a_spot(tmp_path, spot, plain), tmp_path)
    images = np.load(tmp_path / "images.npy")
    peaks = images.reshape(9, -1).max(axis=1)
    assert peaks[4] == 255
    assert peaks[0] < 100  # far from the spot: dark, not stretched on its own


def test_unreadable_slice_is_listed_and_the_others_used(tmp_path):
    instances = series_with_a_spot(tmp_path, np.zeros(3), GEOMETRIES["plain"])
    (tmp_path / "3.dcm").write_bytes(b"")
    series = prepare(instances, tmp_path)
    assert series.starts.tolist() == [0, 8]
    assert [path for path, _ in series.unreadable] == [str(tmp_path / "3.dcm")]


def test_series_without_a_readable_slice_is_left_out(tmp_path):
    instances = series_with_a_spot(tmp_path, np.zeros(3), GEOMETRIES["plain"][:2])
    for k in range(2):
        (tmp_path / f"{k}.dcm").write_text("no image")
    series = prepare(instances, tmp_path)
    assert series.starts.tolist() == [0]
    assert len(series.unreadable) == 2


def test_row_order_does_not_matter(tmp_path):
    instances = series_with_a_spot(tmp_path, np.zeros(3), GEOMETRIES["mixed shapes"])
    prepare(instances, tmp_path)
    before = (tmp_path / "images.npy").read_bytes()
    prepare(instances.sample(fraction=1, shuffle=True, seed=1), tmp_path)
    assert (tmp_path / "images.npy").read_bytes() == before
