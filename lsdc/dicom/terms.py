"""Terms: the texts of a header that may pass, since they cannot name a patient."""

import hashlib
import re
from functools import lru_cache
from zlib import crc32

PATIENT_POSITIONS = frozenset(
    ["HFS", "HFP", "HFDR", "HFDL", "FFS", "FFP", "FFDR", "FFDL", "LFP", "LFS", "RFP", "RFS"]
)
PHOTOMETRICS = frozenset(
    [
        "MONOCHROME1",
        "MONOCHROME2",
        "PALETTE COLOR",
        "RGB",
        "YBR_FULL",
        "YBR_FULL_422",
        "YBR_PARTIAL_420",
        "YBR_PARTIAL_422",
        "YBR_ICT",
        "YBR_RCT",
        *("ARGB", "CMYK", "HSV", "XYB"),
    ]
)
CT = "CT"
# Defined terms of Modality (PS3.3 C.7.3.1.1.1).
MODALITIES = frozenset([
    "ANN", "AR", "ASMT", "AU", "BDUS", "BI", "BMD", "CFM", "CR", "CT", "CTPROTOCOL", "DG",
    "DMS", "DOC", "DX", "ECG", "EEG", "EMG", "EOG", "EPS", "ES", "FID", "GM", "HC", "HD", "IO",
    "IOL", "IVOCT", "IVUS", "KER", "KO", "LEN", "LS", "M3D", "MG", "MR", "NM", "OAM", "OCT",
    "OP", "OPM", "OPT", "OPTBSV", "OPTENF", "OPV", "OSS", "OT", "PA", "PLAN", "POS", "PR", "PT",
    "PX", "REG", "RESP", "RF", "RG", "RTDOSE", "RTIMAGE", "RTINTENT", "RTPLAN", "RTRAD",
    "RTRECORD", "RTSEGANN", "RTSTRUCT", "RWV", "SEG", "SM", "SMR", "SR", "SRF", "STAIN",
    "TEXTUREMAP", "TG", "US", "VA", "XA", "XAPROTOCOL", "XC",
])  # fmt: skip
# Words of ImageType (PS3.3 C.7.6.1.1.2, C.8.3.1.1.1) of images that show where others lie.
_LOCALIZERS = frozenset(["LOCALIZER", "SCOUT"])
IMAGE_TYPES = ("original", "derived", "localizer")
_UID = re.compile(r"[0-9.]{1,64}")
# Transfer syntaxes of DICOM and of vendors; a patient's id cannot match.
SYNTAX = re.compile(r"1\.2\.840\.1[0-9.]{4,50}")
# UIDs defined by DICOM (PS3.6 A).
SOP_CLASS = re.compile(r"1\.2\.840\.10008\.[0-9.]{1,50}")
# UIDs of the competition: `study` and `study.series`.
_SHORT_UID = re.compile(r"(?:[0-9]{1,10}\.)?([0-9]{1,10})")
# What competitions write in place of UIDs: too long for a date, without meaning elsewhere.
_MADE_UP = re.compile(r"ID_[0-9a-f]{9,16}")


def image_type_of(text: bytes) -> str | None:
    """Return which of `IMAGE_TYPES` the words of ImageType mean, or None."""
    words = [word.strip(b" \0") for word in text.upper().split(b"\\")]
    if not _LOCALIZERS.isdisjoint(word.decode(errors="replace") for word in words):
        return "localizer"
    return {b"ORIGINAL": "original", b"DERIVED": "derived"}.get(words[0])


def checksum(instance: bytes) -> int | None:
    r"""Return the CRC-32 of SOPInstanceUID, to compare with a file's name; None if it is empty.

    >>> checksum(b"ID_0a1b2c3d4") == checksum(b"ID_0a1b2c3d4\0") != checksum(b"ID_0a1b2c3d5")
    True
    """
    instance = instance.strip(b" \0")
    return crc32(instance) if instance else None


def digest_patient(patient: bytes) -> str | None:
    """Return the digest of PatientID, 16 hexadecimal digits; None if it is empty."""
    patient = patient.strip(b" \0")
    return hashlib.blake2b(patient, digest_size=8).hexdigest() if patient else None


@lru_cache(maxsize=64)
def number_of(uid: str) -> int | None:
    """Return the number for a UID or made-up id: its last part if short, else 63 bits of a digest.

    A UID can identify a patient (PS3.15 E.1), so it does not pass as it is.
    """
    if not (_UID.fullmatch(uid) or _MADE_UP.fullmatch(uid)):
        return None
    if short := _SHORT_UID.fullmatch(uid):
        return int(short[1])
    return int.from_bytes(hashlib.blake2b(uid.encode(), digest_size=8).digest(), "big") >> 1


def name_of(uid: str) -> str | None:
    """Return an id if it is made up, `ID_` with hexadecimal digits, and so names nobody."""
    return uid if _MADE_UP.fullmatch(uid) else None
