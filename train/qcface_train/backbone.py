"""The edge backbone: a plain residual network of 3x3 convolutions and ReLU, made for CPUs and INT8.

Plain convolutions with ReLU train and run about twice as fast on a CPU as depthwise ones with PReLU, which is also what
slows quantised networks. The last batch norm has a learnable gain: with a fixed one the length of the embedding cannot
reach `ua` (about 22.6 = sqrt(512) would be all there is) and the norm loss has nothing to move.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

EMBEDDING_SIZE = 512
"""Numbers in an embedding."""

_MOMENTUM = 0.1
_LAST_CELLS = 7


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    padding = kernel // 2 if kernel == 3 else 0
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)


class Block(nn.Module):
    """Two 3x3 convolutions beside an identity, or beside a 1x1 convolution where size or width changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, outputs, 3, stride)
        self.bn1 = nn.BatchNorm2d(outputs, momentum=_MOMENTUM)
        self.conv2 = _conv(outputs, outputs, 3)
        self.bn2 = nn.BatchNorm2d(outputs, momentum=_MOMENTUM)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                _conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs, momentum=_MOMENTUM)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H / stride, W / stride)."""
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class EdgeNet(nn.Module):
    """Crop to raw embedding; its length is meaningful, so nothing here normalises it.

    Parameters
    ----------
    widths : sequence of int
        Channels of the stem and of the four stages, which work at 56, 28, 14 and 7 cells a side.
    blocks : sequence of int
        Residual blocks of each stage.
    neck : int
        Channels of the 1x1 convolution before the 7x7 depthwise one that replaces pooling.
    """

    def __init__(
        self,
        widths: Sequence[int] = (32, 32, 64, 128, 256),
        blocks: Sequence[int] = (1, 2, 4, 2),
        neck: int = 512,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            _conv(3, widths[0], 3, 2), nn.BatchNorm2d(widths[0], momentum=_MOMENTUM), nn.ReLU()
        )  # (N, 3, 112, 112) -> (N, C0, 56, 56)
        stages: list[nn.Module] = []
        inputs = widths[0]
        for stage, (outputs, count) in enumerate(zip(widths[1:], blocks, strict=True)):
            for index in range(count):
                stages.append(Block(inputs, outputs, 2 if index == 0 and stage > 0 else 1))
                inputs = outputs
        self.stages = nn.Sequential(*stages)  # -> (N, C4, 7, 7)
        self.neck = nn.Sequential(_conv(inputs, neck, 1), nn.BatchNorm2d(neck, momentum=_MOMENTUM), nn.ReLU())
        self.pool = nn.Sequential(
            _conv(neck, neck, _LAST_CELLS, groups=neck), nn.BatchNorm2d(neck, momentum=_MOMENTUM)
        )  # -> (N, neck, 1, 1)
        self.project = nn.Linear(neck, EMBEDDING_SIZE, bias=False)
        self.final_bn = nn.BatchNorm1d(EMBEDDING_SIZE, momentum=_MOMENTUM)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, Block):
                # Each block starts as its shortcut: deeper nets then start as easily as shallow ones.
                nn.init.zeros_(module.bn2.weight)

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised RGB crops (N, 3, 112, 112) to raw embeddings (N, 512)."""
        features = self.pool(self.neck(self.stages(self.stem(images)))).flatten(1)  # (N, neck)
        embedding: Tensor = self.final_bn(self.project(features).float())
        return embedding


def parameter_count(model: nn.Module) -> int:
    """Count the numbers in a model's parameters."""
    return sum(parameter.numel() for parameter in model.parameters())
