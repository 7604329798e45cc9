"""Native: uncompressed pixel data (PS3.5 8.1.1 and A.3)."""

import numpy as np
import numpy.typing as npt

from lsdc.dicom.headers import Format
from lsdc.dicom.image import Stored
from lsdc.dicom.preflight import RefusedError

# Implicit and explicit little endian, explicit big endian: the uncompressed transfer syntaxes.
NATIVE = frozenset(["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"])
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
# Values of other sizes share bytes; pydicom unpacks them.
WHOLE_BYTES = (8, 16, 32)


def native_values(
    data: bytes | memoryview, form: Format, *, big_endian: bool, in_words: bool, frame: int = 1
) -> Stored:
    """Return the values of one frame (rows, columns), without a copy where possible.

    In a big-endian file a VR of OW means words of 16 bits, so values of 8 bits are swapped in
    pairs. OB has no byte order. Larger values have the file's byte order.

    Args:
        data: all of PixelData.
        form: a format with whole bytes that `usable.refuse` accepts.
        big_endian: whether the file is big-endian.
        in_words: whether the VR is OW.
        frame: the frame's number, from 1.

    Raises:
        RefusedError: there are too few bytes.
    """
    shape = form.rows or 0, form.columns or 0
    bits = form.bits_allocated or 0
    kind = "i" if form.pixel_representation else "u"
    count = shape[0] * shape[1]
    begin, size = (frame - 1) * count * bits // 8, count * bits // 8
    if len(data) < begin + size:
        raise RefusedError(f"{len(data)} bytes of PixelData, expected {begin + size}")
    if bits == 8 and big_endian and in_words:
        return _unpaired(data)[begin : begin + size].view(f"{kind}1").reshape(shape)
    order = ">" if big_endian else "<"
    return np.frombuffer(data, f"{order}{kind}{bits // 8}", count, begin).reshape(shape)


def _unpaired(data: bytes | memoryview) -> npt.NDArray[np.uint8]:
    """Swap each pair of bytes in big-endian words; an odd last byte stays."""
    values = np.frombuffer(data, np.uint8).copy()
    pairs = values[: len(values) // 2 * 2].reshape(-1, 2)
    pairs[:] = pairs[:, ::-1].copy()
    return values
