"""Pixels: the one greyscale image of a file, by dicomsdl or, as the second reader, by pydicom.

Only child processes call the readers (see `supervisor`). Both return stored values; rescaling and
inversion are done here, so that the readers cannot differ in them.
"""

import mmap
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from lsdc.dicom.codestream import describe, family_in, family_of
from lsdc.dicom.frames import pack
from lsdc.dicom.functional_groups import (
    ENHANCED,
    DataSet,
    DataSetOfDicomsdl,
    DataSetOfPydicom,
    read_rescale,
)
from lsdc.dicom.headers import (
    RESCALE_TEXTS,
    Format,
    format_of,
    format_of_pydicom,
)
from lsdc.dicom.image import STORED_TYPES, Stored
from lsdc.dicom.native import BIG_ENDIAN, DEFLATED, NATIVE, WHOLE_BYTES, native_values
from lsdc.dicom.numbers import parse_number
from lsdc.dicom.preflight import DeclinedError, OpenFile, RefusedError
from lsdc.dicom.slots import NO_SLOT, SLOT_BYTES, image_in
from lsdc.dicom.usable import name_uid, refuse

# RLE and JPEG-LS: only for these does dicomsdl compare Rows and Columns with the coded image. In
# JPEG and JPEG 2000 it writes past its buffer where they differ, so we compare them.
CHECKED_BY_DICOMSDL = frozenset(
    ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"]
)
_PIXEL_DATA = 0x7FE00010
_ITEM = b"\xfe\xff\x00\xe0"


class Decoded(NamedTuple):
    """A decoded image: its values, and their description from the header.

    Attributes:
        stored: (rows, columns), in any byte order.
        bits: the number of used bits per value, BitsStored.
        high_bit: the highest used bit.
        signed: whether the highest used bit is a sign.
        slope: the factor from values to brightness.
        intercept: the summand from values to brightness.
    """

    stored: Stored
    bits: int
    high_bit: int | None
    signed: bool
    slope: float
    intercept: float

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values as `write` writes them."""
        return STORED_TYPES[f"{'i' if self.signed else 'u'}{self.stored.dtype.itemsize}"]

    def write(self, out: Stored) -> None:
        """Write the values of the used bits (PS3.5 8.1.1); old files store overlays in the others.

        Args:
            out: an array (rows, columns) of `dtype`.
        """
        spare = 8 * out.dtype.itemsize - self.bits
        if spare <= 0:
            np.copyto(out, self.stored, casting="unsafe")
        elif not self.signed and self.high_bit in (None, self.bits - 1):
            # In one pass: checking first whether other bits are used takes as long.
            np.bitwise_and(self.stored, 2**self.bits - 1, out=out, casting="unsafe")
        else:
            shift = 0 if self.high_bit is None else max(0, self.high_bit + 1 - self.bits)
            native = self.stored.astype(self.stored.dtype.newbyteorder("=")).view(out.dtype)
            # Shift to the top bit and back: the sign extends over the unused bits.
            np.copyto(out, (native >> shift << spare) >> spare)


class ImageBatch:
    """Images in shared memory, or in the frame itself if they do not fit there."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._begin()

    def _begin(self) -> None:
        # Rows, columns, type, slope, intercept, whether it is in its slot.
        self._images: list[tuple[int, int, str, float, float, bool]] = []
        self._body = bytearray()

    def add(self, image: Decoded, status: tuple[int, int], slot: int) -> None:  # noqa: ARG002
        """Write an image to its slot or to the frame."""
        shape, dtype = image.stored.shape, image.dtype
        placed = slot != NO_SLOT and image.stored.nbytes <= SLOT_BYTES
        if placed:
            image.write(image_in(self._memory, slot, shape, dtype))
        else:
            out = np.empty(shape, dtype)
            image.write(out)
            self._body += out.tobytes()
        self._images.append((*shape, dtype.str[1:], image.slope, image.intercept, placed))

    def is_full(self) -> bool:
        """Return False: a request is for few images."""
        return False

    def rest(self) -> list[bytes | memoryview]:
        """Return the frame of all images since the last one."""
        if not self._images:
            return []
        head, body = {"count": len(self._images), "images": self._images}, self._body
        self._begin()
        return pack(head, memoryview(body))


def read_with_dicomsdl(file: OpenFile) -> Decoded:
    """Read an image; may end the process. Raises what dicomsdl raises.

    Raises:
        RefusedError: the file holds no single greyscale image, or not all of it.
        DeclinedError: dicomsdl is known to be wrong on such files.
    """
    import dicomsdl

    content = file.content()
    dataset = dicomsdl.open_memory(content, copy_data=False)
    form = format_of(dataset)
    needed = _needed_bytes(form)
    frames = _frames(form, file.frame)
    syntax = form.transfer_syntax
    if form.bits_allocated not in WHOLE_BYTES:
        raise DeclinedError(f"{form.bits_allocated} bits allocated")
    if syntax in NATIVE and file.size_bytes < needed * frames:
        raise DeclinedError(f"{file.size_bytes} bytes, expected {needed * frames} of pixels alone")
    pixel_data = dataset.getDataElement(_PIXEL_DATA)
    if not pixel_data.length():
        raise RefusedError("no PixelData")
    rescale = _rescale(DataSetOfDicomsdl(dataset), form, file.frame)
    if pixel_data.vr() != dicomsdl.VR.PIXSEQ:
        at = pixel_data.offset()
        # A deflated data set is compressed in the file.
        own = pixel_data.toBytes() if syntax == DEFLATED else memoryview(content)[at:]
        if _lie_in_items(own, form):
            raise DeclinedError("encapsulated pixels of a defined length")
        stored = native_values(
            own[: pixel_data.length()],
            form,
            big_endian=syntax == BIG_ENDIAN,
            in_words=pixel_data.vr() == dicomsdl.VR.OW,
            frame=file.frame,
        )
    else:
        coded = pixel_data.toPixelSequence()
        if coded.numberOfFrames() < frames:
            raise DeclinedError(f"{coded.numberOfFrames()} coded frames, expected {frames}")
        _check_coded(coded.encodedFrameData(file.frame - 1), form, file)
        stored = dataset.pixelData(storedvalue=True, index=file.frame - 1)
    return finish(stored, form, *rescale)


def read_with_pydicom(file: OpenFile) -> Decoded:
    """Read an image. Raises what pydicom and its decoders raise.

    Raises:
        RefusedError: the file holds no single greyscale image, or not all of it.
    """
    import pydicom

    with file.stream() as stream:
        dataset = pydicom.dcmread(stream)
        form = format_of_pydicom(dataset)
        needed = _needed_bytes(form)
        frames = _frames(form, file.frame)
        rescale = _rescale(DataSetOfPydicom(dataset), form, file.frame)
        if not dataset.get("PixelData"):
            raise RefusedError("no PixelData")
        pixel_data = dataset["PixelData"]
    syntax = form.transfer_syntax
    if pixel_data.is_undefined_length or _lie_in_items(pixel_data.value, form):
        _check_family(_first_item(pixel_data.value), form, file)
        stored = _decode(dataset, form, file.frame)
    elif form.bits_allocated in WHOLE_BYTES:
        stored = native_values(
            pixel_data.value,
            form,
            big_endian=syntax == BIG_ENDIAN,
            in_words=pixel_data.VR == "OW",
            frame=file.frame,
        )
    elif len(pixel_data.value) < needed * frames:
        raise RefusedError(
            f"{len(pixel_data.value)} bytes of PixelData, expected {needed * frames}"
        )
    else:
        stored = _decode(dataset, form, file.frame)
    return finish(stored, form, *rescale)


def _frames(form: Format, frame: int) -> int:
    """Return the number of frames, and check that `frame` is among them."""
    frames = form.number_of_frames or 1
    if frame > frames:
        raise RefusedError(f"no frame {frame}: the file has {frames}")
    return frames


def _rescale(dataset: DataSet, form: Format, frame: int) -> list[float | None]:
    """Return the intercept and slope of a frame, from its functional groups if they apply."""
    texts = [dataset.text(tag) for tag in RESCALE_TEXTS.values()]
    frames = form.number_of_frames or 1
    if form.sop_class in ENHANCED and (frames > 1 or not all(texts)):
        own = read_rescale(dataset, frames, frame)
        texts = [text or top for text, top in zip(own, texts, strict=True)]
    return list(map(parse_number, texts))


def _first_item(encapsulated: bytes) -> bytes:
    """Return the first bytes of encapsulated pixels, if there are any."""
    from pydicom.encaps import generate_fragments

    try:
        _offset_table, *items = islice(generate_fragments(encapsulated), 2)
    except ValueError:
        return b""
    return b"".join(items)


def _lie_in_items(data: bytes | memoryview, form: Format) -> bool:
    """Return whether pixels are encapsulated (PS3.5 A.4), even if their element has a length.

    Some writers store uncompressed pixels without items under a compressed transfer syntax.
    """
    return form.transfer_syntax not in NATIVE | {DEFLATED} and bytes(data[:4]) == _ITEM


def _decode(dataset: Any, form: Format, frame: int) -> Stored:
    """Decode a frame with pydicom's decoders, which may raise any error."""
    from pydicom.pixels import pixel_array  # type: ignore[attr-defined]  # its documented place

    try:
        return pixel_array(dataset, index=frame - 1)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  # see docstring
        syntax = name_uid(form.transfer_syntax or "")
        raise RefusedError(f"the pixels are damaged: {syntax} cannot be decoded") from None


def finish(stored: Stored, form: Format, intercept: float | None, slope: float | None) -> Decoded:
    """Return the image with its rescaling, inverted if low values are bright (see `Image`)."""
    if stored.shape != (form.rows, form.columns):
        raise RefusedError(f"decoded to {stored.shape}, expected {form.rows, form.columns}")
    bits, signed = form.bits_stored or form.bits_allocated, bool(form.pixel_representation)
    assert bits is not None  # checked by `refuse`
    slope, intercept = slope or 1.0, intercept or 0.0  # a slope of zero counts as missing
    if form.photometric == "MONOCHROME1":
        lowest_plus_highest = -1 if signed else 2**bits - 1
        slope, intercept = -slope, slope * lowest_plus_highest + intercept
    return Decoded(stored, bits, form.high_bit, signed, slope, intercept)


def _check_coded(coded: bytes, form: Format, file: OpenFile) -> None:
    """Let dicomsdl decode JPEG and JPEG 2000 only where header and coded image agree."""
    _check_family(coded, form, file)
    if form.transfer_syntax in CHECKED_BY_DICOMSDL:
        return
    image = describe(coded)
    agrees = (
        image is not None
        and (image.rows, image.columns, image.components) == (form.rows, form.columns, 1)
        and image.bits <= (form.bits_allocated or 0)
        and image.signed in (None, bool(form.pixel_representation))
    )
    if not agrees:
        raise DeclinedError(
            f"the header specifies {form.rows} x {form.columns} pixels of 1 sample of "
            f"{form.bits_allocated} bits, the coded image {image or 'nothing'}"
        )


def _check_family(coded: bytes, form: Format, file: OpenFile) -> None:
    """Refuse pixels whose encoding differs from the header's transfer syntax."""
    named, found = family_of(form.transfer_syntax), family_in(coded)
    if form.transfer_syntax in NATIVE | {DEFLATED}:
        found = found or "encapsulated"
    if found is not None and found != named and not file.says_syntax:
        raise RefusedError(
            f"the pixels are {found}, but the file has no TransferSyntaxUID; add it to the file "
            "meta information"
        )
    if found is not None and found != named:
        raise RefusedError(
            f"the pixels are {found}, but the transfer syntax is "
            f"{name_uid(form.transfer_syntax or '')}; correct the TransferSyntaxUID"
        )


def _needed_bytes(form: Format) -> int:
    """Return the size in bytes of an uncompressed image, after checking that it is usable."""
    if (reason := refuse(form)) is not None:
        raise RefusedError(reason)
    return ((form.rows or 0) * (form.columns or 0) * (form.bits_allocated or 0) + 7) // 8
