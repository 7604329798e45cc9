"""Layers and masks that are missing or damaged: named, replaced, and no other fragment suffers."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tifffile

from lsdc.challenges.ink.predict.fragments import predict_fragments
from lsdc.challenges.ink.predict.models import TrainedModels
from lsdc.challenges.ink.predict.outcome import FragmentOutcome
from lsdc.predict.results import Prediction
from tests.challenges.ink.made_fragments import write_picture
from tests.challenges.ink.predict.conftest import SHAPES

pytestmark = pytest.mark.usefixtures("same_process")

Damage = Callable[[Path], object]


@pytest.fixture
def data(competition: Path, tmp_path: Path) -> Path:
    """Copy the competition, to be changed."""
    return Path(shutil.copytree(competition, tmp_path / "data"))


def predicted(
    data: Path, models: TrainedModels, out: Path
) -> tuple[Prediction[FragmentOutcome], FragmentOutcome]:
    """Predict a folder; return the prediction, and what is said of fragment a."""
    found = predict_fragments(data, models, out, device="cpu", pictures=False)
    assert found.studies[0].fragment == "a"
    return found, found.studies[0]


def layer(data: Path, number: int, fragment: str = "a") -> Path:
    return data / "test" / fragment / "surface_volume" / f"{number:02}.tif"


def copy_over(data: Path, numbers: dict[int, int]) -> None:
    """Write a layer's file in place of others."""
    for number, by in numbers.items():
        shutil.copyfile(layer(data, by), layer(data, number))


def map_of(out: Path, fragment: str = "a") -> np.ndarray:
    return np.load(out / "maps" / f"{fragment}.npy")


def missing(path: Path) -> None:
    path.unlink()


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def of_another_size(path: Path) -> None:
    tifffile.imwrite(path, np.ones((20, 30), np.uint16))


def damaged_in_the_middle(path: Path) -> None:
    pixels = tifffile.imread(path)
    tifffile.imwrite(path, pixels, compression="lzw", rowsperstrip=8)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        start = file.pages[0].dataoffsets[5]  # type: ignore[union-attr]
    content[start : start + 300] = b"\x00" * 300
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (missing, "no such file"),
        (cut_off, "it ends at row 61"),
        (of_another_size, "20 rows by 30 columns, expected 64 rows by 48 columns"),
        (damaged_in_the_middle, "strip or tile 5"),
    ],
)
def test_a_layer_that_cannot_be_used_is_named_and_replaced_by_the_nearest(
    damage: Damage, reason: str, data: Path, models: TrainedModels, tmp_path: Path
) -> None:
    whole = Path(shutil.copytree(data, tmp_path / "whole"))
    damage(layer(data, 30))
    found, fragment = predicted(data, models, tmp_path / "out")
    assert fragment.replaced == {30: 29}
    assert fragment.doubts == ["1 layer replaced by the nearest: 30 by 29"]
    ((path, why),) = found.quarantine.select("path", "reason").iter_rows()
    assert path == "test/a/surface_volume/30.tif"
    assert reason in why
    copy_over(whole, {30: 29})
    predicted(whole, models, tmp_path / "expected")
    for name in SHAPES:  # the other fragment is not touched either
        assert np.array_equal(map_of(tmp_path / "out", name), map_of(tmp_path / "expected", name))
    assert found.studies[1].doubts == []
    files = pl.read_csv(tmp_path / "out/files.csv")
    assert files.filter(path=path)["used_as"].to_list() == [None] * (damage is not missing)


def test_several_layers_are_replaced_by_the_nearest_that_is_whole(
    data: Path, models: TrainedModels, tmp_path: Path
) -> None:
    whole = Path(shutil.copytree(data, tmp_path / "whole"))
    for number, damage in ((30, cut_off), (31, missing), (32, damaged_in_the_middle)):
        damage(layer(data, number))
    _, fragment = predicted(data, models, tmp_path / "out")
    assert fragment.replaced == {30: 29, 31: 29, 32: 33}
    copy_over(whole, {30: 29, 31: 29, 32: 33})
    predicted(whole, models, tmp_path / "expected")
    assert np.array_equal(map_of(tmp_path / "out"), map_of(tmp_path / "expected"))


def test_a_fragment_without_any_layer_has_an_empty_mask_and_the_others_are_predicted(
    data: Path, models: TrainedModels, tmp_path: Path
) -> None:
    for number in range(65):
        layer(data, number).write_bytes(b"no TIFF")
    out = tmp_path / "out"
    found, fragment = predicted(data, models, out)
    assert (fragment.source, fragment.doubts) == ("prior", ["an empty mask: no layer can be used"])
    assert len(found.quarantine) == 65
    rows = pl.read_csv(out / "submission.csv", infer_schema=False)
    assert rows["Id"].to_list() == ["b", "a"]
    assert rows["Predicted"].is_null().to_list() == [False, True]
    (own, _) = json.loads((out / "predictions.json").read_text())["fragments"]
    assert (own["predicted_from"], own["map"]) == ("prior", None)
    assert not (out / "maps/a.npy").exists()


@pytest.mark.parametrize("kind", ["missing", "of another size", "empty"])
def test_without_a_usable_mask_all_that_is_not_0_counts(
    kind: str, data: Path, models: TrainedModels, tmp_path: Path
) -> None:
    predicted(data, models, tmp_path / "expected")
    path = data / "test/a/mask.png"
    path.unlink()
    if kind == "of another size":
        write_picture(path, np.ones((20, 30), bool))
    elif kind == "empty":
        write_picture(path, np.zeros(SHAPES["a"], bool))
    found, fragment = predicted(data, models, tmp_path / "out")
    assert fragment.doubts == [
        "no mask that can be used, so all pixels count where a layer is not 0"
    ]
    assert found.quarantine["path"].to_list() == ["test/a/mask.png"]
    # The layers are 0 outside of the mask, and nowhere else.
    assert np.array_equal(map_of(tmp_path / "out"), map_of(tmp_path / "expected"))
