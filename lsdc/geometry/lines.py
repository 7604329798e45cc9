"""Lines in which planes intersect images: where a slice of one series crosses another's."""

import numpy as np
import numpy.typing as npt

from lsdc.geometry.planes import ORIENTATION_TOLERANCE_DEGREES, FloatArray, Planes


def cut_lines(images: Planes, shapes: npt.ArrayLike, cutting: Planes) -> FloatArray:
    """Return the segments in which n planes intersect n images; either may be 1.

    Args:
        images: the planes of the images that the lines are drawn on.
        shapes: (n, 2) or (2,), rows and columns of these images.
        cutting: the intersecting planes; they have no edges.

    Returns:
        (n, 2, 2) ends (x_px, y_px), on the outer edges of the image's pixels (-0.5 to columns -
        0.5); NaN where the planes are parallel, or meet outside the image. Seen from the first
        end to the second, the cutting plane's normal points to the right (y_px growing downwards).

    >>> image = Planes.from_dicom([[0, -100, 80]], [[0, 1, 0, 0, 0, -1]], [[0.5, 0.5]])
    >>> cutting = Planes.from_dicom([[-50, -50, 30]], [[1, 0, 0, 0, 1, 0]], [[1, 1]])
    >>> cut_lines(image, (256, 320), cutting).tolist()  # along the row at z = 30 mm
    [[[319.5, 100.0], [-0.5, 100.0]]]
    """
    # The distance from the cutting plane is linear in the pixels: at + step_x x_px + step_y y_px.
    normal = cutting.normal
    at = cutting.signed_distance(images.origin_mm)
    sine = np.stack([_along(images.row_direction, normal), _along(images.column_direction, normal)])
    step_x, step_y = sine * images.spacing_mm.T[::-1]
    parallel = np.hypot(*sine) <= np.sin(np.radians(ORIENTATION_TOLERANCE_DEGREES))
    rows, columns = np.broadcast_to(np.asarray(shapes, dtype=np.float64), (len(at), 2)).T
    return _clip(np.where(parallel, np.nan, at), step_x, step_y, columns, rows)


def _clip(
    at: FloatArray, step_x: FloatArray, step_y: FloatArray, columns: FloatArray, rows: FloatArray
) -> FloatArray:
    """Clip the lines at + step_x x + step_y y = 0 to the images (Liang and Barsky)."""
    length = step_x**2 + step_y**2
    with np.errstate(divide="ignore", invalid="ignore"):
        foot = -at / length * np.stack([step_x, step_y])  # the line's point nearest to (0, 0)
        ahead = np.stack([step_y, -step_x]) / np.sqrt(length)
        low = (-0.5 - foot) / ahead
        high = (np.stack([columns, rows]) - 0.5 - foot) / ahead
        # Along an axis that the line is perpendicular to, it is inside the image always or never.
        within = (foot >= -0.5) & (foot <= np.stack([columns, rows]) - 0.5)
        still = ahead == 0
        first = np.where(still, np.where(within, -np.inf, np.inf), np.minimum(low, high)).max(0)
        last = np.where(still, np.where(within, np.inf, -np.inf), np.maximum(low, high)).min(0)
        ends = np.stack([foot + first * ahead, foot + last * ahead])  # (2 ends, 2 axes, n)
    ends[:, :, ~(first < last)] = np.nan
    segments: FloatArray = np.moveaxis(ends, 2, 0)
    return segments


def _along(directions: FloatArray, normal: FloatArray) -> FloatArray:
    cosine: FloatArray = np.sum(directions * normal, axis=-1)
    return cosine
