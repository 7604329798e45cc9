"""Pictures: a layer of a fragment, its map of probabilities, and the mask that is made of it."""

import textwrap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lsdc.challenges.ink.predict.models import TrainedModels
from lsdc.challenges.ink.predict.outcome import FragmentOutcome
from lsdc.challenges.ink.report.pictures import join_panels, panels_of
from lsdc.challenges.ink.report.views import look, middle_of
from lsdc.challenges.ink.volumes.volume import Volume
from lsdc.report.drawing import DIM, GROUND, LINE, write
from lsdc.store.files import write_atomic

_MOST_PX = 900  # of a panel's longer side
_LETTER_PX = 7  # of the smaller size of text, about
_NARROWEST_PX = 480


def draw_picture(
    fragment: FragmentOutcome,
    volume: Volume,
    probabilities: NDArray[np.float16],
    ink: NDArray[np.bool_],
    models: TrainedModels,
    out: Path,
) -> None:
    """Write a PNG file with three panels: the middle layer, the map and the mask.

    Args:
        fragment: the fragment.
        volume: its prepared arrays.
        probabilities: its map, (rows, columns).
        ink: its mask of ink, (rows, columns).
        models: the models that predicted it.
        out: the file to write.
    """
    layer = middle_of(models.experiment.tiles)
    rows, layers = (0, volume.shape[0]), slice(layer, layer + 1)
    seen = look(volume, rows, probabilities, ink, most=_MOST_PX, layers=layers)
    panels = join_panels(panels_of(seen, layer))
    width = max(panels.width, _NARROWEST_PX)
    about = [f"predicted by the run {models.name}", f"mask by {models.rule.describe()}"]
    about += [fragment.subfolder] if fragment.subfolder else []
    lines = [
        line
        for text in ["  ·  ".join(about), *fragment.doubts]
        for line in textwrap.wrap(text, width // _LETTER_PX)
    ]
    top = LINE * (len(lines) + 1)
    sheet = Image.new("RGB", (width, top + panels.height), GROUND)
    write(sheet, (6, 4), f"Fragment {fragment.fragment}")
    for number, line in enumerate(lines, start=1):
        write(sheet, (6, 4 + LINE * number), line, colour=DIM)
    sheet.paste(panels, (0, top))
    with write_atomic(out) as temporary:
        sheet.save(temporary, format="PNG")
