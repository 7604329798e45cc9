"""Masks of test fragments as runs, from their maps."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from lsdc.challenges.ink.competition.run_length import encode
from lsdc.challenges.ink.masks.rule import Rule, make_mask
from lsdc.challenges.ink.volumes.volume import Volume


def encode_masks(fragments: Iterable[str], maps: Path, volumes: Path, rule: Rule) -> dict[str, str]:
    """Return the coded mask of each fragment by its name.

    Args:
        fragments: the names of the fragments.
        maps: the folder of their maps, `FRAGMENT.npy`.
        volumes: the folder of their prepared arrays.
        rule: the rule by which masks are made.

    Raises:
        DataError: a prepared fragment is missing.
    """
    runs = {}
    for name in fragments:
        inside = np.asarray(Volume.open(volumes / name).mask)
        probabilities = np.load(maps / f"{name}.npy", mmap_mode="r")
        runs[name] = encode(make_mask(probabilities, inside, rule))
    return runs
