"""Draw whole images of a study with the points and lines on them."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl
from PIL import Image

from lsdc.challenges.lumbar.annotations.patient_space import planes_of
from lsdc.challenges.lumbar.crops.intensities import robust_range
from lsdc.challenges.lumbar.report.drawing import LEVEL_COLOURS, Overlay, level_name
from lsdc.challenges.lumbar.report.layout import Panel
from lsdc.challenges.lumbar.report.study import StudyResults
from lsdc.challenges.lumbar.vocabulary import LEVELS, Condition, SeriesDescription
from lsdc.dicom.image import Image as Dicom
from lsdc.dicom.reader import Unreadable, read_pixels
from lsdc.geometry.lines import cut_lines
from lsdc.geometry.planes import FloatArray, Planes
from lsdc.report.drawing import BRIGHT, DIM, ROOM, Box, write

SAGITTAL = (SeriesDescription.SAGITTAL_T1, SeriesDescription.SAGITTAL_T2)
Images = dict[tuple[str, int], Dicom]  # by path and frame
Names = dict[str, tuple[float, float]]  # positions of the levels' names
Grey = npt.NDArray[np.uint8]  # (rows, columns)

BAR_MM = 50.0
AXIAL_MM = 120.0  # side of the region shown of an axial slice, around the level point
_BESIDE = 16  # distance of a level's name from its point
_NAME_WIDTH, _NAME_HEIGHT = 52, 18
_NEAREST, _OTHERS = (1.8, 0.95), (1.0, 0.55)  # width and opacity of axial slices' lines


def read_views(study: StudyResults) -> Images:
    """Read all images that are shown whole, in one call; unreadable ones are left out."""
    shown = [study.middle(kind) for kind in SAGITTAL]
    shown += [study.nearest_axial(str(level)) for level in LEVELS]
    files = pl.concat([instance.select("path", "frame") for instance in shown]).unique().rows()
    read = read_pixels(*map(list, zip(*files, strict=True)), processes=1) if files else ()
    return {files[n]: image for n, image in read if not isinstance(image, Unreadable)}


def draw_sagittal(
    sheet: Image.Image, room: Box, study: StudyResults, images: Images, kind: SeriesDescription
) -> Panel | None:
    """Draw the middle slice of a kind of series: canal points, foramina on T1, lines on T2.

    Returns:
        The image's panel; None if there is no image.
    """
    instance = study.middle(kind)
    panel = draw_image(sheet, room, instance, images, missing=f"no {kind} series")
    if panel is None:
        return None
    overlay = Overlay(panel.box)
    names = _beside_points(panel, study.marks)
    if kind == SeriesDescription.SAGITTAL_T2:
        names |= _draw_axial_lines(overlay, panel, study)
        shown = [Condition.SPINAL_CANAL_STENOSIS]
    else:
        shown = [condition for condition in Condition if condition.pooled == "foraminal"]
    draw_marks(overlay, panel, study.marks, shown)
    overlay.put_on(sheet)
    _write_names(sheet, panel, names)
    _draw_bar(sheet, panel)
    return panel


def draw_axial(
    sheet: Image.Image, room: Box, study: StudyResults, images: Images, level: str
) -> Panel | None:
    """Draw the axial slice nearest to a level, the patient's left on the right, with its points."""
    instance = study.nearest_axial(level)
    mirrored = bool(len(instance)) and instance["orientation"][0][0] < 0
    around = study.points.filter(level=level).select("x_mm", "y_mm", "z_mm").to_numpy()
    panel = draw_image(
        sheet,
        room,
        instance,
        images,
        missing="no slice",
        mirrored=mirrored,
        around_mm=around if len(around) else None,
    )
    if panel is not None:
        overlay = Overlay(panel.box)
        shown = [condition for condition in Condition if condition.pooled != "foraminal"]
        draw_marks(overlay, panel, study.marks.filter(level=level), shown)
        overlay.put_on(sheet)
    return panel


def draw_image(
    sheet: Image.Image,
    room: Box,
    instance: pl.DataFrame,
    images: Images,
    *,
    missing: str,
    mirrored: bool = False,
    around_mm: FloatArray | None = None,
) -> Panel | None:
    """Draw an instance (a row of the instances table, or none) as large as its room holds.

    Args:
        sheet: the sheet to draw on.
        room: the box available for the image.
        instance: a row of the instances table, or none.
        images: the images by path and frame.
        missing: the text shown if there is no row.
        mirrored: whether to show columns from right to left.
        around_mm: (1, 3) a point; only its surroundings are shown.

    Returns:
        The image's panel; None, after writing the reason, if there is no row or no readable file.
    """
    if instance.is_empty():
        _leave_empty(sheet, room, missing)
        return None
    image = images.get(instance.select("path", "frame").row(0))
    if image is None:
        _leave_empty(sheet, room, "cannot be read")
        return None
    grey, plane = _grey(image), planes_of(instance)
    if around_mm is not None:
        grey, plane = _surroundings(grey, plane, around_mm)
    panel = Panel.fit(room, grey.shape, plane, mirrored=mirrored)
    shown = Image.fromarray(grey[:, ::-1] if mirrored else grey)
    size = (panel.box.width, panel.box.height)
    sheet.paste(shown.resize(size, Image.Resampling.LANCZOS), (panel.box.left, panel.box.top))
    _name_edges(sheet, panel)
    return panel


def draw_marks(overlay: Overlay, panel: Panel, marks: pl.DataFrame, shown: list[Condition]) -> None:
    """Draw the conditions' points, projected onto the image, with predicted ones at the bottom.

    A line joins the predicted and the annotated point of one level and condition.
    """
    known: dict[tuple[str, str], FloatArray] = {}
    for kind in ("predicted", "annotated"):
        own = marks.filter(pl.col("condition").is_in([str(c) for c in shown]), kind=kind)
        places = panel.place_points(own.select("x_mm", "y_mm", "z_mm").to_numpy())
        for level, condition, at in zip(own["level"], own["condition"], places, strict=True):
            colour = LEVEL_COLOURS[level]
            if (level, condition) in known:
                ends = np.stack([known[level, condition], at])
                overlay.line(ends, colour, width=1, opacity=0.8)
            overlay.mark(at, condition, kind, colour)
            known[level, condition] = at


def _draw_axial_lines(overlay: Overlay, panel: Panel, study: StudyResults) -> Names:
    """Draw the chosen axial slices as lines over their extent, each level's nearest one stronger.

    Returns:
        The right ends of the nearest slices' lines.
    """
    axial = study.chosen.filter(series_description=str(SeriesDescription.AXIAL_T2))
    if axial.is_empty():
        return {}
    file = ["series_id", "instance_number"]
    cuts = axial.select(*file, "level", "offset_mm").join(
        study.instances, on=file, how="inner", maintain_order="left"
    )
    planes = planes_of(cuts)
    # Computed on the axial images, so that the lines end where these do.
    ends = planes.to_mm(cut_lines(planes, cuts.select("rows", "columns").to_numpy(), panel.plane))
    away = pl.col("offset_mm").abs()
    nearest = cuts.select(away == away.min().over("level")).to_series()
    right: Names = {}
    for line, level, is_nearest in zip(ends, cuts["level"], nearest, strict=True):
        if np.isfinite(line).all():
            width, opacity = _NEAREST if is_nearest else _OTHERS
            places = panel.place_points(line)
            overlay.line(places, LEVEL_COLOURS[level], width=width, opacity=opacity)
            if is_nearest:
                right[level] = tuple(places[places[:, 0].argmax()])
    return right


def _beside_points(panel: Panel, marks: pl.DataFrame) -> Names:
    """Return the position of each level's canal point, preferring the predicted one."""
    canal = marks.filter(condition=str(Condition.SPINAL_CANAL_STENOSIS))
    predicted_last = canal.sort(pl.col("kind") == "predicted", maintain_order=True)
    places = panel.place_points(predicted_last.select("x_mm", "y_mm", "z_mm").to_numpy())
    return {level: (x, y) for level, (x, y) in zip(predicted_last["level"], places, strict=True)}


def _write_names(sheet: Image.Image, panel: Panel, names: Names) -> None:
    """Write each level's name next to its point, moved down where it would cover another.

    Levels outside the image get no name.
    """
    box, lowest = panel.box, -np.inf
    inside = {
        n: at for n, at in names.items() if box.top <= at[1] < box.bottom and at[0] > box.left
    }
    for level, (x, y) in sorted(inside.items(), key=lambda name: name[1][1]):
        lowest = max(y, lowest + _NAME_HEIGHT)
        at = (min(x + _BESIDE, box.right - _NAME_WIDTH), lowest)
        colour = LEVEL_COLOURS[level]
        write(sheet, at, level_name(level), size=15, colour=colour, anchor="lm", halo=True)


def _name_edges(sheet: Image.Image, panel: Panel) -> None:
    """Write the patient's directions of the image's left and right edges in its upper corners."""
    left, right, _, _ = panel.edge_names()
    for name, x, anchor in ((left, panel.box.left + 8, "la"), (right, panel.box.right - 8, "ra")):
        write(sheet, (x, panel.box.top + 7), name, size=15, colour=DIM, anchor=anchor, halo=True)


def _draw_bar(sheet: Image.Image, panel: Panel) -> None:
    """Draw a bar of 50 mm in the lower left corner."""
    length = BAR_MM * panel.pixels_per_mm
    left, bottom = panel.box.left + 12, panel.box.bottom - 12
    overlay = Overlay(panel.box)
    overlay.line(np.array([[left, bottom], [left + length, bottom]]), BRIGHT, width=2, opacity=0.9)
    overlay.put_on(sheet)
    write(sheet, (left, bottom - 5), f"{BAR_MM:.0f} mm", size=13, anchor="ld", halo=True)


def _surroundings(grey: Grey, plane: Planes, point_mm: FloatArray) -> tuple[Grey, Planes]:
    """Crop the surroundings of a point as an image of its own, smaller at the image's edges."""
    middle = plane.to_pixel(point_mm)[0]
    half = AXIAL_MM / 2 / plane.spacing_mm[0, ::-1]
    last = np.array(grey.shape[::-1])
    first = np.clip(np.rint(middle - half), 0, last - 1).astype(int)
    end = np.clip(np.rint(middle + half), first + 1, last).astype(int)
    origin = plane.to_mm(first[None].astype(np.float64))
    return grey[first[1] : end[1], first[0] : end[0]], replace(plane, origin_mm=origin)


def _leave_empty(sheet: Image.Image, room: Box, why: str) -> None:
    sheet.paste(ROOM, (room.left, room.top, room.right, room.bottom))
    middle = ((room.left + room.right) / 2, (room.top + room.bottom) / 2)
    write(sheet, middle, why, size=14, colour=DIM, anchor="mm")


def _grey(image: Dicom) -> Grey:
    factor, summand = robust_range([image]).linear(image, 255)
    grey: Grey = np.rint(np.clip(image.stored * factor + summand, 0, 255)).astype(np.uint8)
    return grey
