"""The networks from crop to raw embedding: EdgeNet, the IResNets and MobileFaceNet.

All map normalised RGB crops (N, 3, 112, 112) to (N, 512), end in a linear layer ``project`` and a batch norm
``final_bn``, and normalise nothing after it, because the length of the embedding has a meaning. The last batch norm has
a learnable gain: with a fixed one the length cannot reach `ua` (about 22.6 = sqrt(512) would be all there is) and the
norm loss has nothing to move.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from qcface_train.arguments import ModelArguments

EMBEDDING_SIZE = 512
"""Numbers in an embedding."""

_MOMENTUM = 0.1
_LAST_CELLS = 7


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    padding = kernel // 2 if kernel == 3 else 0
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)


def _bn(channels: int) -> nn.BatchNorm2d:
    # Some published codes have 0.9 here: running figures of little more than the last batch, and noisy lengths.
    return nn.BatchNorm2d(channels, momentum=_MOMENTUM)


class Block(nn.Module):
    """Two 3x3 convolutions beside an identity, or beside a 1x1 convolution where size or width changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, outputs, 3, stride)
        self.bn1 = _bn(outputs)
        self.conv2 = _conv(outputs, outputs, 3)
        self.bn2 = _bn(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(_conv(inputs, outputs, 1, stride), _bn(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H / stride, W / stride)."""
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class CellSum(nn.Conv2d):
    """A depthwise convolution whose kernel covers the whole feature map: a weighted sum over the cells.

    Trained as that sum: PyTorch's backward pass of such a convolution takes 5 % of a CPU's training step.
    """

    def __init__(self, channels: int, cells: int) -> None:
        super().__init__(channels, channels, cells, groups=channels, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, C, K, K) to (N, C, 1, 1)."""
        if not self.training:
            return super().forward(input)
        weight = self.weight.squeeze(1).permute(1, 2, 0).to(input.dtype)  # (K, K, C), as channels-last memory lies
        return (input.permute(0, 2, 3, 1) * weight).sum((1, 2))[:, :, None, None]


class EdgeNet(nn.Module):
    """The default network: plain residual blocks of 3x3 convolutions and ReLU, made for CPUs and INT8.

    Plain convolutions with ReLU train and run about twice as fast on a CPU as depthwise ones with PReLU, which is also
    what slows quantised networks.

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
            _conv(3, widths[0], 3, 2), _bn(widths[0]), nn.ReLU()
        )  # (N, 3, 112, 112) -> (N, C0, 56, 56)
        stages: list[nn.Module] = []
        inputs = widths[0]
        for stage, (outputs, count) in enumerate(zip(widths[1:], blocks, strict=True)):
            for index in range(count):
                stages.append(Block(inputs, outputs, 2 if index == 0 and stage > 0 else 1))
                inputs = outputs
        self.stages = nn.Sequential(*stages)  # -> (N, C4, 7, 7)
        self.neck = nn.Sequential(_conv(inputs, neck, 1), _bn(neck), nn.ReLU())
        self.pool = nn.Sequential(CellSum(neck, _LAST_CELLS), _bn(neck))  # -> (N, neck, 1, 1)
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


class ImprovedBlock(nn.Module):
    """The IResNet's block: batch norm first, PReLU between two 3x3 convolutions, nothing after the sum."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = _bn(inputs)
        self.conv1 = _conv(inputs, outputs, 3)
        self.bn2 = _bn(outputs)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = _conv(outputs, outputs, 3, stride)
        self.bn3 = _bn(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(_conv(inputs, outputs, 1, stride), _bn(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H / stride, W / stride)."""
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        return self.bn3(self.conv2(y)) + self.shortcut(x)  # type: ignore[no-any-return]


class IResNet(nn.Module):
    """The residual network of ArcFace, the one of the paper, with a learnable gain in the last batch norm.

    Parameters
    ----------
    blocks : sequence of int
        Blocks of the four stages, which work at 56, 28, 14 and 7 cells a side; see `IRESNET_BLOCKS`.
    widths : sequence of int
        Channels of the stem and of the four stages.
    dropout : float
        Share of the last feature map's numbers that is dropped in training.
    """

    def __init__(
        self, blocks: Sequence[int], widths: Sequence[int] = (64, 64, 128, 256, 512), dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(3, widths[0], 3), _bn(widths[0]), nn.PReLU(widths[0]))
        stages: list[nn.Module] = []
        inputs = widths[0]
        for outputs, count in zip(widths[1:], blocks, strict=True):
            for index in range(count):
                stages.append(ImprovedBlock(inputs, outputs, 2 if index == 0 else 1))
                inputs = outputs
        self.stages = nn.Sequential(*stages)  # -> (N, C4, 7, 7)
        self.last_bn = _bn(inputs)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(inputs * _LAST_CELLS**2, EMBEDDING_SIZE)
        self.final_bn = nn.BatchNorm1d(EMBEDDING_SIZE, momentum=_MOMENTUM)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="leaky_relu", a=0.25)
            elif isinstance(module, ImprovedBlock):
                nn.init.zeros_(module.bn3.weight)  # as in EdgeNet: each block starts as its shortcut

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised RGB crops (N, 3, 112, 112) to raw embeddings (N, 512)."""
        features = self.dropout(self.last_bn(self.stages(self.stem(images)))).flatten(1)
        embedding: Tensor = self.final_bn(self.project(features).float())
        return embedding


class Bottleneck(nn.Module):
    """MobileFaceNet's block: widen, depthwise 3x3, narrow without activation; a shortcut where nothing changes size."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.layers = nn.Sequential(
            *_conv_prelu(inputs, middle, 1),
            *_conv_prelu(middle, middle, 3, stride, groups=middle),
            _conv(middle, outputs, 1),
            _bn(outputs),
        )
        self.joins = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H / stride, W / stride)."""
        y: Tensor = self.layers(x)
        return x + y if self.joins else y


def _conv_prelu(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [_conv(inputs, outputs, kernel, stride, groups), _bn(outputs), nn.PReLU(outputs)]


class MobileFaceNet(nn.Module):
    """MobileFaceNet (Chen et al., 2018, table 1) with 512 numbers and a learnable gain in the last batch norm."""

    # Expansion, channels, blocks and stride of each row of the table.
    _ROWS = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_conv_prelu(3, 64, 3, 2), *_conv_prelu(64, 64, 3, 1, groups=64))
        stages: list[nn.Module] = []
        inputs = 64
        for expansion, outputs, count, stride in self._ROWS:
            for index in range(count):
                stages.append(Bottleneck(inputs, outputs, stride if index == 0 else 1, expansion))
                inputs = outputs
        self.stages = nn.Sequential(*stages)  # -> (N, 128, 7, 7)
        self.neck = nn.Sequential(*_conv_prelu(inputs, 512, 1))
        self.pool = nn.Sequential(_conv(512, 512, _LAST_CELLS, groups=512), _bn(512))  # -> (N, 512, 1, 1)
        self.project = nn.Linear(512, EMBEDDING_SIZE, bias=False)
        self.final_bn = nn.BatchNorm1d(EMBEDDING_SIZE, momentum=_MOMENTUM)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="leaky_relu", a=0.25)

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised RGB crops (N, 3, 112, 112) to raw embeddings (N, 512)."""
        features = self.pool(self.neck(self.stages(self.stem(images)))).flatten(1)
        embedding: Tensor = self.final_bn(self.project(features).float())
        return embedding


Backbone = EdgeNet | IResNet | MobileFaceNet

IRESNET_BLOCKS = {
    "iresnet18": (2, 2, 2, 2),
    "iresnet34": (3, 4, 6, 3),
    "iresnet50": (3, 4, 14, 3),
    "iresnet100": (3, 13, 30, 3),
}
"""Blocks of the four stages of each IResNet."""


def build_backbone(model: ModelArguments) -> Backbone:
    """Return the network that a recipe names, with fresh weights."""
    if model.name in IRESNET_BLOCKS:
        return IResNet(IRESNET_BLOCKS[model.name], dropout=model.dropout)
    if model.name == "mobilefacenet":
        return MobileFaceNet()
    return EdgeNet(model.widths, model.blocks, model.neck)


def parameter_count(model: nn.Module) -> int:
    """Count the numbers in a model's parameters."""
    return sum(parameter.numel() for parameter in model.parameters())
