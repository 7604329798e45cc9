"""Which parts of a study's slices the predictions rest on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lsdc.challenges.hemorrhage.config.experiment import Experiment
from lsdc.challenges.hemorrhage.report.pictures.profile import LABEL_COLOURS
from lsdc.challenges.hemorrhage.report.pictures.stacks import Stack, Stored
from lsdc.challenges.hemorrhage.report.pictures.tiles import draw_tile
from lsdc.challenges.hemorrhage.report.words import SHORT_NAMES
from lsdc.challenges.hemorrhage.scoring.metric import PARTS
from lsdc.challenges.hemorrhage.training.occlusion import map_occlusion
from lsdc.challenges.hemorrhage.vocabulary import Label
from lsdc.report.drawing import BRIGHT, DIM, Box, tint, write
from lsdc.store.home import Home
from lsdc.store.runs import EXPERIMENT_FILE
from lsdc.training.trained_fold import WEIGHTS

PER_ROW = 6
TITLE, CAPTION, GAP = 58, 30, 14
_LEAST_DEEPEST = 0.01  # smaller effects are not drawn in the deepest red, as they hardly matter

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Attention:
    """The maps of the slices of a study that count most.

    Attributes:
        places: the slices, as places in the stack, in order.
        labels: for each the label that is mapped.
        maps: for each (cells, cells): by how much hiding a part moves the label's probability.
        without: why there are none; empty if there are.
    """

    places: Sequence[int] = ()
    labels: Sequence[str] = ()
    maps: Sequence[Floats] = ()
    without: str = ""


def find_attention(home: Home, run: str, stack: Stack) -> Attention:
    """Map the slices of a study that have, or most likely have, a haemorrhage; PER_ROW at most.

    A slice is mapped by the models that predicted it, the one of its fold or those of all folds,
    of which the mean is taken; and for the subtype that it has or that is the most likely.

    Raises:
        DataError, SettingsError, StageError: see `training.occlusion.map_occlusion`.
    """
    folder = home.run(run)
    weights = folder.glob(f"fold-*/{WEIGHTS}")
    trained = {int(path.parent.name.removeprefix("fold-")): path.parent for path in weights}
    shown = _most_likely(stack)
    if not shown:
        return Attention(without="no slice of the study was prepared")
    models = {place: _models_of(stack.folds[place], trained) for place in shown}
    for place, own in models.items():
        if not own:
            fold = stack.folds[place]
            which = "no fold has" if fold is None else f"fold {fold} has no"
            return Attention(without=f"{which} weights ({WEIGHTS})")
    asked: dict[Path, dict[Path, list[int]]] = {}
    for place, (store, row) in shown.items():
        for model in models[place]:
            asked.setdefault(store, {}).setdefault(model, []).append(row)
    experiment = Experiment.model_validate_json((folder / EXPERIMENT_FILE).read_bytes())
    log = home.logs / "children.log"
    found = {
        store: map_occlusion(experiment, rows, slices=store, log=log)
        for store, rows in asked.items()
    }
    labels = [_shown_label(stack, place) for place in shown]
    maps = []
    for (place, (store, row)), label in zip(shown.items(), labels, strict=True):
        of_folds = [found[store][model, row] for model in models[place]]
        maps.append(np.mean(of_folds, axis=0)[PARTS.index(label)])
    return Attention(tuple(shown), labels, maps)


def draw_attention(sheet: Image.Image, box: Box, stack: Stack, attention: Attention) -> None:
    """Draw the maps as red over the first window of their slices, and what they show above."""
    write(sheet, (box.left, box.top), "What the slice models look at", size=20, colour=BRIGHT)
    if attention.without:
        line = f"Not known: {attention.without}."
        write(sheet, (box.left, box.top + 28), line, size=16, colour=DIM)
        return
    line = "Red: hiding this part moves the probability of the label; below, by how much at most."
    write(sheet, (box.left, box.top + 28), line, size=16, colour=DIM)
    side = tile_side(box.width)
    for number, place in enumerate(attention.places):
        left = box.left + number * (side + GAP)
        tile = Box(left, box.top + TITLE, side, side)
        pixels = stack.pixels[place]
        draw_tile(sheet, tile, None if pixels is None else pixels[0], "no pixels", size=14)
        moved, label = attention.maps[number], attention.labels[number]
        most = float(moved.max())
        tint(sheet, tile, moved / max(most, _LEAST_DEEPEST))
        at = (left, tile.bottom + 4)
        write(sheet, at, f"{stack.slices['slice'][place]}", size=18)
        words = f"{SHORT_NAMES[label]} {most:.2f}"
        right = (tile.right, tile.bottom + 6)
        write(sheet, right, words, size=15, colour=LABEL_COLOURS[label], anchor="ra")


def attention_height(attention: Attention, width: int) -> int:
    """Return the height in px that `draw_attention` needs in a box of this width."""
    return TITLE if attention.without else TITLE + tile_side(width) + CAPTION


def tile_side(width: int) -> int:
    """Return the edge in px of a tile in a box of this width."""
    return (width - (PER_ROW - 1) * GAP) // PER_ROW


def _most_likely(stack: Stack) -> dict[int, Stored]:
    """Return prepared slices by place: those with the label "any" first, the likeliest first."""
    number = PARTS.index(Label.ANY)
    likely = np.nan_to_num(stack.labels[:, number]) + np.nan_to_num(stack.probabilities[:, number])
    order = np.argsort(-likely, kind="stable").tolist()
    there = [(place, stored) for place in order if (stored := stack.stored[place]) is not None]
    return dict(sorted(there[:PER_ROW]))


def _models_of(fold: int | None, trained: Mapping[int, Path]) -> list[Path]:
    if fold is None:
        return [trained[each] for each in sorted(trained)]
    return [trained[fold]] if fold in trained else []


def _shown_label(stack: Stack, place: int) -> str:
    """Return the likeliest of the subtypes that a slice has, or of all if it has none."""
    own = stack.labels[place] == 1
    chances = np.nan_to_num(stack.probabilities[place]) + own
    chances[PARTS.index(Label.ANY)] = -1
    return PARTS[int(chances.argmax())]
