"""Losses of keypoint nets, one for each method."""

import torch
from torch import Tensor
from torch.nn import functional

from lsdc.training.keypoints.batches import Batch, visible_targets
from lsdc.training.keypoints.nets import (
    HeatmapNet,
    Net,
    RegressionNet,
    Satellites,
    box_log_softmax,
    cells_mm,
    in_boxes,
    joint_log_softmax,
    regressed_mm,
    target_heatmaps,
)

# Weight of the distance (per 10 mm) relative to the cross-entropy of the heatmaps.
DISTANCE_WEIGHT = 1.0
# Spread of the random shift of boxes in training, as anchors are never found exactly.
ANCHOR_SIGMA_MM = 2.5
# Radius of the segmented ball about a point, and the weight of its cells, which are rare.
BALL_MM = 10.0
BALL_WEIGHT = 60.0
# Spread of the target distribution over slices, by their distance from a point.
SLICE_SIGMA_MM = 3.0


def loss_of(
    net: Net, batch: Batch, goal_mm: Tensor, satellites: Satellites, device: str
) -> tuple[Tensor, Tensor]:
    """Return the mean loss over points, or cells of their heatmaps, and their number.

    Args:
        net: net of any method.
        batch: batch of slices.
        goal_mm: (b, points, 3) relative to the stacks' centres, NaN if unknown.
        satellites: boxes of the last points.
        device: "cpu" or "cuda".
    """
    shown, absent = (each.to(device) for each in visible_targets(batch, goal_mm))
    goal_mm = goal_mm.to(device)
    if isinstance(net, RegressionNet):
        return _regression(net, batch, goal_mm, shown, absent, device)
    logits, cells, mask = look(net, batch, device)
    if net.method == "heatmap":
        return _segmentation(logits, cells, mask, goal_mm, shown, absent)
    return _soft_argmax(logits, cells, mask, goal_mm, shown, absent, satellites)


def _soft_argmax(
    logits: Tensor,
    cells: Tensor,
    mask: Tensor,
    goal_mm: Tensor,
    shown: Tensor,
    absent: Tensor,
    satellites: Satellites,
) -> tuple[Tensor, Tensor]:
    """Return the mean loss of points, and their number.

    The loss of a shown point is the cross-entropy of its heatmap plus the distance of its centre of
    mass; that of an absent keypoint is the cross-entropy of being in no cell.
    """
    k = logits.shape[2] - 1
    log_p = joint_log_softmax(logits[:, :, :k], mask)
    everywhere = mask.repeat_interleave(cells.shape[2] * cells.shape[3], dim=1)[:, None]
    costs = _cost(log_p[..., :-1], cells, goal_mm[:, :k].nan_to_num(), everywhere) * shown[:, :k]
    total = costs.sum() - (log_p[..., -1] * absent[:, :k]).sum()
    count = shown[:, :k].sum() + absent[:, :k].sum()
    if len(satellites.anchors):
        anchors = goal_mm[:, satellites.anchors]
        anchors = anchors + ANCHOR_SIGMA_MM * torch.randn(anchors.shape).to(anchors.device)
        boxes_mm = torch.from_numpy(satellites.boxes_mm).float().to(anchors.device)
        boxes = in_boxes(cells, mask, anchors, boxes_mm)
        taught = shown[:, k:] & boxes.any(-1)
        log_s = box_log_softmax(logits[:, :, k].flatten(1), boxes)
        total = total + (_cost(log_s, cells, goal_mm[:, k:].nan_to_num(), boxes) * taught).sum()
        count = count + taught.sum()
    return total / count.clamp_min(1), count


def _cost(log_p: Tensor, cells: Tensor, goal_mm: Tensor, allowed: Tensor) -> Tensor:
    """Return the costs (b, points) of heatmaps (b, points, cells), valid for shown points."""
    wanted = target_heatmaps(cells, goal_mm, allowed)
    crossed = -(wanted * log_p).sum(-1)
    distance: Tensor = (log_p.softmax(-1) @ cells.flatten(1, 3) - goal_mm).norm(dim=-1)
    return crossed + DISTANCE_WEIGHT * distance / 10


def _segmentation(
    logits: Tensor, cells: Tensor, mask: Tensor, goal_mm: Tensor, shown: Tensor, absent: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the binary cross-entropy of balls about points, over known heatmaps, and its count."""
    k = logits.shape[2] - 1
    flat = cells.flatten(1, 3)
    balls = torch.cdist(goal_mm.nan_to_num(posinf=0.0), flat) <= BALL_MM
    balls = balls & shown[..., None]
    wanted = torch.cat([balls[:, :k], balls[:, k:].any(1, keepdim=True)], dim=1).float()
    known = torch.cat(
        [shown[:, :k] | absent[:, :k], (shown | absent)[:, k:].any(1, keepdim=True)], dim=1
    )
    seen = mask.repeat_interleave(cells.shape[2] * cells.shape[3], dim=1)[:, None]
    costs = functional.binary_cross_entropy_with_logits(
        logits.transpose(1, 2).flatten(2),
        wanted,
        weight=seen & known[..., None],
        pos_weight=torch.tensor(BALL_WEIGHT, device=logits.device),
        reduction="sum",
    )
    count = (seen & known[..., None]).sum()
    return costs / count.clamp_min(1), count


def _regression(
    net: RegressionNet,
    batch: Batch,
    goal_mm: Tensor,
    shown: Tensor,
    absent: Tensor,
    device: str,
) -> tuple[Tensor, Tensor]:
    """Return the distance (per 10 mm) plus the slice cross-entropy of points, and their count."""
    mask, planes = batch.mask.to(device), batch.planes_mm.to(device)
    output = net(batch.images.to(device).flatten(0, 1)).unflatten(0, mask.shape)
    places, log_p = regressed_mm(output, planes, mask, batch.images.shape[-1])
    goal = goal_mm.nan_to_num()
    normal = torch.linalg.cross(planes[..., 1, :], planes[..., 2, :])
    away = torch.einsum("bpsc,bsc->bps", goal[:, :, None] - planes[:, None, :, 0], normal)
    away = (away / normal.norm(dim=-1)[:, None]).masked_fill(~mask[:, None], 1e3)
    wanted = (-away.square() / (2 * SLICE_SIGMA_MM**2)).softmax(-1)
    costs = (places - goal).norm(dim=-1) / 10 - (wanted * log_p[..., :-1]).sum(-1)
    total = (costs * shown).sum() - (log_p[..., -1] * absent).sum()
    count = shown.sum() + absent.sum()
    return total / count.clamp_min(1), count


def look(net: HeatmapNet, batch: Batch, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits (b, s, keypoints + 1, h, w), cells (b, s, h, w, 3) and mask (b, s)."""
    mask = batch.mask.to(device)
    images = batch.images.to(device).flatten(0, 1).contiguous(memory_format=torch.channels_last)
    logits: Tensor = net(images)
    cells = cells_mm(batch.planes_mm.to(device), batch.images.shape[-1])
    return logits.reshape(*mask.shape, *logits.shape[1:]), cells, mask
