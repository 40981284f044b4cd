"""Losses on values worked out by hand."""

from __future__ import annotations

import pytest
import torch

from qcface_train.detector.layout import CellGrid, encode_boxes
from qcface_train.detector.losses import LossWeights, box_loss, detector_losses, score_loss


def test_box_loss_equal_boxes_is_zero_and_far_boxes_above_one() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10]])
    wanted = torch.tensor([[0.0, 0, 10, 10], [30, 0, 40, 10]])
    # second pair: no overlap, hull 40x10, union 200: 1 + (400 - 200) / 400
    assert box_loss(boxes, wanted).tolist() == pytest.approx([0.0, 1.5])


def test_score_loss_right_scores_cost_less_than_wrong_ones() -> None:
    wanted = torch.tensor([[0.9, 0.0, 0.0]])
    right = score_loss(torch.logit(torch.tensor([[0.9, 0.01, 0.01]])), wanted)
    wrong = score_loss(torch.logit(torch.tensor([[0.1, 0.5, 0.01]])), wanted)
    assert right < 0.1 * wrong


def test_detector_losses_perfect_raw_maps_leave_no_box_or_point_loss() -> None:
    grid = CellGrid.of_size(64, 64)
    cells = len(grid.stride)
    boxes = torch.tensor([[8.0, 8, 40, 48]]).repeat(cells, 1)
    points = torch.rand(1, cells, 10) * 40
    origin, stride = torch.from_numpy(grid.origin), torch.from_numpy(grid.stride)
    raw = torch.zeros(1, cells, 15)
    raw[0, :, 1:5] = torch.from_numpy(encode_boxes(boxes.numpy(), grid.origin, grid.stride))
    raw[0, :, 5:] = points[0] / stride[:, None] - origin.repeat(1, 5)
    scores = torch.full((1, cells), 0.8)
    losses = detector_losses(raw, scores, boxes[None], points, origin, stride)
    assert losses.box.item() == pytest.approx(0.0, abs=1e-4)
    assert losses.points.item() == pytest.approx(0.0, abs=1e-6)
    assert losses.total(LossWeights(score=0.0)).item() == pytest.approx(0.0, abs=1e-3)


def test_detector_losses_without_faces_are_finite() -> None:
    grid = CellGrid.of_size(32, 32)
    cells = len(grid.stride)
    losses = detector_losses(
        torch.zeros(1, cells, 15, requires_grad=True),
        torch.zeros(1, cells),
        torch.zeros(1, cells, 4),
        torch.zeros(1, cells, 10),
        torch.from_numpy(grid.origin),
        torch.from_numpy(grid.stride),
    )
    losses.total(LossWeights()).backward()
    assert torch.isfinite(losses.total(LossWeights()))
