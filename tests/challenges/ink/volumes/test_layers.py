"""Files of layers with wrong bytes anywhere: they are read, or refused by name."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from lsdc.challenges.ink.volumes.layers import open_layer
from lsdc.errors import DataError

SHAPE = (40, 48)


def fault_of(path: Path) -> str:
    """Read a layer whole, and return why it cannot be; empty if it can."""
    try:
        with open_layer(path) as layer:
            if layer.shape == SHAPE:
                assert layer.rows(0, SHAPE[0]).shape == SHAPE
    except DataError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"compression": "lzw", "rowsperstrip": 8},
        {"compression": "zlib", "tile": (16, 16)},
    ],
    ids=str,
)
def test_wrong_bytes_are_refused_by_name_or_read(kind: dict[str, Any], tmp_path: Path) -> None:
    path, draw = tmp_path / "00.tif", random.Random(0)
    pixels = np.random.default_rng(0).integers(0, 65535, SHAPE).astype(np.uint16)
    tifffile.imwrite(path, pixels, **kind)
    whole, faults = path.read_bytes(), list[str]()
    for _ in range(200):
        changed = bytearray(whole)
        for _ in range(draw.choice([1, 2, 8])):
            changed[draw.randrange(min(len(whole), 400))] = draw.randrange(256)
        path.write_bytes(changed)
        faults.append(fault_of(path))
    refused = [each for each in faults if each]
    assert all(each.startswith(str(path)) for each in refused)
    assert 20 < len(refused) < 180
