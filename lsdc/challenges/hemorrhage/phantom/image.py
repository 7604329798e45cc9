"""Render the slices of a head: HU without noise, and what each bleed changed."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.phantom import tissues
from lsdc.challenges.hemorrhage.phantom.bleeding import Trace, paint_bleed
from lsdc.challenges.hemorrhage.phantom.bleeds import Bleed, midline_shift_mm
from lsdc.challenges.hemorrhage.phantom.brain import paint_brain, pushed
from lsdc.challenges.hemorrhage.phantom.canvas import Canvas, Field, Grid
from lsdc.challenges.hemorrhage.phantom.patient import Patient, shape_of
from lsdc.challenges.hemorrhage.phantom.skull import paint_head
from lsdc.challenges.hemorrhage.phantom.stack import SUBSLICES, Pose, Stack
from lsdc.challenges.hemorrhage.vocabulary import Label

# Larger images are painted at this size or less and enlarged: scanners resolve no more.
_LARGEST_PAINTED_PX = 256
_EDGE_MM = 0.9
# Smooth fields are computed on a grid this coarse, then interpolated.
_KNOT_MM = 2.2
_FRAME_KNOTS = 6  # the head is sought at every so many knots
_MARGIN_MM = 9.0
_OUTWARDS = (
    Label.INTRAPARENCHYMAL,
    Label.INTRAVENTRICULAR,
    Label.SUBARACHNOID,
    Label.SUBDURAL,
    Label.EPIDURAL,
)

Image = NDArray[np.float32]  # (rows, columns)


@dataclass(frozen=True)
class Rendered:
    """One slice: (rows, columns) images of its pixels.

    Attributes:
        hu: the tissues' HU, without noise.
        cover: by subtype, the share of each pixel that its blood fills.
        contrast: by subtype, the HU that its blood added.
    """

    hu: Image
    cover: dict[Label, Image]
    contrast: dict[Label, Image]


class Scene:
    """A patient with bleeds in the scanner."""

    def __init__(
        self, patient: Patient, bleeds: tuple[Bleed, ...], pose: Pose, stack: Stack
    ) -> None:
        self._patient, self._bleeds, self._pose, self._stack = patient, bleeds, pose, stack
        self._shift_mm = midline_shift_mm(bleeds)
        self._size_px = stack.size_px
        self._painted_px = -(-self._size_px // -(-self._size_px // _LARGEST_PAINTED_PX))
        self._pixel_mm = stack.spacing_mm * stack.size_px / self._painted_px
        self._surroundings = self._head_holder()

    def render(self, number: int) -> Rendered:
        """Render one slice of the stack, numbered from the base upwards."""
        grid = self._stack.grid(number, self._painted_px, self._pose, self._patient.scale)
        image = self._surroundings.copy()
        frame = self._frame(grid)
        if frame is None:
            return Rendered(self._enlarge(image), {}, {})
        canvas = self._canvas(grid.part(*frame), image[frame])
        paint_head(canvas, self._patient)
        cover, contrast = {}, {}
        box = _brain_box(canvas)
        if box is not None:
            inner = canvas.part(*box)
            place = (_moved(frame[0], box[0]), _moved(frame[1], box[1]))
            for subtype, trace in self._fill(inner).items():
                cover[subtype] = self._placed(trace.cover, place)
                contrast[subtype] = self._placed(trace.contrast, place)
        image[frame] = _over_depths(canvas.value)
        return Rendered(self._enlarge(image), cover, contrast)

    def _fill(self, canvas: Canvas) -> dict[Label, Trace]:
        """Paint the brain and the bleeds, outer ones over inner ones; return what stays of each."""
        spaces = paint_brain(canvas, self._patient, self._shift_mm)
        brain = pushed(canvas, self._shift_mm)
        traces: dict[Label, Trace] = {}
        for bleed in sorted(self._bleeds, key=lambda bleed: _OUTWARDS.index(bleed.subtype)):
            trace = paint_bleed(canvas, brain, spaces, bleed)
            if trace is not None:
                for earlier in traces.values():
                    earlier.hide(trace.cover)
                traces[bleed.subtype] = trace
        return traces

    def _canvas(self, grid: Grid, surroundings: Image) -> Canvas:
        step = max(1, int(_KNOT_MM / self._pixel_mm))
        knots = grid.coarse(step)
        shape = shape_of(self._patient, knots)
        return Canvas(
            grid=grid,
            edge_mm=max(_EDGE_MM, self._pixel_mm),
            x=grid.coordinates(0),
            y=grid.coordinates(1),
            z=grid.coordinates(2),
            depth=_refine(shape.depth, step, grid.shape),
            floor=_refine(shape.floor, step, grid.shape),
            skin=_refine(shape.skin, step, grid.shape),
            coarse=_refine(shape.coarse, step, grid.shape),
            folds=_refine(self._patient.folds.on(knots), step, grid.shape),
            fine=_refine(self._patient.fine.on(knots), step, grid.shape),
            value=np.repeat(surroundings[:, :, None], SUBSLICES, axis=2),
        )

    def _frame(self, grid: Grid) -> tuple[slice, slice] | None:
        """Return the rows and columns that hold the head, or None if it is not in the slice."""
        step = max(1, int(_KNOT_MM / self._pixel_mm)) * _FRAME_KNOTS
        skin = shape_of(self._patient, grid.coarse(step)).skin.max(axis=2)
        return _box(skin > -_MARGIN_MM - step * self._pixel_mm / 2, step, grid.shape)

    def _head_holder(self) -> Image:
        """Return the image without the head: air, and the head holder behind it."""
        place = (np.arange(self._painted_px, dtype=np.float32) + 0.5) * np.float32(self._pixel_mm)
        middle = np.float32(self._pixel_mm * self._painted_px / 2)
        x, y = np.abs(place - middle), (place - middle)[:, None]
        radius = np.sqrt(np.square(x) + np.square((y + 4) * np.float32(0.93)))
        edge = np.float32(max(_EDGE_MM, self._pixel_mm))
        behind = np.clip((y - 10) / edge, 0.0, 1.0)
        shell = np.clip((1.6 - np.abs(radius - 111)) / edge + 0.5, 0.0, 1.0) * behind
        foam = np.clip((3.5 - np.abs(radius - 106)) / edge + 0.5, 0.0, 1.0) * behind
        image = tissues.AIR + foam * (tissues.FOAM - tissues.AIR)
        image += shell * (tissues.HEAD_HOLDER - image)
        return np.asarray(image, dtype=np.float32)

    def _placed(self, samples: Field, place: tuple[slice, slice]) -> Image:
        """Return the mean over a slice's depths as an image of the whole slice."""
        image = np.zeros((self._painted_px, self._painted_px), dtype=np.float32)
        image[place] = _over_depths(samples)
        return self._enlarge(image)

    def _enlarge(self, image: Image) -> Image:
        if self._size_px == self._painted_px:
            return image
        size = (self._size_px, self._size_px)
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC))


def _over_depths(samples: Field) -> Image:
    """Return the mean over a slice's depths; numpy's is slow along so short an axis."""
    total = samples[:, :, 0].copy()
    for depth in range(1, samples.shape[2]):
        total += samples[:, :, depth]
    return np.asarray(total / np.float32(samples.shape[2]), dtype=np.float32)


def _brain_box(canvas: Canvas) -> tuple[slice, slice] | None:
    cavity = np.minimum(canvas.depth, canvas.floor)
    cavity = np.maximum(cavity[:, :, 0], cavity[:, :, -1])
    return _box(cavity > -canvas.edge_mm, 1, canvas.grid.shape)


def _box(mask: NDArray[np.bool_], step: int, shape: tuple[int, int]) -> tuple[slice, slice] | None:
    """Return the rows and columns that hold all that is true; a mask's element is step pixels."""
    spans = []
    for axis, count in zip((1, 0), shape, strict=True):
        places = np.flatnonzero(mask.any(axis=axis))
        if not len(places):
            return None
        spans.append(slice(int(places[0]) * step, min(count, (int(places[-1]) + 1) * step)))
    return spans[0], spans[1]


def _moved(outer: slice, inner: slice) -> slice:
    return slice(outer.start + inner.start, outer.start + inner.stop)


def _refine(knots: Field, step: int, shape: tuple[int, int]) -> Field:
    """Interpolate a value for each square of step x step samples to all of them."""
    if step == 1:
        return knots
    rows, columns = (count * step for count in knots.shape[:2])
    fine = cv2.resize(knots, (columns, rows), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(fine[: shape[0], : shape[1]])
