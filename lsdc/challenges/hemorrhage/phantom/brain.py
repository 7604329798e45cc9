"""Paint the brain with its fluid spaces, the dura's folds, vessels and calcifications."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from lsdc.challenges.hemorrhage.phantom import tissues
from lsdc.challenges.hemorrhage.phantom.canvas import Canvas, Field, Point
from lsdc.challenges.hemorrhage.phantom.patient import Patient
from lsdc.challenges.hemorrhage.phantom.skull import SIDES

_FOLD_MM = 2.7  # distance from a fold's middle where its noise is 1
# A lateral ventricle of the left side: points and radii of its tube.
_VENTRICLE = (
    ((15.0, -38.0, 3.0), 2.2),
    ((9.5, -29.0, 7.0), 4.4),
    ((6.0, -17.0, 10.0), 4.2),
    ((7.5, -4.0, 16.0), 4.6),
    ((12.0, 12.0, 21.0), 4.8),
    ((17.0, 24.0, 17.0), 5.6),
    ((22.0, 35.0, 8.0), 7.0),
)
_OCCIPITAL_HORN = (((23.0, 38.0, 7.0), 6.0), ((25.0, 52.0, 4.0), 4.0), ((22.0, 64.0, 3.0), 1.6))
_TEMPORAL_HORN = (
    ((23.0, 34.0, 6.0), 5.5),
    ((31.0, 22.0, -9.0), 2.6),
    ((31.0, 4.0, -18.0), 2.0),
    ((26.0, -6.0, -20.0), 1.4),
)
# Cisterns on the midline and of the left side.
_CISTERNS = (
    ((8.0, -14.0, -17.0), (28.0, -19.0, -13.0), (2.6, 2.0)),
    ((28.0, -19.0, -13.0), (37.0, -13.0, -6.0), (2.0, 2.0)),
    ((9.0, -3.0, -16.0), (16.0, 8.0, -13.0), (2.4, 1.6)),
    ((16.0, 8.0, -13.0), (13.0, 21.0, -10.0), (1.6, 1.8)),
    ((13.0, 21.0, -10.0), (0.0, 26.0, -7.0), (1.8, 2.6)),
    ((0.0, -6.0, -22.0), (0.0, -4.0, -44.0), (3.4, 3.0)),
    ((3.0, -5.0, -34.0), (20.0, 8.0, -36.0), (2.2, 3.2)),
    ((0.0, 58.0, -58.0), (9.0, 56.0, -58.0), (6.0, 4.0)),
)


@dataclass
class Spaces:
    """The shares of samples that fluid spaces fill, before bleeding; `Field`s of 0..1."""

    ventricles: Field
    subarachnoid: Field


def pushed(canvas: Canvas, shift_mm: float) -> Canvas:
    """Return the samples with coordinates of a brain pushed to the left by a mass, mm."""
    if shift_mm == 0:
        return canvas
    share = 1 - np.square(canvas.y * np.float32(1 / 76)) - np.square(canvas.z * np.float32(1 / 70))
    return replace(canvas, x=canvas.x - np.float32(shift_mm) * np.clip(share, 0.0, 1.0))


def paint_brain(canvas: Canvas, patient: Patient, shift_mm: float) -> Spaces:
    """Paint all within the skull, and return the fluid spaces."""
    cavity = np.minimum(canvas.depth, canvas.floor)
    within = canvas.inside(cavity)
    canvas.paint(within, tissues.CSF)
    brain = pushed(canvas, shift_mm)
    subarachnoid = _paint_cortex(brain, patient, cavity)
    _paint_deep_nuclei(brain)
    spaces = Spaces(np.zeros_like(cavity), subarachnoid)
    _add_fissures(brain, patient, spaces.subarachnoid)
    _add_cisterns(brain, patient, spaces.subarachnoid)
    _paint_hindbrain(brain, spaces)
    _add_ventricles(brain, patient, spaces.ventricles)
    spaces.subarachnoid *= within
    spaces.ventricles *= within
    canvas.paint(spaces.subarachnoid, tissues.CSF)
    canvas.paint(spaces.ventricles, tissues.CSF)
    _paint_falx(canvas, cavity)
    _paint_tentorium(canvas, cavity)
    _paint_vessels(canvas, patient, cavity)
    _paint_calcifications(brain, patient)
    return spaces


def _paint_cortex(canvas: Canvas, patient: Patient, cavity: Field) -> Field:
    """Paint grey and white matter, and return the share of fluid in sulci and around the brain."""
    under = cavity - np.float32(0.5 + 1.6 * patient.atrophy)
    fold = np.abs(canvas.folds)
    fold *= np.float32(_FOLD_MM)
    # Sulci narrow with depth; the cerebellum, below the tentorium, has only fine ones.
    width = 0.35 + 0.75 * patient.atrophy
    half = np.clip(1.25 - under * np.float32(1 / 15), 0.0, 1.0)
    half *= np.float32(width)
    hind = canvas.inside(_tentorium(canvas))
    half *= 1 - 0.85 * hind
    fluid = canvas.sheet(fold, half)
    np.maximum(fluid, 1 - canvas.inside(under), out=fluid)
    grey = np.float32(tissues.GREY_MATTER) + 0.8 * canvas.coarse
    canvas.paint(canvas.inside(under + 0.3), grey)
    ribbon = fold + np.clip((under - 9) * np.float32(0.6), 0.0, 20.0)
    core = np.minimum(under - 1.5, ribbon) - 2.3
    core *= np.float32(0.6)
    white = canvas.inside(core)
    white *= 1 - hind
    canvas.paint(white, np.float32(tissues.WHITE_MATTER) + 0.8 * canvas.coarse)
    if hind.any():
        folia = np.float32(tissues.CEREBELLUM) + 1.8 * np.minimum(canvas.fine, 1.0)
        canvas.paint(hind * canvas.inside(under), folia)
    return fluid


def _tentorium(canvas: Canvas) -> Field:
    """Return the depth below the tentorium, mm, negative above it and in front of it."""
    below = 4.0 - 0.48 * np.abs(canvas.x) - 0.14 * (canvas.y - 20) - canvas.z
    return np.asarray(np.minimum(below * np.float32(0.89), canvas.y - 12))


def _paint_deep_nuclei(canvas: Canvas) -> None:
    for side in SIDES:
        for centre, half in (
            ((15.0, -24.0, 9.0), (4.5, 9.0, 9.0)),
            ((14.0, -8.0, 19.0), (3.0, 14.0, 4.0)),
            ((24.0, -5.0, 1.0), (6.0, 16.0, 10.0)),
            ((9.0, 10.0, 4.0), (7.0, 13.0, 9.0)),
        ):
            place = (side * centre[0], centre[1], centre[2])
            near = canvas.window(place, max(half) + 8)
            if near is not None:
                depth = near.ellipsoid(place, half)
                depth *= np.float32(0.35)
                near.paint(near.inside(depth), tissues.DEEP_GREY_MATTER)


def _add_fissures(canvas: Canvas, patient: Patient, fluid: Field) -> None:
    """Add the fissures between the hemispheres and beside the insula."""
    wide = 0.5 + 0.9 * patient.atrophy
    rows, _ = canvas.grid.shape
    span = canvas.grid.window((0.0, 0.0, float(canvas.z.mean())), 16.0)
    if span is not None:
        strip = canvas.part(slice(0, rows), span[1])
        wobble = strip.x + 0.5 * strip.folds
        ring = np.sqrt(np.square(strip.y * np.float32(1 / 40)) + np.square((strip.z - 4) / 25)) - 1
        outside = np.clip(ring * 4, 0.0, 1.0) * ((strip.z > -8) | (strip.y < -20))
        ends = 0.45 + 0.8 * np.clip((20 - strip.depth) / 20, 0.0, 1.0)
        cover = strip.sheet(wobble, np.float32(wide) * ends) * outside
        part = fluid[:, span[1]]
        np.maximum(part, cover, out=part)
    for side in SIDES:
        window = canvas.grid.window((47.0 * side, 2.0, 2.0), 36.0)
        if window is None:
            continue
        near = canvas.part(*window)
        x = near.x * np.float32(side) + 0.8 * near.folds
        curved = x - 36.5 + np.square((near.y - 2) * np.float32(1 / 17))
        bounds = np.minimum(21 - np.abs(near.y - 1), 14 - np.abs(near.z - 2)) * np.float32(0.25)
        cover = near.sheet(curved, wide * np.clip(bounds, 0.0, 1.0) * 1.2)
        slanted = (near.z + 7 - 0.45 * (near.y + 15)) * np.float32(0.91) + 1.2 * near.folds
        bounds = np.minimum(32 - np.abs(near.y - 4), (x - 35) * 2) * np.float32(0.2)
        half = wide * np.clip(bounds, 0.0, 1.0) * 1.2
        np.maximum(cover, near.sheet(slanted, half, level=True), out=cover)
        part = fluid[window]
        np.maximum(part, cover, out=part)


def _add_cisterns(canvas: Canvas, patient: Patient, fluid: Field) -> None:
    wide = 0.8 + 0.4 * patient.atrophy
    centre = (0.0, -10.0, -18.0)
    window = canvas.grid.window(centre, 14.0)
    if window is not None:
        near = canvas.part(*window)
        # Five-cornered, as between the brain's lobes and the pons.
        angle = np.arctan2(near.x, near.y + 10)
        half = 10.0 + 2.5 * np.cos(5 * angle + np.float32(np.pi))
        radius = np.sqrt(np.square(near.x) + np.square(near.y + 10))
        depth = np.minimum(wide * half - radius, 6 - np.abs(near.z + 18))
        part = fluid[window]
        np.maximum(part, near.inside(depth), out=part)
    for side in SIDES:
        for start, end, radii in _CISTERNS:
            _add_tube(canvas, fluid, side, (start, end), (wide * radii[0], wide * radii[1]))


def _add_ventricles(canvas: Canvas, patient: Patient, fluid: Field) -> None:
    for side, width in zip(SIDES, patient.ventricles, strict=True):
        for chain in (_VENTRICLE, _OCCIPITAL_HORN, _TEMPORAL_HORN):
            for (start, first), (end, last) in pairwise(chain):
                _add_tube(canvas, fluid, side, (start, end), (width * first, width * last))
    width = sum(patient.ventricles) / 2
    _add_tube(canvas, fluid, 1.0, ((0.0, -12.0, 2.0), (0.0, 13.0, 0.0)), (width * 2.0, width * 2.4))
    _add_tube(canvas, fluid, 1.0, ((0.0, 2.0, -8.0), (0.0, 8.0, 2.0)), (width * 1.9, width * 2.2))
    window = canvas.grid.window((0.0, 29.0, -36.0), 13.0)
    if window is not None:
        near = canvas.part(*window)
        roof = 5 + 0.6 * width - np.abs(near.y - 27) - 0.55 * np.abs(near.x)
        depth = np.minimum(roof * np.float32(0.8), 10 - np.abs(near.z + 36))
        part = fluid[window]
        np.maximum(part, near.inside(depth), out=part)


def _add_tube(
    canvas: Canvas,
    cover: Field,
    side: float,
    ends: tuple[Point, Point],
    radii: tuple[float, float],
) -> None:
    (x, *start), (last_x, *end) = ends
    first, last = (side * x, start[0], start[1]), (side * last_x, end[0], end[1])
    middle = ((first[0] + last[0]) / 2, (first[1] + last[1]) / 2, (first[2] + last[2]) / 2)
    reach = float(np.linalg.norm(np.subtract(first, last))) / 2 + max(radii) + 8
    window = canvas.grid.window(middle, reach)
    if window is not None:
        near = canvas.part(*window)
        part = cover[window]
        np.maximum(part, near.inside(near.tube(first, last, radii)), out=part)


def _paint_hindbrain(canvas: Canvas, spaces: Spaces) -> None:
    """Paint the midbrain, the pons and the medulla, around which the cisterns lie."""
    for centre, half in (
        ((0.0, 8.0, -13.0), (13.0, 12.0, 10.0)),
        ((0.0, 9.0, -33.0), (16.0, 12.5, 15.0)),
        ((0.0, 17.0, -54.0), (8.5, 8.0, 17.0)),
    ):
        window = canvas.grid.window(centre, max(half) + 3)
        if window is not None:
            near = canvas.part(*window)
            cover = near.inside(near.ellipsoid(centre, half))
            near.paint(cover, tissues.BRAINSTEM)
            part = spaces.subarachnoid[window]
            part *= 1 - cover


def _paint_falx(canvas: Canvas, cavity: Field) -> None:
    rows, _ = canvas.grid.shape
    span = canvas.grid.window((0.0, 0.0, float(canvas.z.mean())), 6.0)
    if span is not None:
        strip = canvas.part(slice(0, rows), span[1])
        ring = np.sqrt(np.square((strip.y + 4) / 62) + np.square((strip.z + 2) / 42)) - 1
        reach = strip.inside(ring * 30) * ((strip.z > -4) | (strip.y < -40))
        thick = 0.4 + 0.35 * np.clip(strip.y * np.float32(1 / 60), 0.0, 1.0)
        cover = strip.sheet(strip.x + 0.25 * strip.coarse, thick) * reach
        cover *= strip.inside(cavity[:, span[1]])
        strip.paint(cover, tissues.DURA)


def _paint_tentorium(canvas: Canvas, cavity: Field) -> None:
    below = _tentorium(canvas)
    if float(below.max()) > -3:
        notch = np.sqrt(np.square(canvas.x / 19) + np.square((canvas.y - 10) / 22)) - 1
        cover = canvas.sheet(below, 0.45, level=True) * (canvas.y > 14)
        cover *= canvas.inside(notch * 20)
        cover *= canvas.inside(cavity - 0.5)
        canvas.paint(cover, tissues.DURA)


def _paint_vessels(canvas: Canvas, patient: Patient, cavity: Field) -> None:
    """Paint the venous sinuses, and arteries of the base if enhanced."""
    hu = tissues.ENHANCED_BLOOD if patient.enhanced else tissues.VENOUS_BLOOD
    rows, _ = canvas.grid.shape
    span = canvas.grid.window((0.0, 0.0, float(canvas.z.mean())), 9.0)
    if span is not None:
        strip = canvas.part(slice(0, rows), span[1])
        depth = cavity[:, span[1]]
        sinus = np.minimum(5.0 - 0.8 * depth - np.abs(strip.x), depth)
        sinus = strip.inside(sinus) * ((strip.y > 0) | (strip.z > 45)) * (strip.z > -12)
        strip.paint(sinus, hu)
    below = _tentorium(canvas)
    if float(below.max()) > -4:
        sinus = 3.2 - np.sqrt(np.square(below) + np.square(cavity - 2.5))
        canvas.paint(canvas.inside(sinus) * (canvas.y > 30), hu)
    if patient.enhanced:
        for side in SIDES:
            for ends in (
                ((4.0, -10.0, -17.0), (14.0, -14.0, -16.0)),
                ((14.0, -14.0, -16.0), (32.0, -16.0, -11.0)),
                ((3.0, -12.0, -16.0), (1.5, -28.0, -8.0)),
                ((1.0, -3.0, -18.0), (14.0, 10.0, -13.0)),
                ((0.0, -3.0, -18.0), (0.0, -2.0, -40.0)),
            ):
                cover = np.zeros_like(canvas.value)
                _add_tube(canvas, cover, side, ends, (1.5, 1.2))
                canvas.paint(cover, hu)


def _paint_calcifications(canvas: Canvas, patient: Patient) -> None:
    pineal, choroid = patient.calcified
    spots: list[tuple[Point, float, float]] = [((0.0, 20.0, -1.0), 2.4 * pineal, 260.0)]
    for side in SIDES:
        spots.append(((side * 22.0, 33.0, 9.0), 2.8 * choroid, 190.0))
        if patient.ganglia_calcified:
            spots.append(((side * 19.0, -4.0, 0.0), 3.2, 110.0))
    for centre, radius, hu in spots:
        near = canvas.window(centre, radius + 8)
        if near is not None and radius > 0.8:
            speckled = near.ellipsoid(centre, (radius, 1.4 * radius, 1.2 * radius))
            near.paint(near.inside(speckled + 0.5 * near.fine), hu)
