"""Paint the surroundings of the spine: abdomen, kidneys, vessels, muscles, fat and skin."""

import numpy as np

from lsdc.challenges.lumbar.phantom.build import Build
from lsdc.challenges.lumbar.phantom.canvas import Canvas, ellipse, ellipsoid, inside
from lsdc.challenges.lumbar.phantom.tissues import Tissues

_BELLY_MM = -118.0
_VESSELS_PART_MM = 24.0  # aorta and vena cava divide at L4


def paint_torso(canvas: Canvas, build: Build, tissues: Tissues) -> None:
    """Paint everything but the spine itself."""
    u, v, s = canvas.u, canvas.v, canvas.s
    canvas.value[:] = tissues.fat * 0.75
    in_front = v < 34
    with canvas.within(in_front) as front:
        _paint_abdomen(front, tissues)
    with canvas.within(in_front & (np.abs(u) > 28) & (v > -30) & (s < -26)) as flank:
        for side in (1, -1):
            kidney = ellipsoid(flank.u - side * 58, flank.v - 2, flank.s + 78, (24.0, 20.0, 48.0))
            flank.paint(inside(kidney + 4), tissues.fat)
            flank.paint(inside(kidney), tissues.kidney)
    with canvas.within(in_front & (np.abs(u) < 64) & (v > -58)) as front:
        _paint_prevertebral(front, build, tissues)
    with canvas.within(v > 4) as back:
        _paint_back(back, build, tissues)


def _paint_abdomen(front: Canvas, tissues: Tissues) -> None:
    """Paint bowel and mesenteric fat, the abdominal wall, and the air in front of it."""
    deep = np.clip((front.v + 125) * np.float32(1 / 60), 0, 1)
    fold = np.sin(front.texture * 9 + front.u * np.float32(0.05)) * np.float32(0.12)
    bowel = np.minimum(front.texture * 7 + 4, 22 - front.v)  # none next to the back muscles
    front.paint(inside(bowel), tissues.organ * (0.9 + fold))
    front.paint(inside(np.minimum(front.texture * 7 - 5, bowel)) * deep, tissues.organ * 1.3)
    belly = np.square(front.u) * np.float32(1 / 260) + np.float32(_BELLY_MM) - front.v
    front.paint(inside(belly + 22), tissues.muscle)
    front.paint(inside(belly + 15), tissues.fat)
    front.paint(inside(belly), tissues.air)


def _paint_prevertebral(front: Canvas, build: Build, tissues: Tissues) -> None:
    wall, width = front.at(build.wall_mm), front.at(build.body_half_width_mm)
    beside = np.abs(front.u)
    bed = ellipse(front.u, front.v + 5, width + 16, wall + 14)
    front.paint(inside(bed * np.float32(0.4)), tissues.fat * 0.8)
    radius = front.at(build.psoas_mm)
    psoas = ellipse(beside - width - radius * 0.72 - 1, front.v - 2, radius * 0.85, radius)
    front.paint(inside(psoas), tissues.muscle)
    # Flowing blood is dark.
    below = np.maximum(front.s - np.float32(_VESSELS_PART_MM), 0)
    apart, ahead = below * np.float32(0.45), front.v + wall + 9
    size = 1 - np.clip(below * np.float32(0.02), 0, 0.25)
    aorta = ellipse(front.u - 8 - apart, ahead, 8.5 * size, 8.0 * size)
    cava = ellipse(front.u + 13 + apart, ahead + 1, 10 * size, 7.0 * size)
    vessels = np.maximum(aorta, cava)
    front.paint(inside(vessels), tissues.muscle)
    front.paint(inside(vessels - 1), tissues.vessel)


def _paint_back(back: Canvas, build: Build, tissues: Tissues) -> None:
    """Paint quadratus lumborum, erector spinae and multifidus, fascia, fat and skin."""
    beside = np.abs(back.u)
    fascia = back.at(build.fascia_mm) - np.square(np.maximum(beside - 36, 0)) * np.float32(1 / 80)
    groove = np.square(np.maximum(13 - beside, 0)) * np.float32(1 / 17)
    front = back.at(build.wall_mm) - 1 + np.square(np.maximum(beside - 20, 0)) * np.float32(1 / 110)
    muscle = np.minimum(fascia - groove - back.v, back.v - front)
    # Fat between the muscle bundles runs along the spine, irregular across it.
    grain = np.sin(
        back.u * np.float32(0.61) + 2.5 * np.sin(back.v * np.float32(0.17)) + back.texture * 3
    )
    grain = grain * np.sin(back.v * np.float32(0.53) + 2 * np.sin(back.u * np.float32(0.19)))
    fatty = np.clip(np.abs(grain) - 0.75 + back.texture * np.float32(0.2), 0, 1)
    back.paint(inside(muscle), tissues.muscle + fatty * (tissues.fat - tissues.muscle))
    bow = np.square((back.v - 42) * np.float32(1 / 9))
    septum = 0.9 - np.abs(beside - 30 + bow + back.texture * 3)
    back.paint(inside(np.minimum(septum, muscle)) * np.float32(0.8), tissues.fat * 0.8)
    back.paint(inside(back.v - fascia + groove), tissues.ligament)
    back.paint(inside(back.v - fascia + groove - 1), tissues.fat)
    skin = fascia + back.at(build.back_fat_mm) - groove * np.float32(0.6)
    back.paint(inside(back.v - skin + 1.6), tissues.muscle)
    back.paint(inside(back.v - skin), tissues.air)
