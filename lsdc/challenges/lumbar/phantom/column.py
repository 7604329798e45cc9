"""The spinal column: vertebral bodies, discs, arches, canal, recesses and foramina."""

import numpy as np

from lsdc.challenges.lumbar.phantom.build import Build
from lsdc.challenges.lumbar.phantom.canvas import Canvas, ellipse, ellipsoid, inside
from lsdc.challenges.lumbar.phantom.profiles import (
    FORAMEN_ABOVE_DISC_MM,
    FORAMEN_BEHIND_WALL_MM,
    FORAMEN_HALF_MM,
    RECESS_BEHIND_WALL_MM,
    RECESS_BESIDE_MIDLINE_MM,
    RECESS_HALF_MM,
)
from lsdc.challenges.lumbar.phantom.tissues import Tissues

SIDES = (1, -1)  # signs of `u`: the patient's left, then the right

# Nerve roots of the cauda equina, in semi-axes of the sac; most lie towards the back.
_ROOTS = ((-0.62, 0.2), (-0.45, 0.55), (-0.2, 0.68), (0.08, 0.72), (0.3, 0.62), (0.55, 0.45),
          (0.66, 0.1), (-0.3, 0.3), (0.28, 0.28), (0.0, 0.45))  # fmt: skip
_CONUS_END_MM = -82.0


def paint_column(canvas: Canvas, build: Build, tissues: Tissues) -> None:
    """Paint the spine over the torso."""
    wall = canvas.at(build.wall_mm)
    _paint_sacral_wings(canvas, build.sacrum_mm, tissues)
    with canvas.within(canvas.v > wall - 2) as back:
        _paint_arches(back, build, tissues)
        _paint_canal(back, build, tissues)
    with canvas.within((canvas.v < wall + 6) & (np.abs(canvas.u) < 34)) as bodies:
        _paint_bodies(bodies, build, tissues)
    with canvas.within((canvas.v > wall - 5) & (canvas.v < wall + 17)) as openings:
        for index, side in enumerate(SIDES):
            _paint_foramen(openings, build, tissues, index, side)
            _paint_recess(openings, build, tissues, index, side)


def _paint_bodies(canvas: Canvas, build: Build, tissues: Tissues) -> None:
    w = canvas.s - canvas.at(build.disc_mm)
    wall, width = canvas.at(build.wall_mm), canvas.at(build.body_half_width_mm)
    half_disc = canvas.at(build.disc_half_height_mm)
    to_disc = np.abs(w) - half_disc  # positive in the body
    waist = np.clip(to_disc * np.float32(1 / 12), 0, 1) * np.float32(1.6)
    across = np.square(canvas.u / width)
    hollow = np.exp(-np.square(canvas.u * np.float32(1 / 9))) * np.float32(1.3)
    front_back = np.where(canvas.v > 0, wall - hollow, wall)
    deep = np.square(canvas.v / front_back)
    # A superellipse slightly squarer than an ellipse, with exponents that need only square roots.
    ring = np.sqrt(np.sqrt(np.square(across) + np.square(deep) + across * deep))
    depth = (1 - ring) * wall
    bulge = canvas.at(build.crowding) * np.float32(3.0) * (np.abs(canvas.u) < 13)
    disc = np.minimum(depth + 1.2 + bulge * (canvas.v > 0), -to_disc)
    body = np.minimum(depth - waist, to_disc)
    canvas.paint(inside(body + 0.3), tissues.cortex)
    marrow = tissues.marrow * (1 + canvas.texture * np.float32(0.1))
    vein = ellipse(canvas.u, w - np.where(w > 0, 18.5, -18.5).astype(np.float32), 6.0, 1.6)
    vein = np.minimum(vein, canvas.v - wall + 9)
    canvas.paint(inside(body - 0.9), marrow)
    canvas.paint(inside(np.minimum(vein, body - 1)) * np.float32(0.5), tissues.csf)
    canvas.paint(inside(disc), tissues.annulus)
    wet = canvas.at(build.disc_brightness)
    nucleus = tissues.dry_disc + wet * (tissues.wet_disc - tissues.dry_disc)
    core = np.minimum(depth - 4.5, half_disc - 1.3 - np.abs(w))
    canvas.paint(np.clip(core * np.float32(0.5) + np.float32(0.5), 0, 1), nucleus)


def _paint_sacral_wings(canvas: Canvas, sacrum_mm: float, tissues: Tissues) -> None:
    with canvas.within(canvas.s > sacrum_mm - 20) as low:
        beside = np.abs(low.u)
        wing = np.minimum(low.s - sacrum_mm - beside * np.float32(0.12) + 8, 56 - beside)
        wing = np.minimum(wing, 12 - np.abs(low.v - 8 - beside * np.float32(0.15)))
        low.paint(inside(wing), tissues.cortex)
        low.paint(inside(wing - 1.2), tissues.marrow)


def _paint_arches(back: Canvas, build: Build, tissues: Tissues) -> None:
    """Paint pedicles, transverse processes, laminae, facet joints and spinous processes."""
    w = back.s - back.at(build.disc_mm)
    beside, behind = np.abs(back.u), back.v - back.at(build.wall_mm)
    with back.within((beside < 24) & (behind < 36)) as bed:
        # Fat fills the space between the bones.
        free = ellipse(bed.u, bed.v - bed.at(build.wall_mm) - 8, 24.0, 22.0)
        bed.paint(inside(free * np.float32(0.5)), tissues.fat * 0.85)
    pedicle_s = back.s - back.at(build.upper_body_mm)
    width = back.at(build.body_half_width_mm)
    process = ellipse(behind - 14 - beside * np.float32(0.06), pedicle_s, 4.2, 4.6)
    process = np.minimum(process, np.minimum(beside - 14, 42 - beside))
    pedicle = np.minimum(
        ellipse(beside - width * np.float32(0.66), pedicle_s, 4.6, 7.6), 17 - behind
    )
    bone = np.maximum(process, pedicle)
    # The lamina covers the canal from the pedicles down to the disc below.
    ring = -ellipse(
        back.u,
        back.v - back.at(build.canal_middle_mm),
        back.at(build.canal_half_width_mm),
        back.at(build.canal_half_depth_mm),
    )
    lamina = np.minimum(np.minimum(ring - 1.5, 7.5 - ring), behind - 9)
    lamina = np.minimum(lamina, 10 - np.abs(w + 11 - behind * np.float32(0.12)))
    bone = np.maximum(bone, lamina)
    reach = back.at(build.fascia_mm) - back.at(build.wall_mm) - 6
    blade = ellipse(
        behind - reach * np.float32(0.45), w + 12 - behind * np.float32(0.3), reach, 9.5
    )
    spinous = np.minimum(np.minimum(blade, 3.6 - beside), np.minimum(reach, 40) - behind)
    bone = np.maximum(bone, np.minimum(spinous, behind - 19))
    facet = ellipsoid(beside - 17.5, behind - 16, w + 1, (6.5, 6.5, 11.0))
    back.paint(inside(ring + 0.5) * inside(4.5 - ring) * inside(behind - 9), tissues.ligament)
    bone = np.maximum(bone, facet)
    back.paint(inside(bone + 0.4), tissues.cortex)
    back.paint(inside(bone - 0.9), tissues.marrow)
    joint = np.abs(beside - 17.5 + (behind - 16) * np.float32(0.7))
    back.paint(inside(np.minimum(facet - 0.3, 1.7 - joint)), tissues.cortex)
    back.paint(inside(np.minimum(facet - 0.8, 0.7 - joint)), tissues.csf * 0.8)


def _paint_canal(back: Canvas, build: Build, tissues: Tissues) -> None:
    middle = back.at(build.canal_middle_mm)
    half_depth, half_width = back.at(build.canal_half_depth_mm), back.at(build.canal_half_width_mm)
    with back.within(
        (np.abs(back.u) < half_width + 1) & (np.abs(back.v - middle) < half_depth + 3)
    ) as canal:
        crowding = canal.at(build.crowding)
        across, deep = canal.u, canal.v - canal.at(build.canal_middle_mm)
        half = canal.at(build.canal_half_width_mm), canal.at(build.canal_half_depth_mm)
        # Bulging disc in front and thick ligament behind replace epidural fat.
        filling = tissues.fat + crowding * np.float32(1.3) * (tissues.ligament - tissues.fat)
        canal.paint(inside(ellipse(across, deep, *half)), np.maximum(filling, tissues.ligament))
        _paint_sac(canal, build, tissues)


def _paint_sac(canal: Canvas, build: Build, tissues: Tissues) -> None:
    crowding = canal.at(build.crowding)
    half_width, half_depth = canal.at(build.sac_half_width_mm), canal.at(build.sac_half_depth_mm)
    across, deep = canal.u, canal.v - canal.at(build.canal_middle_mm)
    sac = ellipse(across, deep, half_width, half_depth)
    # Crowded roots leave little fluid between them.
    fluid = tissues.csf + crowding * np.float32(0.55) * (tissues.nerve - tissues.csf)
    canal.paint(inside(sac + 0.7), tissues.ligament)
    canal.paint(inside(sac), fluid)
    with canal.within(sac > -0.5) as content:
        x = content.u / content.at(build.sac_half_width_mm).clip(0.5)
        y = (content.v - content.at(build.canal_middle_mm)) / content.at(
            build.sac_half_depth_mm
        ).clip(0.5)
        nearest = np.full_like(x, np.inf)
        for root_x, root_y in _ROOTS:
            distance = np.square(x - np.float32(root_x)) + np.square(y - np.float32(root_y))
            np.minimum(nearest, distance, out=nearest)
        roots = inside(0.75 - 7.0 * np.sqrt(nearest)) * (content.s > _CONUS_END_MM - 12)
        content.paint(roots * np.float32(0.75), tissues.nerve)
        taper = np.clip((_CONUS_END_MM - content.s) * np.float32(1 / 22), 0, 1)
        cord = ellipse(x * 8, y * 7 - 0.5, 4.6 * taper, 3.6 * taper)
        content.paint(inside(cord) * (taper > 0), tissues.nerve)


def _paint_foramen(canvas: Canvas, build: Build, tissues: Tissues, index: int, side: int) -> None:
    with canvas.within((canvas.u * side > 11) & (canvas.u * side < 27)) as part:
        behind = part.v - part.at(build.wall_mm) - np.float32(FORAMEN_BEHIND_WALL_MM)
        w = part.s - part.at(build.disc_mm)
        # `s` is measured from the disc below, even for pixels nearer to the disc above.
        below = np.where(w > 17, np.float32(-60), w) + np.float32(FORAMEN_ABOVE_DISC_MM)
        size, closed = part.at(build.foramen_open[index]), part.at(build.foramen_closed[index])
        long, deep = FORAMEN_HALF_MM[1], FORAMEN_HALF_MM[0]
        keyhole = 1 - np.clip(below * np.float32(0.035), -0.25, 0.35)
        lateral = np.minimum(part.u * side - 12.5, 25.5 - part.u * side)
        frame = ellipse(behind, below, deep * keyhole + 0.8, long + 0.8)
        part.paint(inside(np.minimum(frame, lateral)), tissues.ligament)
        half_deep = size * keyhole * (1 - np.float32(0.8) * closed) * np.float32(deep)
        half_long = size * (1 - np.float32(0.5) * closed) * np.float32(long)
        fat = ellipse(behind, below, half_deep, half_long)
        part.paint(inside(np.minimum(fat, lateral)), tissues.fat)
        root = ellipse(behind, below + 4.0 * (1 - closed * np.float32(0.4)), 2.1, 2.6)
        part.paint(inside(np.minimum(root, lateral + 1)), tissues.nerve)


def _paint_recess(canvas: Canvas, build: Build, tissues: Tissues, index: int, side: int) -> None:
    with canvas.within((canvas.u * side > 5) & (canvas.u * side < 18)) as part:
        x = part.u * side - np.float32(RECESS_BESIDE_MIDLINE_MM)
        y = part.v - part.at(build.wall_mm) - np.float32(RECESS_BEHIND_WALL_MM)
        w = part.s - part.at(build.disc_mm)
        size, closed = part.at(build.recess_open[index]), part.at(build.recess_closed[index])
        wide, deep, long = RECESS_HALF_MM
        # A swollen facet joint grows into the recess from behind.
        facet = ellipsoid(x - 3, y - 5.5, w, (2 + 4.6 * closed, 1.5 + 5.0 * closed, 9.0))
        part.paint(inside(facet), tissues.ligament)
        frame = ellipsoid(x, y, w, (wide + 0.6, deep + 0.6, long))
        part.paint(inside(frame), tissues.ligament)
        left = size * (1 - np.float32(0.85) * closed)
        fat = ellipsoid(x, y, w, (left * wide, left * deep, long * (1 - 0.3 * closed)))
        part.paint(inside(fat), tissues.fat)
        root = ellipse(x - 0.5, y + 0.5, 1.3, 1.3)
        part.paint(inside(np.minimum(root, 9 - np.abs(w))), tissues.nerve)
