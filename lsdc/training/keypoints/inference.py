"""Inference: points that a trained keypoint net finds on stacks."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lsdc.training.keypoints.batches import Batch, Stacks, gather
from lsdc.training.keypoints.losses import look
from lsdc.training.keypoints.nets import (
    PEAK_RADIUS_MM,
    Net,
    RegressionNet,
    Satellites,
    box_log_softmax,
    in_boxes,
    joint_log_softmax,
    regressed_mm,
    soft_argmax_mm,
)

# Limits on a stack's candidates: their number, and the least heatmap mass of each.
MOST_CANDIDATES = 8
LEAST_SHARE = 0.02

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Candidates:
    """Candidate positions of keypoints on one stack, whichever they are, the most certain first.

    Attributes:
        places_mm: (candidates, 3) positions.
        shares: (candidates, keypoints) fraction of each keypoint's heatmap at each candidate; they
            sum to less than 1 per keypoint, the rest is elsewhere or "not in this stack".
    """

    places_mm: Floats
    shares: Floats


def find_candidates(
    net: Net,
    stacks: Stacks,
    stack: int,
    *,
    device: str,
    slices: NDArray[np.int64] | None = None,
) -> Candidates:
    """Find candidates of keypoints on a stack: the peaks of the sum of all their heatmaps.

    Args:
        net: trained net.
        stacks: all stacks.
        stack: index of the stack.
        device: "cpu" or "cuda".
        slices: indices of the slices to use; None uses all of the stack.
    """
    net.eval()
    with torch.inference_mode():
        batch = gather(stacks, [stack], [stacks.slices(stack) if slices is None else slices])
        if isinstance(net, RegressionNet):
            points, share = _regress(net, batch, device)
            k = net.keypoints
            return Candidates(points[:k], np.diag(share[:k]))
        logits, cells, mask = look(net, batch, device)
        if net.method == "heatmap":
            # (keypoints, cells) weights of all cells of the stack.
            p = _above_half(logits[0, :, : net.keypoints].transpose(0, 1).flatten(1))
        else:
            p = joint_log_softmax(logits[:, :, : net.keypoints], mask)[0, :, :-1].exp()
        # (cells, 3) mm from the stack's centre.
        flat = cells.flatten(1, 3)[0]
        places, shares = [], []
        for _ in range(MOST_CANDIDATES):
            together = p.sum(0)
            # (cells,) mask of the cells about the highest peak that is left.
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
    net: Net,
    stacks: Stacks,
    anchors_mm: Floats,
    satellites: Satellites,
    *,
    device: str,
) -> tuple[Floats, Floats]:
    """Find the satellites of known keypoints.

    Args:
        net: trained net.
        stacks: all stacks.
        anchors_mm: (stacks, keypoints, 3), NaN if unknown; stacks without any are skipped.
        satellites: boxes of the satellites.
        device: "cpu" or "cuda".

    Returns: points (stacks, satellites, 3) in mm and confidences (stacks, satellites), the fraction
        of a box's heatmap near its peak; NaN and 0 if the box contains no cell.
    """
    net.eval()
    count = len(satellites.anchors)
    points = np.full((len(stacks.keys), count, 3), np.nan)
    confidence = np.zeros((len(stacks.keys), count))
    boxes_mm = torch.from_numpy(satellites.boxes_mm).float().to(device)
    with torch.inference_mode():
        for stack in np.flatnonzero(np.isfinite(anchors_mm).any(axis=(1, 2))).tolist():
            batch = gather(stacks, [stack], [stacks.slices(stack)])
            if isinstance(net, RegressionNet):
                place, share = (each[net.keypoints :] for each in _regress(net, batch, device))
                # (satellites, 3) mm; NaN if the anchor is unknown, so that it does not fit.
                offsets = place - anchors_mm[stack, satellites.anchors]
                low, high = satellites.boxes_mm[:, 0], satellites.boxes_mm[:, 1]
                fits = ((offsets >= low) & (offsets <= high)).all(axis=1)
                points[stack, fits], confidence[stack, fits] = place[fits], share[fits]
                continue
            logits, cells, mask = look(net, batch, device)
            # (satellites, 3) mm from the stack's centre; boxes are (1, satellites, cells).
            anchors = anchors_mm[stack, satellites.anchors] - batch.centres_mm[0]
            boxes = in_boxes(
                cells, mask, torch.from_numpy(anchors)[None].float().to(device), boxes_mm
            )
            # (1, cells): the heatmap that all satellites share.
            own = logits[:, :, net.keypoints].flatten(1)
            if net.method == "heatmap":
                p = _above_half(own[0].masked_fill(~boxes[0], -1e4))[None]
            else:
                p = box_log_softmax(own, boxes).exp()
            found, mass = soft_argmax_mm(p, cells.flatten(1, 3))
            # (satellites,) mask; the softmax over a box without cells means nothing.
            held = (mass[0] > 0).cpu().numpy() & boxes[0].any(-1).cpu().numpy()
            points[stack, held] = found[0].cpu().double().numpy()[held] + batch.centres_mm[0]
            confidence[stack, held] = mass[0].cpu().double().numpy()[held]
    return points, confidence


def _above_half(logits: torch.Tensor) -> torch.Tensor:
    """Turn segmentation logits (k, cells) into weights of the cells above probability 0.5."""
    inside = logits.sigmoid()
    kept = inside * (inside > 0.5)
    return kept / kept.sum(-1, keepdim=True).clamp_min(1e-12) * kept.amax(-1, keepdim=True)


def _regress(net: RegressionNet, batch: Batch, device: str) -> tuple[Floats, Floats]:
    """Return one stack's points (points, 3) in mm, and the probabilities that they are in it."""
    mask, planes = batch.mask.to(device), batch.planes_mm.to(device)
    # (1, s, points, 3): x and y of each point on each slice, and the logit that it is there.
    output = net(batch.images.to(device).flatten(0, 1)).unflatten(0, mask.shape)
    places, log_p = regressed_mm(output, planes, mask, batch.images.shape[-1])
    share = 1 - log_p[0, :, -1].exp()
    points: Floats = places[0].cpu().double().numpy() + batch.centres_mm[0]
    return points, share.cpu().double().numpy()
