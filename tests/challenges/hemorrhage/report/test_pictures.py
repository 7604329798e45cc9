"""Pictures: the slices of a study in order, with labels and predictions, and cases of a report."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from lsdc.challenges.hemorrhage.challenge import HEMORRHAGE
from lsdc.challenges.hemorrhage.report.pictures import attention, sheet
from lsdc.challenges.hemorrhage.report.pictures.attention import Attention, find_attention
from lsdc.challenges.hemorrhage.report.pictures.cases import draw_case, draw_pictures
from lsdc.challenges.hemorrhage.report.pictures.profile import LABEL_COLOURS, draw_profile
from lsdc.challenges.hemorrhage.report.pictures.stacks import Stack, Stacks, Stored
from lsdc.challenges.hemorrhage.report.words import LABEL_NAMES
from lsdc.challenges.hemorrhage.scoring.metric import PARTS
from lsdc.errors import DataError
from lsdc.report.drawing import GROUND, ROOM, Box
from lsdc.store.home import Home
from tests.challenges.hemorrhage.report.made_run import (
    SLICES,
    TEST_STUDY,
    UNREADABLE,
    study_of,
    write_run,
)
from tests.report.reading import read_page

RUN = "ich-demo"
NONE = Attention(without="no fold has weights")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return write_run(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def stacks(home: Home) -> Stacks:
    return Stacks(home, RUN)


def plant(slices: int, labels: dict[int, list[str]], windows: int = 3) -> Stack:
    """Return a study of white squares; a label is predicted with 0.9 where it is, else 0.1."""
    truth = np.zeros((slices, len(PARTS)))
    for place, names in labels.items():
        for name in names:
            truth[place, PARTS.index(name)] = 1
    white = np.full((windows, 8, 8), 255, dtype=np.uint8)
    table = {
        "image_id": [f"ID_{place:09x}" for place in range(slices)],
        "slice": list(range(1, slices + 1)),
        "along_mm": [5.0 * place for place in range(slices)],
    }
    given = np.where(truth == 1, 0.9, 0.1)
    stored = tuple(Stored(Path("slices"), place) for place in range(slices))
    return Stack(
        study_id="ID_1",
        split="train",
        slices=pl.DataFrame(table),
        pixels=(white,) * slices,
        labels=truth,
        probabilities=given,
        folds=(0,) * slices,
        stored=stored,
    )


def test_a_study_is_read_in_order_with_its_own_labels_and_predictions(
    home: Home, stacks: Stacks
) -> None:
    stack = stacks.read(study_of(0))
    oof = pl.read_parquet(home.run(RUN) / "oof.parquet").filter(study_id=study_of(0))
    assert stack.slices["image_id"].to_list() == oof.sort("image_id")["image_id"].to_list()
    assert np.array_equal(stack.probabilities, oof.sort("image_id").select(PARTS).to_numpy())
    labels = oof.sort("image_id").select(f"label_{part}" for part in PARTS).to_numpy()
    assert np.array_equal(stack.labels, labels)
    # The made images grow brighter from slice to slice.
    greys = [int(each[0, 12, 4]) for each in stack.pixels if each is not None]
    assert greys == [60 + 8 * place for place in range(SLICES) if place != 3]
    assert [place for place, each in enumerate(stack.pixels) if each is None] == [3]
    assert stack.find(UNREADABLE) == 3


def test_a_test_study_has_predictions_and_no_labels(home: Home, stacks: Stacks) -> None:
    stack = stacks.read(TEST_STUDY)
    predicted = pl.read_parquet(home.run(RUN) / "predictions.parquet").sort("image_id")
    assert np.array_equal(stack.probabilities, predicted.select(PARTS).to_numpy())
    assert np.isnan(stack.labels).all()
    assert stack.split == "test"
    assert len(stack) == SLICES


def test_a_held_out_study_has_the_mean_of_the_folds_models(tmp_path: Path) -> None:
    home = write_run(tmp_path, held_out=study_of(4))
    stack = Stacks(home, RUN).read(study_of(4))
    apart = pl.read_parquet(home.run(RUN) / "holdout.parquet").sort("image_id")
    assert np.array_equal(stack.probabilities, apart.select(PARTS).to_numpy())
    assert np.array_equal(stack.labels[:, -1], apart["label_any"].to_numpy())


@pytest.mark.parametrize(("slices", "windows"), [(1, 3), (4, 3), (5, 3), (34, 3), (7, 1), (9, 2)])
def test_a_sheet_shows_every_slice_in_every_window(slices: int, windows: int) -> None:
    stack = plant(slices, {}, windows)
    drawn = np.asarray(sheet.draw_sheet(stack, ["a window"] * windows, NONE, run=RUN))
    per_row = {1: 6, 2: 4, 3: 3}[windows]
    room = (sheet.WIDTH - 2 * sheet.MARGIN - sheet.GAP * (per_row - 1)) // per_row
    tile = room // windows
    white = (drawn == 255).all(axis=2)
    top = sheet.MARGIN + sheet.TITLE + sheet.LEGEND + sheet.MARK
    step = sheet.MARK + tile + sheet.CAPTION + sheet.ROW_GAP
    shown = 0
    for row in range(-(-slices // per_row)):
        middle = white[top + row * step + tile // 2]
        edges = np.flatnonzero(np.diff(np.r_[False, middle, False].astype(int)))
        shown += int(np.diff(edges)[::2].sum())
    assert shown == slices * windows * tile
    assert drawn.shape[1] == sheet.WIDTH


def test_labels_colour_the_strip_above_their_slice() -> None:
    stack = plant(4, {0: ["subdural", "any"], 2: ["epidural", "subarachnoid", "any"]})
    drawn = np.asarray(sheet.draw_sheet(stack, ["a", "b", "c"], NONE, run=RUN))
    strip = drawn[sheet.MARGIN + sheet.TITLE + sheet.LEGEND]
    colours = [tuple(map(int, each)) for each in strip]
    room = (sheet.WIDTH - 2 * sheet.MARGIN - sheet.GAP * 2) // 3
    lefts = [sheet.MARGIN + number * (room + sheet.GAP) for number in range(3)]
    assert colours[lefts[0] + 5] == colours[lefts[0] + room - 20] == LABEL_COLOURS["subdural"]
    assert colours[lefts[1] + 5] == GROUND
    assert colours[lefts[2] + 5] == LABEL_COLOURS["epidural"]
    assert colours[lefts[2] + room - 20] == LABEL_COLOURS["subarachnoid"]


def test_a_profile_has_curves_of_probabilities_over_bars_of_labels() -> None:
    stack = plant(10, {place: ["subdural"] for place in range(4, 10)})
    picture = Image.new("RGB", (1000, 640), GROUND)
    draw_profile(picture, Box(0, 0, 1000, 640), stack, names=LABEL_NAMES, size=17)
    drawn, height = np.asarray(picture), (640 - 17 - 8) / 6
    left = round(17 * 0.62 * len("Intraparenchymal")) + 12
    at = [round(left + (place + 0.5) * (1000 - left) / 10) for place in range(10)]
    row = PARTS.index("subdural")
    bar = drawn[round((row + 1) * height - 0.21 * height)]
    assert [tuple(bar[x]) == LABEL_COLOURS["subdural"] for x in at] == [False] * 4 + [True] * 6
    half = drawn[round(row * height + 0.4 * height)]
    assert tuple(half[at[0]]) == ROOM  # a probability of 0.1 is below one half
    assert tuple(half[at[-1]]) not in (ROOM, GROUND)
    other = drawn[round(height - 0.21 * height)]  # of epidural, which no slice has
    assert all(tuple(other[x]) == GROUND for x in at)


def test_the_likeliest_slices_are_mapped_by_the_models_that_did_not_learn_them(
    home: Home, stacks: Stacks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The maps themselves are made up: a child process makes them in the test of whole runs."""
    run = write_run(tmp_path)
    for fold in (0, 1, 2):
        (run.fold(RUN, fold) / "model.safetensors").touch()
    asked = {}

    def make_maps(_: Any, rows: dict[Path, list[int]], **__: Any) -> dict[tuple[Path, int], Any]:
        asked.update(rows)
        return {
            (model, row): np.full((6, 8, 8), int(model.name[-1]) / 10)
            * np.arange(1, 7)[:, None, None]
            for model, own in rows.items()
            for row in own
        }

    monkeypatch.setattr(attention, "map_occlusion", make_maps)
    stack = Stacks(run, RUN).read(study_of(0))
    found = find_attention(run, RUN, stack)
    (fold,) = {*stack.folds}
    assert [*asked] == [run.fold(RUN, fold)]
    anything = stack.labels[:, -1] + stack.probabilities[:, -1]
    there = [place for place in range(SLICES) if place != 3]  # that one has no pixels
    assert {*found.places} == {*sorted(there, key=lambda place: -anything[place])[:6]}
    assert list(found.places) == sorted(found.places)
    for place, label, moved in zip(found.places, found.labels, found.maps, strict=True):
        has = [part for part in PARTS[:-1] if stack.labels[place, PARTS.index(part)] == 1]
        assert label in (has or PARTS[:-1])
        assert moved == pytest.approx(np.full((8, 8), fold / 10 * (1 + PARTS.index(label))))
    asked.clear()
    of_test = find_attention(run, RUN, Stacks(run, RUN).read(TEST_STUDY))
    assert [*asked] == [run.fold(RUN, each) for each in (0, 1, 2)]
    mean = 0.1 * (1 + PARTS.index(of_test.labels[0]))
    assert of_test.maps[0] == pytest.approx(np.full((8, 8), mean))


def test_a_map_tints_where_it_is_high_and_a_missing_one_is_said() -> None:
    stack = plant(3, {1: ["subdural", "any"]})
    moved = np.zeros((8, 8))
    moved[1, 6] = 0.4
    maps = Attention((1,), ("subdural",), (moved,))
    drawn, without = (
        np.asarray(sheet.draw_sheet(stack, ["a"] * 3, each, run=RUN)).astype(int)
        for each in (maps, NONE)
    )
    inner = sheet.WIDTH - 2 * sheet.MARGIN
    side = attention.tile_side(inner)
    top = len(drawn) - sheet.MARGIN - attention.attention_height(maps, inner) + attention.TITLE
    red = drawn[top : top + side, sheet.MARGIN : sheet.MARGIN + side]
    red = red[:, :, 0] - red[:, :, 1]
    at = np.unravel_index(red.argmax(), red.shape)
    assert np.abs(np.array(at) - np.array([1.5, 6.5]) * side / 8).max() < side / 16
    assert red[side // 2 :].max() == 0
    assert len(drawn) - len(without) == side + attention.CAPTION


def test_inspect_writes_a_png_of_a_study(home: Home, tmp_path: Path) -> None:
    for study in (study_of(1), TEST_STUDY):
        HEMORRHAGE.inspect(home, RUN, study, tmp_path / f"{study}.png")
        with Image.open(tmp_path / f"{study}.png") as picture:
            assert picture.format == "PNG"
            assert picture.width == sheet.WIDTH
    with pytest.raises(DataError, match=r"study ID_x: no image in the results of the run"):
        HEMORRHAGE.inspect(home, RUN, "ID_x", tmp_path / "x.png")


def test_a_run_without_results_cannot_be_drawn(tmp_path: Path) -> None:
    home = write_run(tmp_path)
    (home.run(RUN) / "rests-on.json").unlink()
    with pytest.raises(DataError, match=r"run ich-demo: no index of images among its results"):
        HEMORRHAGE.inspect(home, RUN, study_of(1), tmp_path / "x.png")


def test_a_run_without_prepared_slices_cannot_be_drawn(tmp_path: Path) -> None:
    home = write_run(tmp_path)
    for path in (tmp_path / "slices").glob("*/slices.npy"):
        path.unlink()
    with pytest.raises(DataError, match=r"run ich-demo: no prepared slices among its results"):
        HEMORRHAGE.inspect(home, RUN, study_of(1), tmp_path / "x.png")


@pytest.mark.parametrize(("at", "there"), [(0, [False, True]), (1, [True, True])])
def test_a_case_shows_the_slice_and_its_neighbours(at: int, there: list[bool]) -> None:
    drawn = np.asarray(draw_case(plant(3, {}), at, ["a", "b", "c"]))
    big = (720 - 2 * 6) // 3
    small = (720 - 5 * 6) // 6
    white = (drawn == 255).all(axis=2)
    assert white[big // 2].sum() == 3 * big
    row = white[big + 6 + small // 2]
    assert [bool(row[:360].sum() == 3 * small), bool(row[360:].sum() == 3 * small)] == there


def test_pictures_are_small_and_say_what_they_show(home: Home) -> None:
    (picture,) = draw_pictures(home, RUN, [(UNREADABLE, "subdural")]).values()
    with Image.open(io.BytesIO(picture.image)) as image:
        assert image.format == "WEBP"
        assert image.size == (picture.width, picture.height)
    assert len(picture.image) < 60_000
    assert picture.seen[0].startswith("Shown for subdural: slice 4 of 11, at 15.0 mm")
    assert len(picture.seen) == 7


def test_a_report_has_as_many_pictures_as_asked_for_each_of_another_image(
    home: Home, tmp_path: Path
) -> None:
    said: list[str] = []
    source = HEMORRHAGE.read_run(home, RUN)
    HEMORRHAGE.write_report([source], tmp_path / "report.html", images=9, say=said.append)
    page = read_page((tmp_path / "report.html").read_text())
    pictures = [each for each in page.loaded if each.startswith("data:image/webp")]
    assert len(pictures) == 9
    assert said == ["drawing the images of 9 cases"]
    for name in LABEL_NAMES.values():
        assert f"{name} {name}, slice" in page.words  # a list of each label


def test_a_report_says_why_it_has_no_pictures(tmp_path: Path) -> None:
    home = write_run(tmp_path)
    source = HEMORRHAGE.read_run(home, RUN)
    (home.run(RUN) / "rests-on.json").unlink()
    HEMORRHAGE.write_report([source], tmp_path / "report.html", images=9, say=print)
    page = read_page((tmp_path / "report.html").read_text())
    assert "The images could not be drawn: run ich-demo: no index of images" in page.words
