"""Reading: what a keypoint net sees on stacks it has not been taught."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lsdc.training.keypoint_batches import Stacks, gather
from lsdc.training.keypoint_fit import look
from lsdc.training.keypoints import (
    PEAK_RADIUS_MM,
    HeatmapNet,
    Satellites,
    box_log_softmax,
    in_boxes,
    joint_log_softmax,
    soft_argmax_mm,
)

# So many places of a stack are looked at for keypoints, and none that holds less of their heatmaps.
MOST_CANDIDATES = 8
LEAST_SHARE = 0.02

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Candidates:
    """Where a net sees keypoints on one stack, whichever they are, the surest first.

    Attributes:
        places_mm: (candidates, 3).
        shares: (candidates, keypoints) how much of a keypoint's heatmap lies at each; a keypoint's
            shares sum to less than 1, the rest is elsewhere or says "not in this stack".
    """

    places_mm: Floats
    shares: Floats


def find_candidates(net: HeatmapNet, stacks: Stacks, stack: int, *, device: str) -> Candidates:
    """Where the net sees its keypoints on a stack: the peaks of all their heatmaps together."""
    net.eval()
    with torch.inference_mode():
        batch = gather(stacks, [stack], [stacks.slices(stack)])
        logits, cells, mask = look(net, batch, device)
        p = joint_log_softmax(logits[:, :, : net.keypoints], mask)[0, :, :-1].exp()
        flat = cells.flatten(1, 3)[0]
        places, shares = [], []
        for _ in range(MOST_CANDIDATES):
            together = p.sum(0)
            near = (flat - flat[together.argmax()]).norm(dim=-1) <= PEAK_RADIUS_MM
            here = p[:, near]
            if here.sum() < LEAST_SHARE:
                break
            places.append(here.sum(0) @ flat[near] / here.sum())
            shares.append(here.sum(1))
            p = p.masked_fill(near, 0)
    if not places:
        return Candidates(np.zeros((0, 3)), np.zeros((0, net.keypoints)))
    return Candidates(
        torch.stack(places).cpu().double().numpy() + batch.centres_mm[0],
        torch.stack(shares).cpu().double().numpy(),
    )


def find_satellites(
    net: HeatmapNet,
    stacks: Stacks,
    anchors_mm: Floats,
    satellites: Satellites,
    *,
    device: str,
) -> tuple[Floats, Floats]:
    """Where the net sees the satellites of known keypoints.

    Args:
        net: the net.
        stacks: all stacks.
        anchors_mm: (stacks, keypoints, 3), NaN where none is known; a stack without is left alone.
        satellites: the boxes.
        device: "cpu" or "cuda".

    Returns: points (stacks, satellites, 3) in mm and confidences (stacks, satellites), how much of
        a box's heatmap lies near its peak; NaN and 0 where no cell lies in the box.
    """
    net.eval()
    count = len(satellites.anchors)
    points = np.full((len(stacks.keys), count, 3), np.nan)
    confidence = np.zeros((len(stacks.keys), count))
    boxes_mm = torch.from_numpy(satellites.boxes_mm).float().to(device)
    with torch.inference_mode():
        for stack in np.flatnonzero(np.isfinite(anchors_mm).any(axis=(1, 2))).tolist():
            batch = gather(stacks, [stack], [stacks.slices(stack)])
            logits, cells, mask = look(net, batch, device)
            anchors = anchors_mm[stack, satellites.anchors] - batch.centres_mm[0]
            boxes = in_boxes(
                cells, mask, torch.from_numpy(anchors)[None].float().to(device), boxes_mm
            )
            p = box_log_softmax(logits[:, :, net.keypoints].flatten(1), boxes).exp()
            found, mass = soft_argmax_mm(p, cells.flatten(1, 3))
            held = boxes[0].any(-1).cpu().numpy()
            points[stack, held] = found[0].cpu().double().numpy()[held] + batch.centres_mm[0]
            confidence[stack, held] = mass[0].cpu().double().numpy()[held]
    return points, confidence
