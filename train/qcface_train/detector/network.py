"""Our detector network: plain 3x3 convolutions while the maps are large, wide depthwise blocks where they are small.

Dense 3x3 convolutions use a CPU's vector units best, but their weights grow with the square of the width. The last two
levels therefore look far (a face may fill the frame) through 5x5 depthwise blocks, which cost few weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from qcface_train.detector.layout import KINDS, OUTPUT_NAMES, STRIDES

# A zero border then is a black pixel, before and after the scale is folded into the first convolution.
INPUT_SCALE = 1.0 / 64.0
RAW_CHANNELS = 15
"""Score logit, 4 box values, 10 point values."""


class ConvBlock(nn.Sequential):
    """Convolution, batch norm and, unless told otherwise, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1, *, active: bool = True
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        super().__init__(*layers, *([nn.ReLU()] if active else []))


class PlainResidual(nn.Module):
    """x + ReLU(3x3 convolution of x)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = ConvBlock(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, width, H, W) to the same shape."""
        result: Tensor = features + self.body(features)
        return result


class WideResidual(nn.Module):
    """x + ReLU(1x1 of 5x5 depthwise of x): a wide view for few weights."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(ConvBlock(width, width, 5, groups=width, active=False), ConvBlock(width, width, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, width, H, W) to the same shape."""
        result: Tensor = features + self.body(features)
        return result


def _reader(width: int, prior: float) -> nn.Conv2d:
    """Final 1x1; it starts with a low score everywhere, so that the many empty cells do not rule the first steps."""
    reader = nn.Conv2d(width, RAW_CHANNELS, 1)
    nn.init.normal_(reader.weight, std=0.01)
    bias = torch.zeros(RAW_CHANNELS)
    bias[0] = torch.logit(torch.tensor(prior))
    reader.bias = nn.Parameter(bias)
    return reader


class Detector(nn.Module):
    """Three-level face detector with a top-down path.

    Parameters
    ----------
    widths : tuple of int
        Channels after the strides 2, 4, 8, 16 and 32.
    neck : int
        Channels of the features that the heads read.
    """

    def __init__(self, widths: tuple[int, int, int, int, int] = (16, 32, 32, 48, 48), neck: int = 32) -> None:
        super().__init__()
        w2, w4, w8, w16, w32 = widths
        self.stage8 = nn.Sequential(
            ConvBlock(3, w2, stride=2), ConvBlock(w2, w4, stride=2), ConvBlock(w4, w8, stride=2), PlainResidual(w8)
        )
        self.stage16 = nn.Sequential(ConvBlock(w8, w16, stride=2), WideResidual(w16), PlainResidual(w16))
        self.stage32 = nn.Sequential(ConvBlock(w16, w32, stride=2), WideResidual(w32), WideResidual(w32))
        self.lateral = nn.ModuleList(ConvBlock(width, neck, 1) for width in (w8, w16, w32))
        self.heads = nn.ModuleList((ConvBlock(neck, neck), ConvBlock(neck, neck), WideResidual(neck)))
        self.readers = nn.ModuleList(_reader(neck, prior=0.02) for _ in STRIDES)

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Return the head features of the three levels, finest first."""
        level8 = self.stage8(pictures * INPUT_SCALE)
        level16 = self.stage16(level8)
        level32 = self.stage32(level16)
        top = self.lateral[2](level32)
        middle = self.lateral[1](level16) + interpolate(top, scale_factor=2.0, mode="nearest")
        low = self.lateral[0](level8) + interpolate(middle, scale_factor=2.0, mode="nearest")
        return [head(level) for head, level in zip(self.heads, (low, middle, top), strict=True)]

    def raw(self, pictures: Tensor) -> Tensor:
        """Map BGR pictures (N, 3, H, W) in 0..255 to (N, cells, 15), level after level, row-major."""
        levels = []
        for reader, level in zip(self.readers, self.features(pictures), strict=True):
            # Offsets of many cells lose whole pixels in bfloat16.
            with torch.autocast(level.device.type, enabled=False):
                levels.append(reader(level.float()).permute(0, 2, 3, 1).flatten(1, 2))
        return torch.cat(levels, dim=1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Return the twelve maps in the order of `OUTPUT_NAMES`.

        The score is one number here; `cls` and `obj` both carry it, so that sqrt(cls * obj) gives it back.
        """
        by_name: dict[str, Tensor] = {}
        for stride, reader, level in zip(STRIDES, self.readers, self.features(pictures), strict=True):
            maps = reader(level).permute(0, 2, 3, 1)  # (N, rows, columns, 15)
            maps = maps.reshape(maps.shape[0], -1, RAW_CHANNELS)
            score = maps[:, :, :1].sigmoid()
            parts = (score, score.clone(), maps[:, :, 1:5], maps[:, :, 5:])
            by_name.update({f"{kind}_{stride}": part for kind, part in zip(KINDS, parts, strict=True)})
        return tuple(by_name[name] for name in OUTPUT_NAMES)
