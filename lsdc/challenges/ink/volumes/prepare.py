"""Prepare volumes: decode the layers of each fragment once, into arrays for memory mapping.

The work is divided into units: blocks of rows of one fragment, through all layers. A shard of units
decodes only what holds its rows; `join_shards` joins the shards' files. See `volume` for the files
that training and inference read.

Memory is bounded whatever the size of a fragment: rows are converted in bands. Where a strip or
tile has more rows than a band, as in files of a single strip, its layer's rows are first written
decoded beside the result, so that nothing is decoded twice.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from glob import escape
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lsdc.challenges.ink.competition.tables import Fragment, read_picture
from lsdc.challenges.ink.vocabulary import LAYERS
from lsdc.challenges.ink.volumes.layers import Layer, Rows, open_layers
from lsdc.challenges.ink.volumes.volume import LABELS, MASK, PIXELS, Form
from lsdc.errors import DataError, StageError
from lsdc.messages import first_few
from lsdc.store.files import write_folder
from lsdc.store.npy_file import append_samples, join_files

Bits = Literal[8, 16]
OpenLayers = Callable[[Fragment], AbstractContextManager[list[Layer]]]
"""Opens all layers of a fragment, layer 0 first."""

_UNIT_BYTES = 4 << 20  # about the size of a study, of which shards are made elsewhere
_BAND_BYTES = 48 << 20  # of 16 bits a pixel, through all layers
_FULL = 257  # 255 * 257 = 65535: the whole range of 8 bits becomes that of 16


def list_units(fragments: Iterable[Fragment]) -> list[str]:
    """Return the names of the units of fragments: blocks of rows of about 4 MB.

    >>> list_units([Fragment("a", "test", Path(), (9, 10_000))])
    ['a 000000', 'a 000003', 'a 000006']
    """
    return [
        f"{fragment.name} {first:06}"
        for fragment in fragments
        for first in range(0, fragment.shape[0], _unit_rows(fragment))
    ]


def count_bytes(fragments: Iterable[Fragment], bits: Bits) -> int:
    """Return the size in bytes of all arrays of these fragments."""
    pixels = sum(fragment.shape[0] * fragment.shape[1] for fragment in fragments)
    return pixels * (LAYERS * bits // 8 + 2)  # with mask and labels


def prepare_shard(
    fragments: Iterable[Fragment],
    units: Sequence[str],
    bits: Bits,
    out: Path,
    *,
    layers_of: OpenLayers = open_layers,
    threads: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Prepare some units of fragments.

    Writes a file for each run of neighbouring units, `FRAGMENT.FIRST-ROW.npy`. `join_shards` joins
    several shards.

    Args:
        fragments: all fragments that the units are of; others are allowed.
        units: names of units, see `list_units`.
        bits: bits of a pixel. 8 keeps the upper 8 of 16; 8-bit layers fill the range of 16.
        out: the folder to write to.
        layers_of: opens the layers of a fragment.
        threads: number of threads that decode layers.
        on_progress: called with the number of units done and their total.

    Returns:
        The number of units.

    Raises:
        DataError: a layer is missing, damaged, or differs in size or type; it is named.
        NoSpaceError: the disk is too small.
    """
    known = {fragment.name: fragment for fragment in fragments}
    done = 0

    def tell(rows: int) -> None:
        if on_progress is not None:
            on_progress(min(done + rows // _unit_rows(fragment), len(units)), len(units))

    for name, first, count in _neighbours(units, known):
        fragment = known[name]
        end = min(first + count * _unit_rows(fragment), fragment.shape[0])
        with layers_of(fragment) as layers:
            _write_rows(layers, first, end, bits, out / _part(name, first), threads, tell)
        done += count
        tell(0)
    return len(units)


def join_shards(
    fragments: Sequence[Fragment], shards: Sequence[Path], out: Path, *, bits: Bits
) -> int:
    """Join the shards that `prepare_shard` wrote into one folder for each fragment.

    The pixels are moved, so that the shards cannot be used afterwards. Masks and labels are read
    from their pictures.

    Args:
        fragments: the fragments of which the shards have all units.
        shards: the shards' folders.
        out: an existing folder on the same disk as the shards.
        bits: bits of a pixel, as in the shards.

    Returns:
        Number of fragments.

    Raises:
        DataError: a picture cannot be read, has another frame, or a mask is empty.
        StageError: a shard is missing.
    """
    for fragment in fragments:
        folder = out / fragment.name
        folder.mkdir()
        join_pixels(fragment, shards, folder, bits=bits)
        write_pictures(fragment, folder)
    return len(fragments)


def join_pixels(fragment: Fragment, shards: Iterable[Path], folder: Path, *, bits: Bits) -> None:
    """Join the pixels of one fragment into its folder, which lacks the pictures then.

    Args:
        fragment: the fragment, of which the shards have all units.
        shards: the shards' folders.
        folder: an existing folder on the same disk as the shards.
        bits: bits of a pixel, as in the shards.

    Raises:
        StageError: a shard is missing.
    """
    parts = sorted(
        (path for shard in shards for path in shard.glob(_parts(fragment.name))),
        key=lambda path: path.name,
    )
    if not parts:
        raise StageError(f"volumes: no shard of fragment {fragment}; prepare it again")
    join_files(parts, folder / PIXELS)
    form = Form(fragment.name, *fragment.shape, LAYERS, bits)
    found = np.load(folder / PIXELS, mmap_mode="r").shape
    if found != (form.rows, form.columns, form.layers):
        raise StageError(
            f"volumes: shards of fragment {fragment} have {found[0]:,} rows, expected "
            f"{form.rows:,}; prepare it again"
        )
    form.write(folder)


def write_pictures(fragment: Fragment, folder: Path) -> None:
    """Write the mask of a fragment, and its labels if it has any, as arrays.

    Raises:
        DataError: a picture cannot be read or has another frame, or the mask is empty.
    """
    if not _copy_picture(fragment, fragment.mask, folder / MASK):
        raise DataError(
            f"{fragment.mask}: no pixel is set, expected those with data; copy it again"
        )
    if fragment.split == "train":
        _copy_picture(fragment, fragment.labels, folder / LABELS)


def _unit_rows(fragment: Fragment) -> int:
    return max(1, _UNIT_BYTES // (2 * LAYERS * fragment.shape[1]))


def _neighbours(units: Sequence[str], known: dict[str, Fragment]) -> list[tuple[str, int, int]]:
    """Return the fragment, the first row and the number of units of each run of neighbours."""
    runs: list[tuple[str, int, int]] = []
    for name, row in sorted(
        (unit.rsplit(" ", 1)[0], int(unit.rsplit(" ", 1)[1])) for unit in units
    ):
        if name not in known:
            raise StageError(f"volumes: unit {name} {row}: expected one of {first_few(known)}")
        if runs:
            before, first, count = runs[-1]
            if before == name and row == first + count * _unit_rows(known[name]):
                runs[-1] = (name, first, count + 1)
                continue
        runs.append((name, row, 1))
    return runs


def _part(name: str, first: int) -> str:
    return f"{name}.{first:06}.npy"


def _parts(name: str) -> str:
    """Return the pattern of the names of a fragment's parts."""
    return f"{escape(name)}.{'[0-9]' * 6}.npy"


def _write_rows(
    layers: Sequence[Layer],
    first: int,
    end: int,
    bits: Bits,
    path: Path,
    threads: int,
    tell: Callable[[int], None],
) -> None:
    """Write rows of all layers, (end - first, columns, layers)."""
    columns = layers[0].shape[1]
    band = max(1, _BAND_BYTES // (2 * LAYERS * columns))
    shape = (columns, len(layers))
    dtype = np.dtype(f"uint{bits}")
    with (
        write_folder(path.parent) as beside,
        append_samples(path, end - first, shape, dtype) as append,
        ThreadPoolExecutor(threads) as pool,
    ):
        sources = [_source(layer, first, end, band, beside) for layer in layers]
        for top in range(first, end, band):
            bottom = min(top + band, end)
            read = pool.map(lambda source: source.rows(top, bottom), sources)  # noqa: B023
            pixels = _stack([_converted(rows, bits) for rows in read], dtype)
            for row in pixels:
                append(row)
            tell(bottom - first)


def _stack(rows: list[Rows], dtype: np.dtype[Any]) -> Rows:
    """Return (rows, columns, layers) of a list of layers."""
    out = np.empty((*rows[0].shape, len(rows)), dtype=dtype)
    for row in range(len(out)):  # a row of all layers fits into the processor's cache
        out[row] = np.stack([layer[row] for layer in rows]).T
    return out


def _converted(rows: Rows, bits: Bits) -> Rows:
    stored = 8 * rows.dtype.itemsize
    if stored == bits:
        return rows
    if bits == 8:
        return (rows >> 8).astype(np.uint8)
    return rows.astype(np.uint16) * np.uint16(_FULL)


class _Decoded:
    """Rows of a layer that were written decoded, as they are too many to be decoded at once."""

    def __init__(self, path: Path, first: int, layer: Layer) -> None:
        self._path, self._first = path, first
        self._columns, self._dtype = layer.shape[1], layer.dtype

    def rows(self, first: int, end: int) -> Rows:
        """Read rows of pixels, (end - first, columns)."""
        count, offset = (end - first) * self._columns, (first - self._first) * self._columns
        values: npt.NDArray[Any] = np.fromfile(
            self._path, self._dtype, count, offset=offset * self._dtype.itemsize
        )
        return values.reshape(end - first, self._columns)


def _source(layer: Layer, first: int, end: int, band: int, beside: Path) -> Layer | _Decoded:
    """Return what bands of rows are read from: the file, or its decoded rows."""
    if layer.is_plain or layer.segment_rows <= band // 2:
        return layer
    path = beside / f"{layer.path.stem}.raw"
    with path.open("wb") as file:
        for number in range(first // layer.segment_rows, -(-end // layer.segment_rows)):
            top = number * layer.segment_rows
            file.write(layer.segment_row(number)[max(first - top, 0) : end - top].data)
    return _Decoded(path, first, layer)


def _copy_picture(fragment: Fragment, path: Path, out: Path) -> bool:
    """Write a picture as an array, (rows, columns); return whether any pixel is set."""
    found = False
    rows, columns = fragment.shape
    with append_samples(out, rows, (columns,), np.bool_) as append:
        for band in read_picture(fragment, path):
            found |= bool(band.any())
            for row in band:
                append(row)
    return found
