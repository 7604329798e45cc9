"""What can be used of a fragment whose layers or mask are missing, damaged or of another size.

A run stops at such a fragment. A prediction goes on with what there is: the nearest layer stands in
for one that cannot be used, as neighbouring layers look alike.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lsdc.challenges.ink.competition.tables import (
    LAYER_NAME,
    MASK,
    VOLUME,
    Fragment,
    describe_shape,
)
from lsdc.challenges.ink.vocabulary import LAYERS
from lsdc.challenges.ink.volumes.layers import Layer, open_layer
from lsdc.dicom.names import escape_name
from lsdc.errors import DataError


@dataclass(frozen=True)
class Fault:
    """A file of a fragment that cannot be used.

    Attributes:
        path: its path, as tables write it.
        layer: the number of the layer; None of the mask.
        reason: why.
    """

    path: str
    layer: int | None
    reason: str


@dataclass(frozen=True)
class UsableLayers:
    """The layers of a fragment that can be used, as far as is known.

    Attributes:
        shape: the rows and columns that most layers have; None without a layer.
        files: the files of the layers that can be used, by number.
        faults: the layers that cannot be used.
    """

    shape: tuple[int, int] | None
    files: dict[int, Path]
    faults: tuple[Fault, ...]

    @property
    def replaced(self) -> dict[int, int]:
        """The layer that stands in for each that cannot be used; none if none can be used."""
        return {n: self.nearest(n) for n in range(LAYERS) if self.files and n not in self.files}

    def nearest(self, layer: int) -> int:
        """Return the nearest layer that can be used; of two, the lower."""
        return min(self.files, key=lambda number: (abs(number - layer), number))

    def without(self, path: Path, reason: str) -> "UsableLayers":
        """Return the layers without one that turned out to be damaged."""
        (layer,) = (number for number, file in self.files.items() if file == path)
        left = {number: file for number, file in self.files.items() if number != layer}
        fault = Fault(escape_name(path), layer, reason)
        return replace(self, files=left, faults=(*self.faults, fault))

    @contextmanager
    def open(self, fragment: Fragment) -> Iterator[list[Layer]]:  # noqa: ARG002 (whose they are)
        """Open a file for each layer, layer 0 first: its own, or that of its nearest."""
        with ExitStack() as opened:
            yield [
                opened.enter_context(open_layer(self.files[self.nearest(number)]))
                for number in range(LAYERS)
            ]


def find_layers(folder: Path) -> dict[int, Path]:
    """Return the files of a fragment's layers by number; of two with one number, the first."""
    volume, found = folder / VOLUME, dict[int, Path]()
    for path in sorted(volume.iterdir()) if volume.is_dir() else []:
        match = LAYER_NAME.fullmatch(path.name)
        if match and int(match[1]) < LAYERS:
            found.setdefault(int(match[1]), path)
    return found


def look_at_layers(folder: Path) -> UsableLayers:
    """Find out by their headers which layers in a fragment's folder can be used.

    They may be of 8 and of 16 bits: each is read as its own kind.
    """
    files = find_layers(folder)
    shapes, faults = dict[int, tuple[int, int]](), list[Fault]()
    for number in range(LAYERS):
        path = files.get(number, folder / VOLUME / f"{number:02}.tif")
        if number not in files:
            faults.append(Fault(escape_name(path), number, "no such file"))
            continue
        try:
            with open_layer(path) as layer:
                shapes[number] = layer.shape
        except DataError as error:
            faults.append(Fault(escape_name(path), number, reason_of(error, path)))
    if not shapes:
        return UsableLayers(None, {}, tuple(faults))
    (shape, _), *_ = Counter(shapes.values()).most_common(1)
    for number, own in shapes.items():
        if own != shape:
            reason = f"{describe_shape(own)}, expected {describe_shape(shape)} as most layers have"
            faults.append(Fault(escape_name(files[number]), number, reason))
    usable = {number: files[number] for number, own in shapes.items() if own == shape}
    return UsableLayers(shape, usable, tuple(faults))


def reason_of(error: DataError, path: Path) -> str:
    """Return what an error says of a file, without the path before it."""
    return str(error).removeprefix(f"{path}: ")


def mask_fault(folder: Path, reason: str) -> Fault:
    """Return the fault of a fragment's mask."""
    return Fault(escape_name(folder / MASK), None, reason)
