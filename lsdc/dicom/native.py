"""Native: pixels that lie in a file as they are, not compressed (PS3.5 8.1.1 and A.3)."""

import numpy as np
import numpy.typing as npt

from lsdc.dicom.headers import Format
from lsdc.dicom.image import Stored
from lsdc.dicom.preflight import RefusedError

# Little endian implicit and explicit, big endian: a file of these holds its pixels as they are.
NATIVE = frozenset(["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"])
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
# Other sizes share bytes; pydicom unpacks them.
WHOLE_BYTES = (8, 16, 32)


def native_values(
    data: bytes | memoryview, form: Format, *, big_endian: bool, in_words: bool, frame: int = 1
) -> Stored:
    """The values of one frame (rows, columns), without a copy where they need none.

    In a big-endian file a VR of OW means words of 16 bits, so that values of 8 bits lie in pairs
    the other way round. OB has no byte order. Larger values have that of the file.

    Args:
        data: all of PixelData.
        form: one of whole bytes, that `usable.refuse` lets through.
        big_endian: whether the file is.
        in_words: whether the VR is OW.
        frame: counted from 1.

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
    """The bytes of big-endian words, each pair exchanged; one alone at the end stays."""
    values = np.frombuffer(data, np.uint8).copy()
    pairs = values[: len(values) // 2 * 2].reshape(-1, 2)
    pairs[:] = pairs[:, ::-1].copy()
    return values
