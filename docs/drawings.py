"""Draw the pictures of the explanations: `python -m docs.drawings` writes docs/pictures/*.svg.

They are narrow, so that they are readable on a phone.
"""

from collections.abc import Callable
from math import cos, radians, sin
from pathlib import Path

from docs.svg import Drawing

PICTURES = Path(__file__).parent / "pictures"
WIDTH = 560


def pipeline() -> str:
    """Draw the stages of a run, and what the test studies take from all folds."""
    d = Drawing(WIDTH, 452, "The stages of a run, from the index to the submission")
    d.panel(12, 12, 536, 138, "prepare: training studies")
    d.chain(("index", "folds", "annotations"), 44, 46, width=136, gap=34)
    d.chain(("coordinates", "sides", "crops"), 44, 102, width=136, gap=34)
    d.path("M 452 82 V 92 H 112 V 102")
    d.panel(12, 162, 536, 98, "train-folds: one model per fold")
    for n, name in enumerate(("fold 0", "fold 1", "fold ...")):
        d.box(44 + n * 112, 200, 96, 36, name, tone="b")
    d.box(410, 200, 110, 36, "oof: scores", tone="c")
    d.path("M 364 218 H 410")
    d.path("M 452 138 V 156 H 316 V 200")
    d.panel(12, 272, 536, 168, "submit: test studies")
    d.chain(("index", "coordinates", "sides"), 44, 318, width=136, gap=34)
    d.chain(("crops", "predict", "submission"), 44, 388, width=136, gap=34, tones="abc")
    d.path("M 452 354 V 366 H 112 V 388")
    d.path("M 44 120 H 32 V 306 H 282 V 318", dashed=True)
    d.path("M 92 236 V 248 H 22 V 377 H 282 V 388", dashed=True)
    return d.svg()


def geometry() -> str:
    """Draw which slices a level gets, by their distance from the level point."""
    d = Drawing(WIDTH, 692, "Slices are chosen by their distance from the level point")
    d.panel(12, 12, 536, 306, "From above: sagittal slices, 4 mm apart")
    middle, y, mm = 280, 170, 7.0
    d.shapes.append(
        f'<ellipse cx="{middle}" cy="{y}" rx="215" ry="95" fill="var(--a)" stroke="var(--line)"/>'
    )
    offsets = [4 * n + 1.5 for n in range(-6, 7)]
    tones = dict.fromkeys(offsets, "line")
    for tone, at, count in (("red", 0, 5), ("blue", -17, 3), ("blue", 17, 3)):
        nearest = sorted(offsets, key=lambda offset, at=at: abs(offset - at))
        tones |= dict.fromkeys(nearest[:count], tone)
    for offset, tone in tones.items():
        d.path(f"M {middle + offset * mm:g} 70 V 262", arrow=False, tone=tone)
    d.dot(middle, y + 20)
    for side, name in ((-1, "right foramen"), (1, "left foramen")):
        d.path(f"M {middle} {y + 20} H {middle + side * 17 * mm:g}")
        d.text(middle + side * 17 * mm, y - 46, "17 mm", "small middle blue")
        d.text(middle + side * 200, 60, name, "small middle")
    d.text(28, 284, "Patient space: +x is the patient's left.", "small")
    d.text(28, 304, "Instance numbers may run from either end.", "small")
    d.text(532, 284, "red: middle slices", "small end red")
    d.text(532, 304, "blue: side slices", "small end blue")
    d.panel(12, 330, 536, 350, "From the side: axial slices in tilted stacks")
    _draw_stacks(d)
    for n, line in enumerate(
        (
            "Each stack has an orientation",
            "of its own. Its slices count by",
            "the distance of the level point",
            "(dot) from their planes, over all",
            "stacks and series. Red: chosen.",
            "",
            "The number of a slice in its",
            "series says nothing about its",
            "level.",
        )
    ):
        d.text(336, 412 + 22 * n, line, "small")
    return d.svg()


def _draw_stacks(d: Drawing) -> None:
    """Draw three discs, the vertebrae above and below, and a stack of axial slices through each."""
    for x, y, tilt in ((150, 396, -6), (152, 476, 1), (164, 556, 14), (192, 636, 28)):
        d.shapes.append(
            f'<rect x="{x - 44}" y="{y - 25}" width="88" height="50" rx="9" fill="var(--c)" '
            f'stroke="var(--line)" transform="rotate({tilt} {x} {y})"/>'
        )
    for level, x, y, tilt in (
        ("L3/L4", 150, 436, -3),
        ("L4/L5", 157, 516, 7),
        ("L5/S1", 177, 596, 21),
    ):
        along, down = cos(radians(tilt)), sin(radians(tilt))
        for n in range(-2, 3):
            from_x, from_y = x - down * 11 * n - 70 * along, y + along * 11 * n - 70 * down
            d.path(
                f"M {from_x:.1f} {from_y:.1f} l {170 * along:.1f} {170 * down:.1f}",
                arrow=False,
                tone="red" if abs(n) < 2 else "line",
            )
        d.dot(x + 66 * along, y + 66 * down)
        d.text(26, y + 5 - 70 * down, level, "small strong")


def leakage() -> str:
    """Draw which models see which studies."""
    d = Drawing(WIDTH, 410, "What each model is trained on, and what it predicts")
    names = ("studies of fold 0", "studies of fold 1", "studies of fold 2", "held-out studies")
    d.text(300, 34, "model 0", "middle strong")
    d.text(390, 34, "model 1", "middle strong")
    d.text(480, 34, "model 2", "middle strong")
    for row, name in enumerate((*names, "test studies")):
        y = 50 + 52 * row
        d.text(24, y + 26, name)
        for fold in range(3):
            own = row == fold
            word = ("predicts" if own else "trains") if row < 3 else "predicts"
            tone = "c" if own else "b" if row < 3 else "a"
            d.box(258 + 90 * fold, y, 84, 40, word, tone=tone)
    d.box(24, 322, 18, 18, tone="c")
    d.text(52, 336, "out of fold: by the model that did not see the study")
    d.box(24, 350, 18, 18, tone="a")
    d.text(52, 364, "the mean of all models, none of which saw the study")
    d.box(24, 378, 18, 18, tone="b")
    d.text(52, 392, "training")
    return d.svg()


STAGES = ("index", "folds", "coordinates", "sides", "crops", "train", "oof", "submission")
CHANGES = {
    "nothing, or a comment": (),
    "training.epochs": ("train", "oof", "submission"),
    "crops.size_px": ("crops", "train", "oof", "submission"),
    "--seed": ("folds", "coordinates", "sides", "crops", "train", "oof", "submission"),
    "a damaged crops file": ("crops",),
}


def caching() -> str:
    """Draw which stages run again after a change."""
    d = Drawing(WIDTH, 400, "Which stages run again after a change")
    left, top, step = 172, 128, 43
    for column, stage in enumerate(STAGES):
        x = left + step * column + 18
        d.shapes.append(
            f'<text x="{x}" y="{top - 12}" class="small" transform="rotate(-50 {x} {top - 12})">'
            f"{stage}</text>"
        )
    for row, (change, again) in enumerate(CHANGES.items()):
        y = top + step * row
        d.text(16, y + 23, change, "small")
        for column, stage in enumerate(STAGES):
            runs = stage in again
            d.box(left + step * column, y, 36, 36, "●" if runs else "", "b" if runs else "c")
    d.text(16, 26, "what changed", "small strong")
    d.box(16, 358, 18, 18, tone="c")
    d.text(44, 372, "kept")
    d.box(110, 358, 18, 18, tone="b")
    d.text(138, 372, "●  runs again")
    return d.svg()


def recovery() -> str:
    """Draw a training that is killed and resumed."""
    d = Drawing(WIDTH, 292, "A killed training resumes from its last checkpoint")
    left, width, end = 116, 84, 116 + 84 * 3.55
    d.text(end, 32, "killed here", "middle red")
    for y, title, epochs in ((48, "undisturbed", 5), (116, "killed", 3)):
        d.text(16, y + 23, title)
        for epoch in range(epochs):
            d.box(left + width * epoch, y, width, 36, f"epoch {epoch + 1}", tone="b")
    d.box(left + 3 * width, 116, end - left - 3 * width, 36, tone="b")
    d.path(f"M {end:g} 40 V 160", dashed=True, arrow=False, tone="red")
    d.path(f"M {left + 3 * width} 152 V 184")
    d.text(16, 207, "resumed")
    for epoch in (3, 4):
        d.box(left + width * epoch, 184, width, 36, f"epoch {epoch + 1}", tone="b")
    for x, y in [(left + width * n, 84) for n in range(1, 6)]:
        d.dot(x, y, "green")
    for x, y in [(left + width * n, 152) for n in range(1, 4)]:
        d.dot(x, y, "green")
    for x in (left + width * 4, left + width * 5):
        d.dot(x, 220, "green")
    d.dot(28, 262, "green")
    d.text(44, 267, "checkpoint. The end result is the same, to the last bit.")
    return d.svg()


DRAWINGS: dict[str, Callable[[], str]] = {
    each.__name__: each for each in (pipeline, geometry, leakage, caching, recovery)
}


def main() -> None:
    """Write all drawings."""
    for name, draw in DRAWINGS.items():
        (PICTURES / f"{name}.svg").write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
