"""Usable: decide from the header whether a greyscale image can be decoded, or what is missing.

Checked by the index, so that it is reported before training, and again before pixels are read.
"""

import importlib.util
from functools import lru_cache

from lsdc.dicom.functional_groups import ENHANCED
from lsdc.dicom.headers import Format
from lsdc.dicom.native import DEFLATED, NATIVE, WHOLE_BYTES
from lsdc.messages import counted

GREYSCALE = ("MONOCHROME1", "MONOCHROME2")
# dicomsdl has no query for these: RLE, JPEG, JPEG-LS and JPEG 2000 of DICOM's first parts.
_BY_DICOMSDL = frozenset(
    f"1.2.840.10008.1.2.{end}"
    for end in ("5", "4.50", "4.51", "4.57", "4.70", "4.80", "4.81", "4.90", "4.91")
)
# UIDs that are not in pydicom's dictionary.
_NAMES = {
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
    "1.2.840.113619.5.2": "GE's private syntax with big-endian pixels",
}
# Transfer syntaxes that GDCM decodes and pydicom has no decoder for.
_BY_GDCM = frozenset(["1.2.840.113619.5.2"])
_BITS = (1, *WHOLE_BYTES)


def refuse(form: Format) -> str | None:
    """Return why a file has no usable greyscale image, as far as its header shows; else None."""
    if not (form.rows and form.columns and form.bits_allocated):
        return "no usable Rows, Columns or BitsAllocated in the header"
    if form.photometric not in GREYSCALE or form.samples_per_pixel not in (None, 1):
        return _refuse_colour(form)
    if form.number_of_frames not in (None, 0, 1) and form.sop_class not in ENHANCED:
        return (
            f"{form.number_of_frames} frames in one file{_of_class(form)}, expected 1 frame, or "
            "functional groups as in Enhanced MR; split the file into one file per frame, for "
            "example with 'dcuncat' of dicom3tools"
        )
    if form.bits_stored is None and form.pixel_representation is None:
        return (
            "no BitsStored and no PixelRepresentation in the header, so the pixels are floating-"
            "point (FloatPixelData) or of unknown type; expected integers"
        )
    if form.bits_allocated not in _BITS:
        return f"{form.bits_allocated} bits allocated, expected 1, 8, 16 or 32"
    if form.bits_stored is not None and not 0 < form.bits_stored <= form.bits_allocated:
        return f"{form.bits_stored} bits stored, expected 1 to {form.bits_allocated}, as allocated"
    return refuse_syntax(form.transfer_syntax)


def _refuse_colour(form: Format) -> str:
    if form.photometric is None:
        return (
            "no valid PhotometricInterpretation in the header, so it is unknown whether low values "
            "are dark or bright; expected MONOCHROME1 or MONOCHROME2"
        )
    samples = counted(form.samples_per_pixel or 1, "sample")
    return (
        f"not greyscale ({form.photometric}, {samples} per pixel), "
        "expected MONOCHROME1 or MONOCHROME2 with 1 sample"
    )


@lru_cache(maxsize=64)
def refuse_syntax(uid: str | None) -> str | None:
    """Return why a transfer syntax cannot be decoded, and which library can; None if it can."""
    if uid is None:
        return "the TransferSyntaxUID is missing or unknown, so the pixels cannot be decoded"
    if uid in NATIVE or uid == DEFLATED:
        return None
    if uid in _BY_DICOMSDL and importlib.util.find_spec("dicomsdl") is not None:
        return None
    # Not at the top: the import is slow, and uncompressed files do not need it.
    from pydicom.pixels import get_decoder  # type: ignore[attr-defined]  # its documented place

    reason = f"no installed library decodes the transfer syntax, {name_uid(uid)}"
    try:
        decoder = get_decoder(uid)
    except NotImplementedError:
        if uid in _BY_GDCM:
            return f"{reason}; convert it with 'gdcmconv --raw' of GDCM"
        return f"{reason}; request the file in Explicit VR Little Endian"
    if decoder.is_available:
        return None
    # "pylibjpeg - requires pylibjpeg>=2.0 and pylibjpeg-openjpeg>=2.0", as pydicom writes it.
    needed = " or ".join(each.split(" requires ")[-1] for each in decoder.missing_dependencies)
    return f"{reason}; install {needed}, or convert the file with 'gdcmconv --raw' or 'dcm2dcm'"


def _of_class(form: Format) -> str:
    return "" if form.sop_class is None else f" of {name_uid(form.sop_class)}"


def name_uid(uid: str) -> str:
    """Return a DICOM UID with its name: `RLE Lossless (1.2.840.10008.1.2.5)`."""
    from pydicom.uid import UID

    name = _NAMES.get(uid, UID(uid).name)
    return uid if name == uid else f"{name} ({uid})"
