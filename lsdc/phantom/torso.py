"""What surrounds the spine: abdomen, vessels, muscles, fat and skin."""

import numpy as np

from lsdc.phantom.build import Build
from lsdc.phantom.canvas import Canvas, Pixels, ellipse, ellipsoid, inside
from lsdc.phantom.tissues import Tissues

_BACK_MM = 68.0  # `v` of the back's fascia at the midline
_BELLY_MM = -118.0


def paint_torso(canvas: Canvas, build: Build, tissues: Tissues, texture: Pixels) -> None:
    """Paint everything but the spine itself; `texture` (n,) is smooth noise, about -1..1."""
    u, v = canvas.u, canvas.v
    canvas.value[:] = tissues.fat * 0.8
    canvas.paint(inside(texture * 9 + 2), tissues.organ)
    canvas.paint(inside(texture * 9 - 5), tissues.organ * 1.35)
    for side in (1, -1):
        kidney = ellipsoid(u - side * 58, v - 4, canvas.s + 78, (24.0, 20.0, 48.0))
        canvas.paint(inside(kidney + 4), tissues.fat)
        canvas.paint(inside(kidney), tissues.kidney)
    with canvas.within(v < 34) as front:
        _paint_prevertebral(front, build, tissues)
    with canvas.within(v > 6) as back:
        _paint_back(back, build, tissues)
    belly = np.square(u) * np.float32(1 / 260) + np.float32(_BELLY_MM) - v
    canvas.paint(inside(belly + 16), tissues.fat)
    canvas.paint(inside(belly), tissues.air)


def _paint_prevertebral(front: Canvas, build: Build, tissues: Tissues) -> None:
    wall, width = front.at(build.wall_mm), front.at(build.body_half_width_mm)
    beside = np.abs(front.u)
    bed = ellipse(front.u, front.v + 6, width + 17, wall + 18)
    front.paint(inside(bed), tissues.fat * 0.85)
    radius = front.at(build.psoas_mm)
    psoas = ellipse(beside - width - radius * 0.72 - 1, front.v - 2, radius * 0.85, radius)
    front.paint(inside(psoas), tissues.muscle)
    # Aorta and vena cava, which part into the iliac vessels at L4: flowing blood is dark.
    apart = np.maximum(front.s - 24, 0) * np.float32(0.45)
    ahead = front.v + wall + 9 + apart * np.float32(0.1)
    small = np.where(front.s > 24, np.float32(0.75), np.float32(1.0))
    front.paint(inside(ellipse(front.u - 8 - apart, ahead, 8.5 * small, 8.0 * small)), 0.0)
    front.paint(inside(ellipse(front.u + 13 + apart, ahead + 1, 10 * small, 7.0 * small)), 0.0)
    front.paint(
        inside(ellipse(front.u - 8 - apart, ahead, 7.5 * small, 7.0 * small)), tissues.vessel
    )


def _paint_back(back: Canvas, build: Build, tissues: Tissues) -> None:
    beside = np.abs(back.u)
    wall = back.at(build.wall_mm)
    # Quadratus lumborum and erector spinae, with streaks of fat along them.
    fascia = np.float32(_BACK_MM) - np.square(np.maximum(beside - 38, 0)) * np.float32(1 / 90)
    fascia = fascia - np.maximum(7 - beside, 0) * np.float32(0.7)
    muscle = np.minimum(fascia - back.v, back.v - wall + 1 - beside * np.float32(0.05))
    muscle = np.minimum(muscle, 86 - beside)
    streaks = np.sin(back.u * np.float32(0.55) + 3 * np.sin(back.v * np.float32(0.13)))
    streaks = streaks * np.sin(back.v * np.float32(0.42) + 2 * np.sin(beside * np.float32(0.11)))
    fatty = np.clip(np.square(streaks) - np.float32(0.55), 0, 1) * np.float32(0.8)
    back.paint(inside(muscle), tissues.muscle + fatty * (tissues.fat - tissues.muscle))
    septum = 1.2 - np.abs(beside - 27 - (back.v - 45) * np.float32(0.18))
    back.paint(inside(np.minimum(septum, muscle)), tissues.fat * 0.7)
    skin = fascia + back.at(build.back_fat_mm) - np.maximum(14 - beside, 0) * np.float32(0.35)
    back.paint(inside(back.v - fascia), tissues.cortex)
    back.paint(inside(back.v - fascia - 1.2), tissues.fat)
    back.paint(inside(back.v - skin + 1.6), tissues.muscle)
    back.paint(inside(back.v - skin), tissues.air)
