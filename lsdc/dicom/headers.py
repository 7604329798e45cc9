"""Headers: the allow-listed tags of one file, by dicomsdl or, as the second reader, by pydicom.

Only child processes call the readers: dicomsdl crashes on some files (see `supervisor`). No tag
that may name a patient passes as it is written: PatientID passes as a digest, and identifiers as
numbers or in a form that names nobody. The few text tags pass only if their value is one of DICOM's
defined terms. `terms` holds these rules.

Both readers return numbers that DICOM writes as text (DS, IS) as text, since dicomsdl parses an
empty or garbled one as zero, and `1A` as 1.
"""

from functools import lru_cache
from typing import Any, NamedTuple

from lsdc.dicom.functional_groups import (
    ENHANCED,
    PER_FRAME,
    SEQUENCES,
    DataSet,
    DataSetOfDicomsdl,
    DataSetOfPydicom,
    read_frames,
)
from lsdc.dicom.numbers import (
    as_whole,
    parse_directions,
    parse_number,
    parse_numbers,
    parse_position,
    parse_spacing,
    parse_whole,
    text_of_pydicom,
)
from lsdc.dicom.preflight import OpenFile
from lsdc.dicom.terms import (
    CT,
    MODALITIES,
    PATIENT_POSITIONS,
    PHOTOMETRICS,
    SOP_CLASS,
    SYNTAX,
    checksum,
    digest_patient,
    image_type_of,
    name_of,
    number_of,
)

# Keywords (PS3.6) in the order of `Format`: numbers and words, then numbers written as text.
_VALUES = {
    "Rows": 0x00280010,
    "Columns": 0x00280011,
    "SamplesPerPixel": 0x00280002,
    "BitsAllocated": 0x00280100,
    "BitsStored": 0x00280101,
    "HighBit": 0x00280102,
    "PixelRepresentation": 0x00280103,
    "PhotometricInterpretation": 0x00280004,
    "PatientPosition": 0x00185100,
    "StudyInstanceUID": 0x0020000D,
    "SeriesInstanceUID": 0x0020000E,
    "TransferSyntaxUID": 0x00020010,
    "SOPClassUID": 0x00080016,
    "MediaStorageSOPClassUID": 0x00020002,
    "Modality": 0x00080060,
}
_FILE_META = ("TransferSyntaxUID", "MediaStorageSOPClassUID")
_TEXTS = {
    "ImageOrientationPatient": 0x00200037,
    "PixelSpacing": 0x00280030,
    "NumberOfFrames": 0x00280008,
    "EchoTime": 0x00180081,
    "RepetitionTime": 0x00180080,
    "ImageType": 0x00080008,
}
RESCALE_TEXTS = {"RescaleIntercept": 0x00281052, "RescaleSlope": 0x00281053}
# Read from CT alone: what turns its values into Hounsfield units and grey (PS3.3 C.8.2.1, C.11.2),
# and whose images they are, which no folder tells where files lie flat.
_CT_TEXTS = {
    **RESCALE_TEXTS,
    "WindowCenter": 0x00281050,
    "WindowWidth": 0x00281051,
    "PatientID": 0x00100020,
}
_INTEGERS = 7  # the number of integers among the values
# dicomsdl looks tags up faster than keywords.
_TAGS, _TEXT_TAGS, _CT_TAGS = (list(each.values()) for each in (_VALUES, _TEXTS, _CT_TEXTS))
_MODALITY, _IS_CT = list(_VALUES).index("Modality"), (CT, CT.encode())
_ALL_TEXT_TAGS, _NO_CT = [*_TEXT_TAGS, *_CT_TAGS], [b""] * len(_CT_TAGS)
_NUMBER, _POSITION, _INSTANCE = 0x00200013, 0x00200032, 0x00080018
ALLOWED = (
    *_VALUES,
    *_TEXTS,
    *_CT_TEXTS,
    *("InstanceNumber", "ImagePositionPatient", "SOPInstanceUID"),
)

# The last tag that a header needs, and every image has: PixelRepresentation. CT needs RescaleSlope.
_LAST_TAG, _LAST_BYTES = 0x00280103, b"\x28\x00\x03\x01"
_LAST_TAG_OF_CT, _LAST_BYTES_OF_CT = 0x00281053, b"\x28\x00\x53\x10"
_PAST_FILE_META = 256


class Format(NamedTuple):
    """The attributes that images of a series mostly share; None if missing, empty or garbled.

    Attributes:
        pixel_representation: 1 where stored values are signed, else 0.
        study_id: the number in StudyInstanceUID if it has the competition's form, else 63 bits of
            its digest, since a UID can identify a patient (PS3.15 E.1).
        series_id: the same for SeriesInstanceUID.
        study_name: StudyInstanceUID as it is written if it is `ID_` with 9 to 16 hexadecimal
            digits, which is not a UID and names nobody.
        series_name: the same for SeriesInstanceUID.
        modality: one of `MODALITIES`.
        patient: 16 hexadecimal digits, the digest of PatientID of CT. It tells whether two images
            are of one patient; who knows a PatientID can compute it.
        sop_class: the type of object: SOPClassUID or, if that is missing, as in a DICOMDIR,
            MediaStorageSOPClassUID.
        image_orientation: the directions of increasing column and row, in patient space (LPS).
        pixel_spacing: (row spacing, column spacing) in mm, both above zero.
        echo_time: the echo time in ms.
        repetition_time: the repetition time in ms.
        image_type: one of `IMAGE_TYPES`, by the words of ImageType.
        rescale_intercept: RescaleIntercept of CT.
        rescale_slope: RescaleSlope of CT.
        window_centers: the values of WindowCenter of CT.
        window_widths: the values of WindowWidth of CT.
        frames: `FRAME_NUMBERS` per frame, if functional groups give the frames' geometry.
    """

    rows: int | None
    columns: int | None
    samples_per_pixel: int | None
    bits_allocated: int | None
    bits_stored: int | None
    high_bit: int | None
    pixel_representation: int | None
    photometric: str | None
    patient_position: str | None
    study_id: int | None
    series_id: int | None
    study_name: str | None
    series_name: str | None
    modality: str | None
    patient: str | None
    transfer_syntax: str | None
    sop_class: str | None
    image_orientation: tuple[float, ...] | None
    pixel_spacing: tuple[float, ...] | None
    number_of_frames: int | None
    echo_time: float | None
    repetition_time: float | None
    image_type: str | None
    rescale_intercept: float | None
    rescale_slope: float | None
    window_centers: tuple[float, ...] | None
    window_widths: tuple[float, ...] | None
    frames: tuple[float, ...] | None


class Header(NamedTuple):
    """A file's header.

    Attributes:
        image_position: the centre of the first voxel, in patient space (LPS), mm.
        instance_checksum: `checksum` of SOPInstanceUID of CT.
    """

    format: Format
    instance_number: int | None
    image_position: tuple[float, ...] | None
    instance_checksum: int | None = None


def read_with_dicomsdl(file: OpenFile) -> Header:
    """Read a header; may end the process. Raises what dicomsdl raises.

    Raises:
        RefusedError: functional groups contradict the frames.
    """
    import dicomsdl

    start = file.start
    if start.find(_LAST_BYTES, _PAST_FILE_META) >= 0:
        # Reading the start from memory is faster and safer than mapping the file: dicomsdl crashes
        # on one that is truncated within its pixels.
        dataset = dicomsdl.open_memory(start, copy_data=False, load_until=_LAST_TAG)
        values = dataset.getValues(_TAGS)
        if values[_MODALITY] in _IS_CT and start.find(_LAST_BYTES_OF_CT, _PAST_FILE_META) >= 0:
            dataset = dicomsdl.open_memory(start, copy_data=False, load_until=_LAST_TAG_OF_CT)
        header = _header(dataset, values)
        # Usually the start holds all that is needed.
        if _is_complete(header.format) and not _needs_groups(header):
            return header
    content = b"" if file.is_whole else file.content()

    def read_to(tag: int) -> Any:
        if file.is_whole:
            return dicomsdl.open(file.path, load_until=tag)
        return dicomsdl.open_memory(content, copy_data=False, load_until=tag)

    dataset = read_to(_LAST_TAG_OF_CT)
    header = _header(dataset, dataset.getValues(_TAGS))
    if not _needs_groups(header):
        return header
    return _with_frames(header, DataSetOfDicomsdl(read_to(PER_FRAME)))


def _is_complete(form: Format) -> bool:
    """Return whether the last tag that a header needs was read."""
    if form.modality == CT and form.rescale_slope is None:
        return False
    return form.pixel_representation is not None


def format_of(dataset: Any) -> Format:
    """Return the format of a dicomsdl data set."""
    return _format_of(dataset, dataset.getValues(_TAGS))


def _format_of(dataset: Any, values: list[Any]) -> Format:
    element = dataset.getDataElement
    tags = _ALL_TEXT_TAGS if values[_MODALITY] in _IS_CT else _TEXT_TAGS
    values += [element(tag).toBytes() for tag in tags]
    return _format(tuple(values))


def _header(dataset: Any, values: list[Any]) -> Header:
    """Return the header of a dicomsdl data set, with the values of its `_TAGS`."""
    element = dataset.getDataElement
    form = _format_of(dataset, values)
    number = parse_whole(element(_NUMBER).toBytes())
    position = parse_position(element(_POSITION).toBytes())
    if form.modality != CT:
        return Header(form, number, position)
    return Header(form, number, position, checksum(element(_INSTANCE).toBytes()))


def read_with_pydicom(file: OpenFile) -> Header:
    """Read a header. Raises what pydicom raises.

    Raises:
        RefusedError: functional groups contradict the frames.
    """
    import pydicom

    with file.stream() as stream:
        own = _NUMBER, _POSITION, _INSTANCE
        tags = [*_TAGS, *_ALL_TEXT_TAGS, *own, *SEQUENCES]
        dataset = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=tags)
    header = _header_of_pydicom(dataset)
    return _with_frames(header, DataSetOfPydicom(dataset)) if _needs_groups(header) else header


def _needs_groups(header: Header) -> bool:
    """Return whether only functional groups give the image's geometry.

    The competition's files are Enhanced MR, but give it in the header as classic ones do.
    """
    form = header.format
    if form.sop_class not in ENHANCED:
        return False
    places = header.image_position, form.image_orientation, form.pixel_spacing
    return (form.number_of_frames or 1) > 1 or None in places


def _with_frames(header: Header, dataset: DataSet) -> Header:
    frames = read_frames(dataset, header.format.number_of_frames or 1)
    return header._replace(format=header.format._replace(frames=frames))


def format_of_pydicom(dataset: Any) -> Format:
    """Return the format of a pydicom data set."""
    return _header_of_pydicom(dataset).format


def _header_of_pydicom(dataset: Any) -> Header:
    values = [
        _value(dataset.file_meta if keyword in _FILE_META else dataset, keyword)
        for keyword in _VALUES
    ]
    is_ct = values[_MODALITY] in _IS_CT
    texts = [text_of_pydicom(dataset, tag) for tag in (_ALL_TEXT_TAGS if is_ct else _TEXT_TAGS)]
    own = (text_of_pydicom(dataset, tag) for tag in (_NUMBER, _POSITION, _INSTANCE))
    number, position, instance = own
    return Header(
        _format((*values, *texts)),
        parse_whole(number),
        parse_position(position),
        checksum(instance) if is_ct else None,
    )


def _format(values: tuple[Any, ...]) -> Format:
    try:
        return _known_format(values)
    except TypeError:  # multiple values in a single-valued tag are unhashable
        return _new_format(values)


def _new_format(values: tuple[Any, ...]) -> Format:
    photometric, position, study, series, syntax, sop_class, media_class, modality = map(
        _text, values[_INTEGERS : len(_VALUES)]
    )
    texts = values[len(_VALUES) :]
    orientation, spacing, frames, echo_time, repetition_time, image_type = texts[:6]
    intercept, slope, centers, widths, patient = texts[6:] or _NO_CT
    rows, columns, samples, allocated, stored, high_bit, signed = map(as_whole, values[:_INTEGERS])
    return Format(
        rows,
        columns,
        samples,
        allocated,
        stored,
        high_bit,
        signed,
        photometric if photometric in PHOTOMETRICS else None,
        position if position in PATIENT_POSITIONS else None,
        number_of(study),
        number_of(series),
        name_of(study),
        name_of(series),
        modality if modality in MODALITIES else None,
        digest_patient(patient),
        syntax if SYNTAX.fullmatch(syntax) else None,
        next(filter(SOP_CLASS.fullmatch, (sop_class, media_class)), None),
        parse_directions(orientation),
        parse_spacing(spacing),
        parse_whole(frames) or None,
        parse_number(echo_time),
        parse_number(repetition_time),
        image_type_of(image_type),
        parse_number(intercept),
        parse_number(slope),
        parse_numbers(centers),
        parse_numbers(widths),
        None,
    )


# Images of one series share a cached format.
_known_format = lru_cache(maxsize=64)(_new_format)


def _value(dataset: Any, keyword: str) -> Any:
    try:
        return dataset.get(keyword)
    except (ValueError, TypeError, OverflowError):  # not of the tag's type: treated as missing
        return None


def _text(value: object) -> str:
    # dicomsdl returns bytes where the file does not tell the type (VR UN).
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text.strip(" \0")
