"""The phantom: what no layer shows, what depth shows, its texture, and the same bytes again."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.stats import rankdata

from lsdc.challenges.ink.competition.pictures import picture_kind, read_mask
from lsdc.challenges.ink.competition.tables import Fragment, list_layers, open_competition
from lsdc.challenges.ink.phantom.cracks import STEPS, draw_cracks
from lsdc.challenges.ink.phantom.fragment import draw_sheet, paint
from lsdc.challenges.ink.phantom.order import Order, plan_parts
from lsdc.challenges.ink.phantom.writer import write_phantom
from lsdc.challenges.ink.scoring.metric import count, f_beta
from lsdc.challenges.ink.scoring.submission import score_submission
from lsdc.errors import SettingsError
from tests.challenges.ink.phantom.conftest import ORDER

LAGS = (1, 2, 5, 13, 20)


@pytest.fixture(scope="module")
def fragments(ink_phantom: Path) -> dict[str, Fragment]:
    return {fragment.name: fragment for fragment in open_competition(ink_phantom).fragments}


def read_volume(fragment: Fragment) -> np.ndarray:
    return np.stack([tifffile.imread(path) for path in list_layers(fragment.folder)])


def auc(ink: np.ndarray, bare: np.ndarray) -> float:
    ranks = rankdata(np.concatenate([ink, bare]))
    return float((ranks[: len(ink)].mean() - (len(ink) + 1) / 2) / len(bare))


def best_score(values: np.ndarray, labels: np.ndarray, mask: np.ndarray) -> float:
    """Return the F0.5 of the best threshold, on the labels themselves."""
    cuts = np.quantile(values[mask], np.linspace(0, 0.995, 80))
    return max(f_beta(mask & (values > cut), labels) for cut in cuts)


@pytest.mark.parametrize("name", ["1", "2", "3"])
def test_no_single_layer_shows_the_ink_but_its_depth_does(
    fragments: dict[str, Fragment], name: str
) -> None:
    volume = read_volume(fragments[name])
    mask, labels = read_mask(fragments[name].mask), read_mask(fragments[name].labels)
    bare = mask & ~labels
    assert max(abs(auc(layer[labels], layer[bare]) - 0.5) for layer in volume) < 0.03
    all_ones = f_beta(mask, labels)
    assert 0.19 < all_ones < 0.24
    single = max(
        max(best_score(sign * layer, labels, mask) for sign in (1, -1))
        for layer in volume[20:45].astype(np.float32)
    )
    assert single < 0.3
    # A filter along the layers, its maximum over them, and a blur along the sheet.
    away = np.arange(-5, 6) / 1.5
    weights = (1 - away**2) * np.exp(-0.5 * away**2)
    weights -= weights.mean()
    through = np.stack(
        [np.tensordot(weights, volume[z - 5 : z + 6], axes=1) for z in range(18, 46)]
    )
    found = cv2.GaussianBlur(through.max(axis=0).astype(np.float32), (0, 0), 3)
    assert best_score(found, labels, mask) > 0.5


def test_layers_are_16_bits_in_lzw_and_0_outside_of_a_jagged_mask(
    fragments: dict[str, Fragment],
) -> None:
    fragment = fragments["1"]
    with tifffile.TiffFile(list_layers(fragment.folder)[32]) as file:
        page = file.pages[0]
        assert (page.dtype, page.compression.name) == (np.uint16, "LZW")
    volume, mask = read_volume(fragment), read_mask(fragment.mask)
    assert not volume[:, ~mask].any()
    assert (volume[:, mask] > 0).mean() > 0.99
    assert not read_mask(fragment.labels)[~mask].any()
    around = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    longest = max(around, key=len)
    hull = cv2.convexHull(longest)
    assert cv2.arcLength(longest, True) > 1.3 * cv2.arcLength(hull, True)


def test_in_cracks_there_is_air_and_nothing_else_changes() -> None:
    order = Order(fragments=1, test=0, rows=96, columns=96, scale=12)
    (part,) = plan_parts(order)
    sheet = draw_sheet(order, part)
    cracks = np.zeros((2, *part.shape), dtype=np.uint8)
    cracks[1, 40:46] = 30 * STEPS
    uncracked, cracked = (
        np.concatenate([*paint(order, part, replace(sheet, cracks=each))], axis=1) / 65535
        for each in cracks
    )
    deep = (cracks[1] > 0) & sheet.mask
    shallow = cracked[22:40, deep]  # these layers are papyrus and fringes elsewhere
    assert shallow.mean() == pytest.approx(0.355, abs=0.01)
    assert shallow.std() < 0.04 < 0.1 < uncracked[22:40, deep].std()
    near = cv2.dilate(cracks[1], np.ones((5, 5)))  # a grain has 3 x 3 pixels
    assert np.array_equal(cracked[:, near == 0], uncracked[:, near == 0])


def test_cracks_lie_anywhere_in_frames_of_any_size() -> None:
    for seed, shape in enumerate([(64, 64), (96, 400), (400, 96)]):
        cracks = [draw_cracks(shape, 8, np.random.default_rng(each)) for each in (seed, seed, 9)]
        assert cracks[0].shape == shape
        assert np.array_equal(cracks[0], cracks[1])
        assert not np.array_equal(cracks[0], cracks[2])
    # Of twice the scale, they are half as wide.
    share = [(draw_cracks((900, 900), s, np.random.default_rng(0)) > 0).mean() for s in (4, 8)]
    assert 0.005 < share[0] < 0.08
    assert share[1] == pytest.approx(share[0], rel=0.7)


def test_means_by_layer_have_a_crest_below_the_surface_and_a_trough_above(
    fragments: dict[str, Fragment],
) -> None:
    means = {
        name: read_volume(fragment)[:, read_mask(fragment.mask)].mean(axis=1) / 65535
        for name, fragment in fragments.items()
    }
    assert means["1"][[0, 28, 36, 60]] == pytest.approx([0.375, 0.44, 0.30, 0.355], abs=0.03)
    assert [int(means[name].argmax()) for name in "12a"] == pytest.approx([28, 28, 28], abs=1)
    assert int(means["3"].argmax()) - int(means["1"].argmax()) == pytest.approx(5, abs=1)


def correlations(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the autocorrelation along x and along y, (2, lags), inside a mask."""
    away = np.where(mask, picture - picture[mask].mean(), 0.0)
    found = []
    for turned, inside in ((away, mask), (away.T, mask.T)):
        for lag in LAGS:
            both = inside[:, lag:] & inside[:, :-lag]
            product = turned[:, lag:] * turned[:, :-lag]
            found.append(product[both].mean() / picture[mask].var())
    return np.array(found).reshape(2, len(LAGS))


def test_the_texture_is_near_that_of_a_real_layer(real_data: Path) -> None:
    real = np.asarray(Image.open(real_data / "ink" / "layer32-1510x1164.png")).astype(float)
    expected = correlations(real, read_mask(real_data / "ink" / "mask-1510x1164.png"))
    order = Order(fragments=2, test=0, rows=384, columns=384, scale=5.42)
    for part in plan_parts(order):
        sheet = draw_sheet(order, part)
        layer = np.concatenate([band[32] for band in paint(order, part, sheet)]) / 257
        found = correlations(layer, sheet.mask)
        # The fibres of a turned part run along y.
        assert found[:: -1 if part.turned else 1] == pytest.approx(expected, abs=0.17)
        assert layer[sheet.mask].mean() == pytest.approx(real[real > 0].mean(), abs=10)
        assert layer[sheet.mask].std() == pytest.approx(31.1, abs=3)


def test_pictures_are_of_several_kinds(fragments: dict[str, Fragment]) -> None:
    assert [picture_kind(fragments[name].labels) for name in "123"] == ["P", "L", "1"]
    assert [picture_kind(fragments[name].mask) for name in "123"] == ["L", "RGB", "1"]
    assert all((fragments[name].folder / "ir.png").is_file() for name in "123")


def test_the_answers_are_the_right_submission(
    ink_phantom: Path, fragments: dict[str, Fragment], tmp_path: Path
) -> None:
    answers = ink_phantom / "answers"
    for name in "ab":
        (tmp_path / "train").mkdir(exist_ok=True)
        (tmp_path / "train" / name).symlink_to(answers / name)
        assert not fragments[name].labels.exists()
    scores, _ = score_submission(answers / "inklabels_rle.csv", tmp_path)
    assert scores == {"score": 1, "a": 1, "b": 1}
    own, _ = score_submission(_joined_runs(ink_phantom, tmp_path), ink_phantom)
    assert own == {"score": 1, "1": 1, "2": 1, "3": 1}
    assert (ink_phantom / "sample_submission.csv").read_text().startswith("Id,Predicted\na,1 1 5 1")
    truth = json.loads((answers / "parts.json").read_text())
    assert [name for name, each in truth.items() if each["turned"]] == ["2", "a"]
    assert truth["3"]["surface"] - truth["1"]["surface"] == 5


def _joined_runs(root: Path, out: Path) -> Path:
    rows = [
        (root / "train" / name / "inklabels_rle.csv").read_text().splitlines()[1] for name in "123"
    ]
    path = out / "train.csv"
    path.write_text("\n".join(["Id,Predicted", *rows]) + "\n")
    return path


def test_letters_are_strokes_of_the_real_width(fragments: dict[str, Fragment]) -> None:
    labels = read_mask(fragments["1"].labels)
    within = cv2.distanceTransform(labels.astype(np.uint8), cv2.DIST_L2, 5)
    widest = 2 * np.quantile(within[labels], 0.95) * ORDER.scale
    assert 110 < widest < 240
    assert cv2.connectedComponents(labels.astype(np.uint8))[0] > 4


def test_the_same_order_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    order = Order(fragments=1, test=1, rows=96, columns=80, scale=16)
    for name, each in (("a", order), ("b", order), ("c", replace(order, seed=1))):
        write_phantom(tmp_path / name, each)
    files = [path.relative_to(tmp_path / "a") for path in sorted((tmp_path / "a").rglob("*.*"))]
    assert len(files) > 2 * 65
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    one, other = (tmp_path / name / "train/1/surface_volume/30.tif" for name in "ac")
    assert one.read_bytes() != other.read_bytes()
    labels = [read_mask(tmp_path / name / "train/1/inklabels.png") for name in "ac"]
    assert count(*labels).f_beta < 1


def test_progress_counts_layers(tmp_path: Path) -> None:
    told = list[tuple[int, int]]()
    order = Order(fragments=1, test=1, rows=64, columns=64, scale=16)
    write_phantom(tmp_path / "out", order, on_progress=lambda *now: told.append(now))
    assert told == [(number, 130) for number in range(1, 131)]


def test_folders_with_files_and_numbers_out_of_bounds_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SettingsError, match="not empty or not a folder"):
        write_phantom(tmp_path, Order())
    with pytest.raises(SettingsError, match=r"phantom scale: expected 1 to 16, got 0\.5"):
        write_phantom(tmp_path / "new", Order(scale=0.5))
    assert not (tmp_path / "new").exists()
