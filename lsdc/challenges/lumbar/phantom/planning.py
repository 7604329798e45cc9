"""Plan the series of a study and the positions of their slices."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.lumbar.phantom.anatomy import Array, Spine
from lsdc.challenges.lumbar.phantom.image import SlicePlane
from lsdc.challenges.lumbar.phantom.pose import Pose
from lsdc.challenges.lumbar.phantom.quirks import Quirks
from lsdc.challenges.lumbar.phantom.tissues import Contrast

Description = Literal["Sagittal T1", "Sagittal T2/STIR", "Axial T2"]
Encoding = Literal["explicit", "implicit", "rle"]

_SMALLEST_PX = 32


@dataclass(frozen=True)
class SeriesPlan:
    """The plan of one series: everything to be written except the pixels."""

    description: Description  # in the competition's table
    header_description: str  # in the DICOM files
    contrast: Contrast
    planes: tuple[SlicePlane, ...]
    instance_numbers: tuple[int, ...]
    patient_position: str
    encoding: Encoding = "explicit"
    monochrome1: bool = False
    rescale: tuple[float, float] | None = None  # slope, intercept
    spacing_mm: float | None = None  # None: neither spacing nor thickness is written
    broken_files: bool = False


def plan_series(
    spine: Spine, quirks: Quirks, pose: Pose, max_size: int, rng: np.random.Generator
) -> list[SeriesPlan]:
    """Plan the series of one study, in the order of the competition's table."""
    plans = []
    if quirks.missing not in ("T1", "sagittal"):
        plans.append(_sagittal(spine, quirks, pose, "Sagittal T1", max_size, rng))
    if quirks.missing not in ("T2", "sagittal"):
        plans.append(_sagittal(spine, quirks, pose, "Sagittal T2/STIR", max_size, rng))
    if quirks.missing != "axial":
        plans.extend(_axial(spine, quirks, pose, max_size, rng))
    return plans


def _sagittal(
    spine: Spine,
    quirks: Quirks,
    pose: Pose,
    description: Description,
    max_size: int,
    rng: np.random.Generator,
) -> SeriesPlan:
    t1 = description == "Sagittal T1"
    turn = rng.uniform(6.0, 8.0) if quirks.oblique else rng.uniform(-2.0, 2.0)
    tilt = rng.uniform(2.0, 4.0) if quirks.oblique else 0.0
    turn = turn if pose.turn_degrees is None else pose.turn_degrees
    tilt = tilt if pose.tilt_degrees is None else pose.tilt_degrees
    row_direction = _unit([np.sin(np.deg2rad(turn)), np.cos(np.deg2rad(turn)), 0.0])
    column_direction = _unit(np.array([np.sin(np.deg2rad(tilt)), 0.0, -1.0]), across=row_direction)
    middle = spine.to_patient(np.array([0.0, rng.uniform(-8.0, 8.0), rng.uniform(2.0, 10.0)]))
    field_mm = rng.uniform(265.0, 300.0) * spine.patient.scale
    middle = _move_field(middle, spine, pose, field_mm)
    encoding = _encoding(description, quirks)
    # pydicom's RLE encoder is slow; a small matrix keeps writing fast.
    largest = max_size * 5 // 8 if encoding == "rle" else max_size
    shape, spacing = _grid(field_mm, _size(largest, rng), quirks)
    spacing_mm = round(rng.uniform(4.0, 4.8), 2)
    normal = np.cross(row_direction, column_direction)
    reach = np.abs((_landmarks(spine, *_shown_levels(pose)) - middle) @ normal).max()
    # At least 13 slices, about 60 mm, and one slice beyond the outermost landmark.
    half = max(6, round(29.0 / spacing_mm), int(np.ceil(reach / spacing_mm)) + 1)
    offsets = np.arange(-half, half + 1) * spacing_mm
    offsets = offsets[:: 1 if normal[0] < 0 else -1]  # now from the patient's left to the right
    order = quirks.t1_order if t1 else rng.choice(["left to right", "right to left"])
    if order == "right to left":
        offsets = offsets[::-1]
    elif order == "mixed":  # like an interleaved scan: every other slice is stored first
        offsets = np.concatenate([offsets[::2], offsets[1::2]])
    planes = _stack(middle, offsets, row_direction, column_direction, shape, spacing)
    return SeriesPlan(
        description=description,
        header_description=_header_description(description, quirks),
        contrast=Contrast.T1 if t1 else (Contrast.STIR if quirks.stir else Contrast.T2),
        planes=planes,
        instance_numbers=_numbers(len(planes), "from 1" if t1 else quirks.numbering),
        patient_position=quirks.patient_position,
        encoding=encoding,
        monochrome1=t1 and quirks.monochrome1,
        spacing_mm=spacing_mm if quirks.spacing_tags else None,
        broken_files=quirks.broken_files and not t1,
    )


def _move_field(middle: Array, spine: Spine, pose: Pose, field_mm: float) -> Array:
    """Return the middle of sagittal fields of view, shifted according to the pose."""
    back, down = pose.field_shift_mm
    moved: Array = middle + np.array([0.0, back, -down])
    if pose.hidden != "none":  # the field ends half-way between the outermost levels
        heights = spine.canal_points_mm()[:, 2]
        if pose.hidden == "top":
            moved[2] = heights[:2].mean() - field_mm / 2
        else:
            moved[2] = heights[-2:].mean() + field_mm / 2
    return moved


def _shown_levels(pose: Pose) -> tuple[int, int]:
    """Return the first and the last level shown in the images."""
    return int(pose.hidden == "top"), 3 if pose.hidden == "bottom" else 4


def _axial(
    spine: Spine, quirks: Quirks, pose: Pose, max_size: int, rng: np.random.Generator
) -> list[SeriesPlan]:
    field_mm = rng.uniform(170.0, 200.0) * spine.patient.scale
    shape, spacing = _grid(field_mm, _size(max_size, rng), quirks)
    top, bottom = _shown_levels(pose)
    if quirks.axial == "angled":
        gaps = [round(rng.uniform(3.8, 4.4), 2) for _ in range(5)]
        stacks = [
            _angled_planes(spine, level, gaps[level], pose.roll_degrees or 0.0, shape, spacing)
            for level in range(top, bottom + 1)
        ]
        groups = [tuple(plane for stack in stacks for plane in stack)]
        gaps_mm = [4.0]
    else:
        spans = [(top, 2), (3, bottom)] if quirks.axial == "two series" else [(top, bottom)]
        groups, gaps_mm = [], []
        for first, last in spans:
            span = (first, last)
            planes, gap_mm = _straight_planes(spine, span, pose.roll_degrees, shape, spacing, rng)
            groups.append(planes)
            gaps_mm.append(gap_mm)
    return [
        SeriesPlan(
            description="Axial T2",
            header_description=_header_description("Axial T2", quirks),
            contrast=Contrast.T2,
            planes=planes,
            instance_numbers=_numbers(
                len(planes), "late start" if quirks.numbering == "late start" else "from 1"
            ),
            patient_position=quirks.patient_position,
            rescale=(2.0, -40.0) if quirks.rescaled else None,
            spacing_mm=gap_mm if quirks.spacing_tags else None,
        )
        for planes, gap_mm in zip(groups, gaps_mm, strict=True)
    ]


def _angled_planes(
    spine: Spine,
    level: int,
    gap_mm: float,
    roll_degrees: float,
    shape: tuple[int, int],
    spacing: tuple[float, float],
) -> tuple[SlicePlane, ...]:
    """Return six slices parallel to one disc, top to bottom, the middle ones through the disc."""
    disc = spine.level_discs_mm[level]
    front, back, left = spine.to_patient(
        np.array([[0.0, 0.0, disc], [0.0, 40.0, disc], [30.0, 0.0, disc]])
    )
    column_direction = _unit(back - front)
    row_direction = _unit(left - front, across=column_direction)
    if roll_degrees:
        across, roll = np.cross(row_direction, column_direction), np.deg2rad(roll_degrees)
        row_direction = np.cos(roll) * row_direction + np.sin(roll) * across
    middle = spine.to_patient(np.array([0.0, 18.0, disc]))
    downwards = -np.cross(row_direction, column_direction)[2]
    offsets = (np.arange(6) - 2.6) * gap_mm * (1.0 if downwards > 0 else -1.0)
    return _stack(middle, offsets, row_direction, column_direction, shape, spacing)


def _straight_planes(
    spine: Spine,
    span: tuple[int, int],
    roll_degrees: float | None,
    shape: tuple[int, int],
    spacing: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[tuple[SlicePlane, ...], float]:
    """Return one stack of parallel slices over a span of levels, top to bottom, and its gap."""
    first, last = span
    lean = np.deg2rad(rng.uniform(0.0, 8.0))  # a compromise between the discs' tilts
    roll = np.deg2rad(rng.uniform(-2.0, 2.0))
    roll = roll if roll_degrees is None else np.deg2rad(roll_degrees)
    column_direction = _unit([0.0, np.cos(lean), np.sin(lean)])
    row_direction = _unit(np.array([np.cos(roll), 0.0, np.sin(roll)]), across=column_direction)
    upwards = np.cross(row_direction, column_direction)
    points = _landmarks(spine, first, last)
    heights = points @ upwards
    top, bottom = heights.max() + 7.0, heights.min() - 7.0
    count = 30 if last - first == 4 else 16 + 2 * (last - first)
    gap_mm = round((top - bottom) / (count - 1), 2)
    middle = points.mean(axis=0)
    offsets = top - middle @ upwards - np.arange(count) * gap_mm
    return _stack(middle, offsets, row_direction, column_direction, shape, spacing), gap_mm


def _stack(
    middle: Array,
    offsets: NDArray[np.floating[Any]],
    row_direction: Array,
    column_direction: Array,
    shape: tuple[int, int],
    spacing: tuple[float, float],
) -> tuple[SlicePlane, ...]:
    """Return planes around a point, shifted along their common normal."""
    corner = (
        middle
        - row_direction * (spacing[1] * (shape[1] - 1) / 2)
        - column_direction * (spacing[0] * (shape[0] - 1) / 2)
    )
    normal = np.cross(row_direction, column_direction)
    return tuple(
        SlicePlane(corner + normal * offset, row_direction, column_direction, spacing, shape)
        for offset in offsets
    )


def _landmarks(spine: Spine, first: int = 0, last: int = 4) -> Array:
    """Return (n, 3), canal, foramina and recesses of a span of levels, grouped by structure."""
    return spine.structure_points_mm()[:, first : last + 1].reshape(-1, 3)


def _size(max_size: int, rng: np.random.Generator) -> int:
    """Draw the number of pixels on the longer side, a multiple of 8."""
    wanted = int(rng.choice([1.0, 0.9, 0.8, 0.75]) * max_size) // 8 * 8
    return min(max_size, max(_SMALLEST_PX, wanted))


def _grid(
    field_mm: float, size: int, quirks: Quirks
) -> tuple[tuple[int, int], tuple[float, float]]:
    """Return (rows, columns) and the spacing (between rows, between columns)."""
    spacing = round(field_mm / size, 4)
    rows = size
    columns = size if quirks.square else size * 7 // 8
    if quirks.anisotropic:
        columns = columns * 4 // 5
        return (rows, columns), (spacing, round(spacing * 1.25, 4))
    return (rows, columns), (spacing, spacing)


def _numbers(count: int, numbering: str) -> tuple[int, ...]:
    numbers = np.arange(1, count + 1)
    if numbering == "gaps":
        numbers = numbers + (numbers > 3) + 2 * (numbers > count // 2)
    elif numbering == "late start":
        numbers = numbers + 40
    return tuple(int(number) for number in numbers)


def _header_description(description: Description, quirks: Quirks) -> str:
    if quirks.descriptions == "table":
        return description
    if quirks.descriptions == "wrong" and description == "Axial T2":
        return "COR T2"
    return "T1" if description == "Sagittal T1" else "T2"


def _encoding(description: Description, quirks: Quirks) -> Encoding:
    plane_name = "T1" if description == "Sagittal T1" else "T2"
    if quirks.rle == plane_name:
        return "rle"
    return "implicit" if quirks.implicit_vr and plane_name == "T2" else "explicit"


def _unit(vector: Sequence[float] | Array, across: Array | None = None) -> Array:
    """Return the vector normalised to length 1, made perpendicular to `across`."""
    vector = np.asarray(vector, dtype=np.float64)
    if across is not None:
        vector = vector - (vector @ across) * across
    return np.asarray(vector / np.linalg.norm(vector))
