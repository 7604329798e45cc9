"""Sheets: an overview picture of a study."""

from pathlib import Path

from PIL import Image

from lsdc.challenges.lumbar.quality.corrections import describe_corrections
from lsdc.challenges.lumbar.report.crop_grid import Grid, draw_crops
from lsdc.challenges.lumbar.report.distances import write_table
from lsdc.challenges.lumbar.report.drawing import LEVEL_COLOURS, level_name
from lsdc.challenges.lumbar.report.legend import write_legend
from lsdc.challenges.lumbar.report.panels import SAGITTAL, draw_axial, draw_sagittal, read_views
from lsdc.challenges.lumbar.report.study import StudyResults
from lsdc.challenges.lumbar.vocabulary import LEVELS, SeriesDescription
from lsdc.report.drawing import DIM, GROUND, LINE, Box, write

MARGIN, GAP = 28, 18
TITLE = 62
HEADING = 26
SIDE = 600  # side of the space for a sagittal image
NARROWEST = 1120  # minimum width of the part to the right of the sagittal images


class Layout:
    """The positions of all parts of a sheet; sizes depend on the number of slices per level."""

    def __init__(self, study: StudyResults) -> None:
        top = MARGIN + TITLE + HEADING
        self.sagittal = {
            kind: Box(MARGIN + number * (SIDE + GAP), top, SIDE, SIDE)
            for number, kind in enumerate(SAGITTAL)
        }
        self.beside = self.sagittal[SeriesDescription.SAGITTAL_T2].right + 2 * GAP
        self.grid = Grid.fit(MARGIN, top + SIDE + GAP, study)
        self.width = max(self.beside + NARROWEST, MARGIN + self.grid.width) + MARGIN
        self.height = self.grid.top + self.grid.height + MARGIN
        side = (self.width - MARGIN - self.beside - (len(LEVELS) - 1) * GAP) // len(LEVELS)
        self.axial = {
            str(level): Box(self.beside + number * (side + GAP), top, side, side)
            for number, level in enumerate(LEVELS)
        }
        self.table_top = top + side + 2 * LINE + GAP


def write_sheet(study: StudyResults, out: Path, *, experiment: str) -> None:
    """Write a PNG: middle T1 and T2 slices, one axial slice per level, distances, and all crops.

    Args:
        study: the study's results of a run.
        out: the path of the PNG.
        experiment: the name of the run's experiment, for the title.
    """
    draw_sheet(study, experiment=experiment).save(out, format="PNG")


def draw_sheet(study: StudyResults, *, experiment: str) -> Image.Image:
    """Draw the sheet as an image."""
    layout = Layout(study)
    images = read_views(study)
    sheet = Image.new("RGB", (layout.width, layout.height), GROUND)
    _write_title(sheet, study, experiment)
    for kind, room in layout.sagittal.items():
        write(sheet, (room.left, room.top - 7), str(kind), size=16, anchor="ld")
        draw_sagittal(sheet, room, study, images, kind)
    heading = (layout.beside, layout.axial[LEVELS[0]].top - 7)
    write(sheet, heading, "Axial T2, the slice nearest to each level", size=16, anchor="ld")
    for level, room in layout.axial.items():
        draw_axial(sheet, room, study, images, level)
        _caption_axial(sheet, room, study, level)
    bottom = write_table(sheet, layout.beside, layout.table_top, study)
    write_legend(sheet, layout.beside, bottom + GAP)
    draw_crops(sheet, layout.grid, study)
    return sheet


def _write_title(sheet: Image.Image, study: StudyResults, experiment: str) -> None:
    write(sheet, (MARGIN, MARGIN - 4), f"Study {study.study_id}", size=30)
    words = [study.split, f"experiment {experiment}"]
    if len(study.corrections):
        words.append(f"annotations: {describe_corrections(study.corrections)}")
    elif study.split == "train":
        words.append("annotations as given" if _annotated(study) else "no annotations")
    write(sheet, (MARGIN, MARGIN + 36), "  ·  ".join(words), size=15, colour=DIM)


def _annotated(study: StudyResults) -> bool:
    return "annotated" in study.marks["kind"]


def _caption_axial(sheet: Image.Image, room: Box, study: StudyResults, level: str) -> None:
    at = (room.left, room.bottom + 6)
    write(sheet, at, level_name(level), size=15, colour=LEVEL_COLOURS[level])
    nearest = study.nearest_axial(level)
    if len(nearest):
        row = nearest.row(0, named=True)
        away = f"{abs(row['offset_mm']):.1f} mm"
        words = f"slice {row['instance_number']}, {away}"
        write(sheet, (room.right, at[1]), words, size=13, colour=DIM, anchor="ra")
