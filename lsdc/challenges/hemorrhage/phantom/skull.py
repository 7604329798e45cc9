"""Paint scalp, skull and face."""

import numpy as np

from lsdc.challenges.hemorrhage.phantom import tissues
from lsdc.challenges.hemorrhage.phantom.canvas import Canvas, Field, Point
from lsdc.challenges.hemorrhage.phantom.patient import Patient, thickness_mm

SIDES = (1.0, -1.0)  # signs of x: left, right
_SHELL_BELOW_FLOOR_MM = 7.0
_FACE_BELOW_MM = -8.0


def paint_head(canvas: Canvas, patient: Patient) -> None:
    """Paint the soft tissues, the face and the skull; the cavity stays to be filled."""
    thickness = thickness_mm(patient, canvas.x, canvas.y, canvas.z, canvas.coarse)
    outer = canvas.depth + thickness
    _paint_soft_tissue(canvas, outer)
    if float(canvas.z.min()) < _FACE_BELOW_MM:
        _paint_base(canvas, outer)
        _paint_face(canvas)
    _paint_shell(canvas, outer, thickness)


def _paint_soft_tissue(canvas: Canvas, outer: Field) -> None:
    canvas.paint(canvas.inside(canvas.skin), tissues.SKIN)
    canvas.paint(canvas.inside(canvas.skin - 1.8), tissues.FAT)
    # Temporal muscles beside the skull; below the base, muscles fill most of the neck and face.
    beside = np.square((canvas.y + 22) * np.float32(1 / 38))
    beside += np.square((canvas.z + 15) * np.float32(1 / 48))
    muscle = canvas.inside(6.0 * (1 - beside) + 2 + np.minimum(outer, 0))
    muscle *= np.abs(canvas.x) > 30
    deep = np.clip((-26 - canvas.z) * np.float32(1 / 10), 0.0, 1.0) * (outer < 4)
    # Planes of fat part the muscles.
    deep *= canvas.inside(2.7 * np.abs(canvas.folds) + 0.6 * canvas.coarse - 0.7)
    deep *= canvas.inside(canvas.skin - 6.0)
    np.maximum(muscle, deep, out=muscle)
    muscle *= canvas.inside(canvas.skin - 2.5)
    canvas.paint(muscle, tissues.MUSCLE)


def _paint_shell(canvas: Canvas, outer: Field, thickness: Field) -> None:
    cover = canvas.inside(outer)
    cover *= 1 - canvas.inside(canvas.depth)
    if float(canvas.floor.min()) < 0:
        cover *= canvas.inside(canvas.floor + _SHELL_BELOW_FLOOR_MM)
    # Spongy bone between two compact layers.
    middle = (outer / thickness - 0.5) * np.float32(1 / 0.27)
    spongy = np.exp(-np.square(middle))
    hu = np.float32(tissues.SPONGY_BONE - tissues.COMPACT_BONE) * spongy
    hu += np.float32(tissues.COMPACT_BONE)
    hu += 90 * canvas.fine * spongy
    canvas.paint(cover, hu)
    sinus = canvas.window((0.0, -84.0, -14.0), 26.0)
    if sinus is not None:
        width = sinus.ellipsoid((0.0, -86.0, -16.0), (19.0, 5.0, 14.0)) - 1.5
        width -= 0.8 * np.abs(sinus.fine)
        sinus.paint(sinus.inside(width), tissues.AIR)


def _paint_base(canvas: Canvas, outer: Field) -> None:
    x, y = np.abs(canvas.x), canvas.y
    # The petrous pyramids are massive; the roofs of the orbits are thin.
    along = 0.86 * x + 0.5 * y
    across = -0.5 * x + 0.86 * (y - 8)
    pyramid = np.exp(-np.square(across * np.float32(1 / 11))) * np.clip((along - 8) / 8, 0, 1)
    clivus = np.exp(-np.square(x * np.float32(1 / 13)) - np.square((y + 4) * np.float32(1 / 12)))
    thick = 4.5 + 17 * pyramid + 10 * clivus
    thick -= 1.8 * (y < -28)
    cover = canvas.inside(canvas.floor + thick)
    cover *= 1 - canvas.inside(canvas.floor)
    cover *= canvas.inside(outer)
    hu = np.float32(tissues.BASE_BONE) + 260 * canvas.fine + 350 * pyramid
    canvas.paint(cover, hu)
    for side in SIDES:
        for centre, half in (
            ((57.0 * side, 26.0, -36.0), (11.0, 14.0, 15.0)),
            ((44.0 * side, 14.0, -31.0), (9.0, 5.0, 5.0)),
        ):
            cells = canvas.window(centre, max(half))
            if cells is not None:
                bone = cells.ellipsoid(centre, tuple(value + 3.0 for value in half))  # type: ignore[arg-type]
                cells.paint(cells.inside(bone), tissues.BASE_BONE)
                air = cells.ellipsoid(centre, half)
                cover = cells.inside(air) * cells.inside(3.0 * (np.abs(cells.fine) - 0.45))
                cells.paint(cover, tissues.AIR)
        canal = canvas.window((58.0 * side, 10.0, -40.0), 16.0)
        if canal is not None:
            air = canal.tube((46.0 * side, 10.0, -38.0), (76.0 * side, 12.0, -41.0), (3.0, 4.0))
            canal.paint(canal.inside(air), tissues.AIR)


def _paint_face(canvas: Canvas) -> None:
    for side in SIDES:
        _paint_bones(canvas, side)
        _paint_cavity(canvas, (27.0 * side, -58.0, -70.0), (14.0, 16.0, 17.0), 1.6)
        _paint_orbit(canvas, side)
    _paint_cavity(canvas, (0.0, -14.0, -38.0), (13.0, 11.0, 9.0), 2.0)
    _paint_nose(canvas)
    _paint_neck(canvas)
    _paint_teeth(canvas)


def _paint_bones(canvas: Canvas, side: float) -> None:
    """Paint cheek bones, the orbits' outer rims, and the jaw."""
    for start, end, radii in (
        ((46.0, -62.0, -24.0), (47.0, -60.0, -44.0), (4.5, 4.5)),
        ((47.0, -60.0, -46.0), (38.0, -68.0, -62.0), (6.0, 6.0)),
        ((47.0, -56.0, -50.0), (64.0, -8.0, -42.0), (3.5, 2.8)),
        ((50.0, 0.0, -44.0), (48.0, -4.0, -58.0), (5.5, 4.0)),
        ((48.0, -6.0, -58.0), (44.0, -18.0, -104.0), (4.2, 5.5)),
    ):
        first, last = (side * start[0], *start[1:]), (side * end[0], *end[1:])
        middle = tuple(float(value) for value in np.add(first, last) / 2)
        reach = float(np.linalg.norm(np.subtract(first, last))) / 2 + max(radii)
        near = canvas.window(middle, reach)  # type: ignore[arg-type]
        if near is not None:
            depth = near.tube(first, last, radii)
            near.paint(near.inside(depth), tissues.COMPACT_BONE)
            near.paint(near.inside(depth - 2.2), tissues.SPONGY_BONE)


def _paint_cavity(canvas: Canvas, centre: Point, half: Point, wall_mm: float) -> None:
    """Paint an air-filled sinus with its wall of bone."""
    near = canvas.window(centre, max(half) + wall_mm)
    if near is not None:
        depth = near.ellipsoid(centre, half) + 1.2 * near.coarse
        near.paint(near.inside(depth + wall_mm), tissues.BASE_BONE)
        near.paint(near.inside(depth), tissues.AIR)


def _paint_orbit(canvas: Canvas, side: float) -> None:
    centre = (31.0 * side, -66.0, -36.0)
    near = canvas.window((31.0 * side, -58.0, -36.0), 34.0)
    if near is None:
        return
    cone = near.tube((33.0 * side, -74.0, -36.0), (13.0 * side, -30.0, -33.0), (17.0, 5.0))
    near.paint(near.inside(cone + 2.2) * (near.y > -82), tissues.BASE_BONE)
    near.paint(near.inside(cone), tissues.FAT)
    apex = (15.0 * side, -34.0, -33.0)
    for away in ((11.0, 0.0), (-11.0, 0.0), (0.0, 10.0), (0.0, -10.0), (0.0, 0.0)):
        start = (centre[0] + away[0], -66.0, centre[2] + away[1])
        near.paint(near.inside(near.tube(start, apex, (1.9, 1.6))), tissues.MUSCLE)
    globe = near.ellipsoid((32.0 * side, -75.0, -36.0), (12.0, 12.5, 12.0))
    near.paint(near.inside(globe), tissues.SCLERA)
    near.paint(near.inside(globe - 1.4), tissues.VITREOUS)
    lens = near.ellipsoid((32.0 * side, -83.0, -36.0), (4.5, 2.2, 4.5))
    near.paint(near.inside(lens), tissues.LENS)


def _paint_nose(canvas: Canvas) -> None:
    """Paint the ethmoid's cells, the nasal cavity and its septum."""
    near = canvas.window((0.0, -54.0, -50.0), 46.0)
    if near is None:
        return
    x, y, z = np.abs(near.x), near.y, near.z
    # Wider at the back than in front, and nowhere quite straight.
    width = 10.5 + 0.14 * (y + 54) + 1.2 * near.folds
    ethmoid = np.minimum(np.minimum(width - x, 28 - np.abs(y + 54)), 12 - np.abs(z + 36))
    near.paint(near.inside(ethmoid + 1.5), tissues.BASE_BONE)
    cells = near.inside(3 * (np.abs(near.fine) - 0.4)) * near.inside(ethmoid)
    near.paint(cells, tissues.AIR)
    long = 1 - np.square((y + 54) / 34)
    cavity = np.minimum((3.0 + width) * long - x, 17 - np.abs(z + 64) + near.folds)
    near.paint(near.inside(cavity + 1.5), tissues.BASE_BONE)
    near.paint(near.inside(cavity), tissues.AIR)
    turbinates = near.inside(4.0 - np.abs(x - 8) + 3 * near.folds) * near.inside(cavity - 1.5)
    near.paint(turbinates * (y > -74), tissues.MUSCLE)
    septum = near.sheet(near.x + 1.5 * near.coarse, 1.0) * near.inside(cavity)
    near.paint(septum, 300.0)


def _paint_neck(canvas: Canvas) -> None:
    """Paint the foramen magnum with the cord, the first vertebra and the throat."""
    near = canvas.window((0.0, 26.0, -84.0), 46.0)
    if near is not None:
        radius = np.sqrt(np.square(near.x) + np.square(near.y - 28))
        vertebra = near.sheet(radius - 19, 4.0) * near.inside(-72.0 - near.z)
        wings = near.ellipsoid((0.0, 22.0, -80.0), (38.0, 10.0, 9.0))
        near.paint(np.maximum(vertebra, near.inside(wings)), tissues.BASE_BONE)
        below = near.inside(-54.0 - near.z)
        near.paint(near.inside(13.5 - radius) * below, tissues.CSF)
        near.paint(near.inside(6.5 - radius) * below, tissues.BRAINSTEM)
        dens = near.tube((0.0, 10.0, -72.0), (0.0, 9.0, -110.0), (4.5, 6.0))
        near.paint(near.inside(dens), tissues.BASE_BONE)
    throat = canvas.window((0.0, -10.0, -84.0), 36.0)
    if throat is not None:
        air = throat.tube((0.0, -12.0, -62.0), (0.0, -6.0, -120.0), (9.0, 8.0))
        throat.paint(throat.inside(air), tissues.AIR)


def _paint_teeth(canvas: Canvas) -> None:
    near = canvas.window((0.0, -62.0, -98.0), 42.0)
    if near is None:
        return
    radius = np.sqrt(np.square(near.x) + np.square((near.y + 52) * 0.8))
    row = (
        near.sheet(radius - 27, 4.5)
        * near.inside(-near.y - 46)
        * near.inside(12 - np.abs(near.z + 98))
    )
    near.paint(row, tissues.SPONGY_BONE)
    gaps = near.inside(2.5 * np.cos(np.arctan2(near.y + 52, near.x) * 22) + 1.5)
    near.paint(row * gaps * near.inside(8 - np.abs(near.z + 98)), tissues.TOOTH)
