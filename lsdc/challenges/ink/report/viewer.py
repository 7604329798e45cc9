"""A page with a slider of a fragment's layers, its label, and what a run predicts of it."""

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from lsdc.challenges.ink.report.pictures import LABEL, compared, heat
from lsdc.challenges.ink.report.sources import RunSource, read_run
from lsdc.challenges.ink.report.views import Seen, middle_layer, see
from lsdc.errors import DataError
from lsdc.store.files import write_text
from lsdc.store.home import Home

_ROOM = Path(__file__).parent
MOST_PX = 900  # of the longer side
_QUALITY = 60


@dataclass(frozen=True)
class Overlay:
    """A picture that can be laid over the layers.

    Attributes:
        name: its name.
        about: a sentence on its colours.
        pixels: red, green, blue and opacity, (rows, columns, 4).
    """

    name: str
    about: str
    pixels: NDArray[np.uint8]


def inspect_fragment(home: Home, run: str, fragment: str, out: Path) -> None:
    """Write the page of a fragment, or of one of its regions, as an HTML file.

    It loads nothing from elsewhere. Each region is shown as predicted by the fold that holds it
    out.

    Args:
        home: the home of the run.
        run: the name of the run.
        fragment: the name of a fragment or of a region, such as 2 or 2-0.
        out: the file to write.

    Raises:
        DataError: no such fragment, or its prepared arrays are gone.
    """
    source = read_run(home, run)
    table = source.regions
    regions, title = table.filter(fragment=fragment), f"Fragment {fragment}"
    if regions.is_empty():
        regions, title = table.filter(region=fragment), f"Region {fragment}"
    if regions.is_empty():
        known = ", ".join(table["fragment"].unique(maintain_order=True))
        raise DataError(
            f"{fragment}: no such fragment in {run}, expected one of {known}, or a region such as "
            f"{table['region'][0]}"
        )
    volume = source.volume(regions["fragment"][0])
    if volume is None:
        raise DataError(
            f"fragment {fragment}: its prepared layers are not in {home.root} any more; run "
            f"{run} again"
        )
    every = slice(0, volume.shape[2])
    seen = see(source, volume, regions, most=MOST_PX, layers=every)
    write_text(out, _page(source, title, seen))


def _page(source: RunSource, title: str, seen: Seen) -> str:
    environment = Environment(
        loader=FileSystemLoader(_ROOM), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["url"] = _as_url
    rows, columns, number = seen.layers.shape
    layers = [_as_url(seen.layers[..., layer]) for layer in range(number)]
    return environment.get_template("viewer.html").render(
        title=f"{title}, {source.name}",
        size=(columns, rows),
        step=seen.step,
        first=min(middle_layer(source), number - 1),
        last=number - 1,
        overlays=_overlays(seen),
        layers=Markup(json.dumps(layers)),
    )


def _overlays(seen: Seen) -> list[Overlay]:
    """Return what can be laid over the layers."""
    found: list[Overlay] = []
    clear = np.zeros((*seen.inside.shape, 3), np.uint8)
    if seen.labels is not None:
        yellow = np.where(seen.labels[..., None], LABEL, clear)
        about = "The label is yellow."
        found.append(Overlay("Label", about, _with_alpha(yellow, seen.labels)))
    if seen.probabilities is not None:
        about = "Probabilities go from dark to bright."
        shown = _with_alpha(heat(seen.probabilities), seen.inside)
        found.append(Overlay("Probability", about, shown))
    if seen.ink is not None:
        about = "The mask is yellow."
        if seen.labels is not None:
            about = "In the mask, green is right, blue is missed, orange is false."
        colours = compared(clear, seen.ink, seen.labels)
        shown = _with_alpha(colours, colours.max(axis=2) > 0)
        found.append(Overlay("Mask", about, shown))
    return found


def _with_alpha(colours: NDArray[np.generic], where: NDArray[np.bool_]) -> NDArray[np.uint8]:
    alpha = np.where(where, 255, 0)[..., None]
    return np.concatenate([colours, alpha], axis=2).astype(np.uint8)


def _as_url(pixels: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="WEBP", quality=_QUALITY, method=2)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
