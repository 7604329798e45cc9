"""How HU become stored numbers: the ways of the competition's files, one a study."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

HounsfieldImage = NDArray[np.int16]  # (rows, columns)
Pixel = TypeVar("Pixel", bound=np.generic)

PADDING_HU = -3024  # 16-bit files store -2000 outside the round field of view
_AIR_HU = -1024
_SMOOTH = np.array([0.2, 0.6, 0.2], dtype=np.float32)
_WRAP = 4096


class Storage(StrEnum):
    """What a study's stored numbers mean."""

    SIGNED = "16-bit signed"
    UNSIGNED = "12-bit unsigned"
    OFFSET_1000 = "12-bit unsigned, intercept -1000"
    WRAPPED = "12-bit signed, flagged unsigned with intercept 0"


@dataclass(frozen=True)
class Coding:
    """The header's side of a storage; HU = stored + intercept, save for a wrapped one."""

    bits: int
    signed: bool
    intercept: str  # as written
    lowest_hu: int
    highest_hu: int
    outside_hu: int  # outside the round field of view


CODINGS = {
    Storage.SIGNED: Coding(16, True, "-1024", -1024, 3071, PADDING_HU),
    Storage.UNSIGNED: Coding(12, False, "-1024", -1024, 3071, _AIR_HU),
    Storage.OFFSET_1000: Coding(12, False, "-1000", -1000, 3095, -1000),
    Storage.WRAPPED: Coding(12, False, "0", -1024, 2047, _AIR_HU),
}


def acquire(
    tissue_hu: NDArray[np.float32], noise_hu: float, storage: Storage, rng: np.random.Generator
) -> HounsfieldImage:
    """Add noise of a standard deviation, round, and cut to what the storage can hold.

    Pixels outside the round field of view become its padding or its air.
    """
    # Reconstruction makes neighbours alike.
    grain = rng.standard_normal(tissue_hu.shape, dtype=np.float32)
    grain = cv2.sepFilter2D(grain, cv2.CV_32F, _SMOOTH, _SMOOTH, borderType=cv2.BORDER_REFLECT)
    grain *= np.float32(noise_hu / np.square(_SMOOTH).sum())
    grain += tissue_hu
    coding = CODINGS[storage]
    np.clip(np.rint(grain, out=grain), coding.lowest_hu, coding.highest_hu, out=grain)
    image = grain.astype(np.int16)
    image[_outside(image.shape)] = coding.outside_hu
    return np.asarray(image)


def framed(image: NDArray[Pixel], shape: tuple[int, int], outside: int) -> NDArray[Pixel]:
    """Return the image in another frame around the same middle, cut or filled up from outside."""
    result = np.full(shape, outside, dtype=image.dtype)
    (rows, into_rows), (columns, into_columns) = (
        _overlap(old, new) for old, new in zip(image.shape, shape, strict=True)
    )
    result[into_rows, into_columns] = image[rows, columns]
    return result


def frame_offset(old: int, new: int) -> int:
    """Return the pixel of an old frame at which a new one of another length begins."""
    return (old - new) // 2


def stored_numbers(image: HounsfieldImage, storage: Storage) -> NDArray[np.uint16]:
    """Return the 16 bits of each pixel as a file holds them."""
    if storage is Storage.WRAPPED:
        return np.asarray(image % _WRAP, dtype="<u2")
    return (image.astype(np.int32) - int(CODINGS[storage].intercept)).astype("<i2").view("<u2")


def _overlap(old: int, new: int) -> tuple[slice, slice]:
    start = frame_offset(old, new)
    length = min(old, new)
    return slice(max(0, start), max(0, start) + length), slice(
        max(0, -start), max(0, -start) + length
    )


@cache
def _outside(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the pixels outside the circle that the frame encloses."""
    rows, columns = (np.square(np.arange(count) - (count - 1) / 2) for count in shape)
    return np.asarray(rows[:, None] + columns > (min(shape) / 2) ** 2)
