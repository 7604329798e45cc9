"""Hounsfield units (HU) of a slice: stored x slope + intercept (PS3.3 C.11.1.1.2).

Slices stay as stored until they are resized, since rescaling fewer pixels is faster, and the mean
of HU is the HU of the mean. `Image.rescaled` returns the HU. Two faults of the competition's files
are undone before:

- Some files of 12 bits hold signed values, but their header calls them unsigned, and their
  intercept is about 0: -1 reads as 4095. They are read as two's complement, in which every value
  of 12 bits is what the scanner wrote. The rule that most participants used (add 1000, subtract
  4096 from 4096 on) turns air below -1000 HU into dense bone.
- Outside the round field of view, files of 16 bits store -2000, which is -3024 HU. Files of 12 bits
  store 0 there, -1024 HU: the lowest value that they can hold. So everything below is set to that
  value. It is no measurement (air is -1000 HU), and both kinds become alike.
"""

import math

import numpy as np

from lsdc.dicom.image import Image, Stored

LOWEST_HU = -1024
BRAIN_HU = (0, 80)
WRAPPED = "two's complement of 12 bits"

# A scale whose zero is water needs an intercept of about -1000, unless its values are signed.
_SIGNED_INTERCEPT = -100.0
_WRAPPED_BITS = 12
# Far beyond any real scale, whose slope is 1 and whose intercept is about -1024 or 0.
_SLOPES, _INTERCEPTS = (1e-3, 1e3), (-1e5, 1e5)


def refuse(image: Image) -> str | None:
    """Return why stored values cannot be HU, or None."""
    (least, most), (low, high) = _SLOPES, _INTERCEPTS
    if least <= abs(image.slope) <= most and low <= image.intercept <= high:
        return None
    return "the values of RescaleSlope and RescaleIntercept cannot lead to Hounsfield units"


def mend(image: Image, bits_stored: int | None) -> tuple[Image, str | None]:
    """Return a slice with its lost signs, and no value below `LOWEST_HU`.

    Args:
        image: a slice as stored that `refuse` accepts.
        bits_stored: BitsStored of its header.

    Returns:
        The slice, of int16, uint16 or int32, and the correction to list: `WRAPPED`, or None.
    """
    stored, slope, intercept = image
    if _is_wrapped(image, bits_stored):
        spare = 16 - _WRAPPED_BITS
        stored = stored.view(np.int16) << spare >> spare  # the top bit becomes the sign
        return _without_outside(Image(stored, slope, intercept)), WRAPPED
    if stored.dtype.itemsize == 1:
        stored = stored.astype(np.int16)
    elif stored.dtype == np.uint32:  # OpenCV has no such type, and no tissue such values
        stored = np.minimum(stored, np.iinfo(np.int32).max).astype(np.int32)
    return _without_outside(Image(stored, slope, intercept)), None


def to_stored(hu: float, image: Image) -> float:
    """Return the stored value of some HU."""
    return (hu - image.intercept) / image.slope


def brain_share(image: Image) -> float:
    """Return the share of a slice's pixels that may be brain, blood or CSF: of 0 to 80 HU.

    It is a share of all pixels. Those outside the field of view count as empty, so that slices
    with and without a round field of view can be compared.
    """
    import cv2

    low, high = sorted(to_stored(hu, image) for hu in BRAIN_HU)
    inside = cv2.inRange(image.stored, math.ceil(low), math.floor(high))
    share: float = cv2.countNonZero(inside) / inside.size
    return share


def _is_wrapped(image: Image, bits_stored: int | None) -> bool:
    """Return whether values of 12 bits have lost their sign, and any was below zero."""
    return (
        bits_stored == _WRAPPED_BITS
        and image.stored.dtype == np.uint16
        and image.slope > 0  # inverted images have other intercepts
        and image.intercept > _SIGNED_INTERCEPT
        and int(image.stored.max()) >= 2 ** (_WRAPPED_BITS - 1)
    )


def _without_outside(image: Image) -> Image:
    """Return the slice with `LOWEST_HU` where it was lower, outside the field of view."""
    import cv2

    stored, slope, intercept = image
    lowest, limits = to_stored(LOWEST_HU, image), np.iinfo(stored.dtype)
    limited: Stored
    if slope > 0:
        if lowest <= limits.min:  # all files of 12 unsigned bits
            return image
        limited = cv2.max(stored, float(min(math.ceil(lowest), limits.max)))
    else:
        if lowest >= limits.max:
            return image
        limited = cv2.min(stored, float(max(math.floor(lowest), limits.min)))
    return Image(limited, slope, intercept)
