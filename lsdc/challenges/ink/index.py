"""The index: the fragments of a competition's folder, and the headers of their layers."""

from collections.abc import Callable
from pathlib import Path

import dataframely as dy
import polars as pl

from lsdc.challenges.ink import columns
from lsdc.challenges.ink.competition.tables import Competition, Fragment
from lsdc.challenges.ink.volumes.layers import open_layers
from lsdc.store.table_files import write_table
from lsdc.tables.table import Table


class Fragments(Table):
    """One row per fragment."""

    fragment = columns.fragment(primary_key=True)
    split = columns.split()
    height_px = dy.Int32(min=1, description="Rows of pixels.")
    width_px = dy.Int32(min=1, description="Columns of pixels.")
    layers = dy.Int32(min=1, description="Number of layers.")


class Layers(Table):
    """One row per layer of a fragment."""

    fragment = columns.fragment(primary_key=True)
    layer = dy.Int32(
        primary_key=True, min=0, description="Number of the layer; 0 is inside the papyrus."
    )
    path = dy.String(description="Path of the file, from the competition's folder.")
    bytes = dy.Int64(min=0, description="Size of the file.")
    bits = dy.Int32(min=1, description="Bits of a voxel.")
    compressed = dy.Bool(description="Whether rows have to be decoded.")


def read_index(
    competition: Competition, on_progress: Callable[[int, int], None] | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read the headers of all layers.

    Args:
        competition: the competition.
        on_progress: called with the number of fragments read and of all.

    Returns:
        `Fragments` and `Layers`.

    Raises:
        DataError: a layer is missing, is no grey TIFF file, or differs in size; it is named.
    """
    fragments, layers = [], []
    every = competition.fragments
    for done, fragment in enumerate(every, start=1):
        own = list(_layers_of(fragment, competition.root))
        fragments.append((fragment.name, fragment.split, *fragment.shape, len(own)))
        layers += own
        if on_progress is not None:
            on_progress(done, len(every))
    return (
        pl.DataFrame(fragments, schema=pl.Schema(Fragments), orient="row"),
        pl.DataFrame(layers, schema=pl.Schema(Layers), orient="row"),
    )


def write_index(
    competition: Competition, out: Path, on_progress: Callable[[int, int], None] | None = None
) -> int:
    """Write `fragments.parquet` and `layers.parquet`; return the number of layers.

    Raises:
        DataError: see `read_index`.
    """
    fragments, layers = read_index(competition, on_progress)
    write_table(Fragments, fragments, out / "fragments.parquet")
    write_table(Layers, layers, out / "layers.parquet")
    return layers.height


def _layers_of(fragment: Fragment, root: Path) -> list[tuple[object, ...]]:
    with open_layers(fragment) as layers:
        return [
            (
                fragment.name,
                number,
                layer.path.relative_to(root).as_posix(),
                layer.path.stat().st_size,
                8 * layer.dtype.itemsize,
                not layer.is_plain,
            )
            for number, layer in enumerate(layers)
        ]
