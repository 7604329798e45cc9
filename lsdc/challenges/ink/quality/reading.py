"""Read a competition's folder into tables for checks; nothing in it is refused.

Of each layer the header and some rows are read, of each picture all pixels.
"""

from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lsdc.challenges.ink.competition.pictures import picture_kind, read_mask
from lsdc.challenges.ink.competition.run_length import encode
from lsdc.challenges.ink.competition.tables import (
    INFRARED,
    LABELS,
    LAYER_NAME,
    MASK,
    RUNS,
    VOLUME,
    fragment_folders,
)
from lsdc.challenges.ink.vocabulary import SPLITS
from lsdc.challenges.ink.volumes.layers import open_layer
from lsdc.errors import DataError

_SAMPLED_ROWS = 16  # at each of three places of a layer
_KEY = {"split": pl.String, "fragment": pl.String}

FRAGMENTS = pl.Schema(
    {
        **_KEY,
        "path": pl.String,
        "mask_pixels": pl.Int64,
        "ink_pixels": pl.Int64,
        "ink_outside": pl.Int64,  # of the mask
        "runs_match": pl.Boolean,  # inklabels_rle.csv and inklabels.png
    }
)
LAYERS_READ = pl.Schema(
    {
        **_KEY,
        "path": pl.String,
        "layer": pl.Int64,
        "rows": pl.Int64,
        "columns": pl.Int64,
        "bits": pl.Int64,
        "least": pl.Int64,  # in the rows sampled
        "greatest": pl.Int64,
        "digest": pl.String,
        "fault": pl.String,  # why it cannot be used
    }
)
PICTURES = pl.Schema(
    {
        **_KEY,
        "path": pl.String,
        "picture": pl.String,
        "kind": pl.String,
        "rows": pl.Int64,
        "columns": pl.Int64,
        "fault": pl.String,
    }
)


def read_folder(
    root: Path, on_progress: Callable[[int, int], None] | None = None
) -> dict[str, pl.DataFrame]:
    """Read the fragments of both splits.

    Args:
        root: the competition's folder.
        on_progress: called with the number of fragments read and their total.

    Returns:
        The tables `fragments`, `layers` and `pictures`, with the columns of the schemas above.
    """
    folders = [(split, each) for split in SPLITS for each in fragment_folders(root / split)]
    fragments: list[dict[str, Any]] = []
    layers: list[dict[str, Any]] = []
    pictures: list[dict[str, Any]] = []
    for done, (split, folder) in enumerate(folders, start=1):
        key = {"split": split, "fragment": folder.name}
        masks: dict[str, np.ndarray] = {}
        for name in (MASK, LABELS, INFRARED):
            row = _read_picture(folder / name, masks)
            needed = name == MASK or (name == LABELS and split == "train")
            if needed or (folder / name).is_file():
                pictures.append(key | {"picture": name} | row)
        layers += [key | row for row in _read_layers(folder / VOLUME)]
        fragments.append(key | {"path": str(folder)} | _compare(folder, masks))
        if on_progress is not None:
            on_progress(done, len(folders))
    return {
        "fragments": pl.DataFrame(fragments, FRAGMENTS),
        "layers": pl.DataFrame(layers, LAYERS_READ),
        "pictures": pl.DataFrame(pictures, PICTURES),
    }


def _read_picture(path: Path, masks: dict[str, np.ndarray]) -> dict[str, Any]:
    row: dict[str, Any] = {"path": str(path)}
    try:
        row["kind"] = picture_kind(path)
        mask = read_mask(path)
    except DataError as error:
        return row | {"fault": _without(path, error)}
    masks[path.name] = mask
    return row | {"rows": mask.shape[0], "columns": mask.shape[1]}


def _read_layers(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        match = LAYER_NAME.fullmatch(path.name)
        row: dict[str, Any] = {"path": str(path), "layer": int(match[1]) if match else None}
        if match is None:
            yield row | {"fault": "not the name of a layer, such as 00.tif"}
            continue
        try:
            yield row | _read_layer(path)
        except DataError as error:
            yield row | {"fault": _without(path, error)}


def _read_layer(path: Path) -> dict[str, Any]:
    with open_layer(path) as layer:
        rows, columns = layer.shape
        places = sorted({max(0, rows * part // 4 - _SAMPLED_ROWS // 2) for part in (1, 2, 3)})
        sampled = [layer.rows(top, min(top + _SAMPLED_ROWS, rows)) for top in places]
        layer.rows(rows - 1, rows)  # a file that was cut off lacks its end
        digest = blake2b(digest_size=16)
        for values in sampled:
            digest.update(np.ascontiguousarray(values).data)
        return {
            "rows": rows,
            "columns": columns,
            "bits": 8 * layer.dtype.itemsize,
            "least": min(int(values.min()) for values in sampled),
            "greatest": max(int(values.max()) for values in sampled),
            "digest": digest.hexdigest(),
        }


def _compare(folder: Path, masks: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return what the mask and the labels of a fragment have in common."""
    mask, labels = masks.get(MASK), masks.get(LABELS)
    row: dict[str, Any] = {}
    if mask is not None:
        row["mask_pixels"] = int(np.count_nonzero(mask))
    if labels is not None:
        row["ink_pixels"] = int(np.count_nonzero(labels))
        if (folder / RUNS).is_file():
            text = (folder / RUNS).read_text(encoding="utf-8", errors="replace")
            row["runs_match"] = encode(labels) in text
    if mask is not None and labels is not None and mask.shape == labels.shape:
        row["ink_outside"] = int(np.count_nonzero(labels & ~mask))
    return row


def _without(path: Path, error: DataError) -> str:
    """Return a message without the path before it."""
    return str(error).removeprefix(f"{path}: ")
