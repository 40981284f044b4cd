"""What rounds while a network is fine-tuned: torchao's fake quantisers with the steps that the emitter will write."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torchao.quantization.pt2e import FakeQuantize, MovingAveragePerChannelMinMaxObserver
from torchao.quantization.pt2e.fake_quantize import FakeQuantizeBase
from torchao.quantization.pt2e.quantizer import QuantizationSpec

from qcface_export.emit.quantization import SMALLEST_SCALE

# QuantizeLinear clips at -128; what calibration saw ends at -127.
_LOWEST, _HIGHEST = -128, 127


class LearnedStep(FakeQuantizeBase):  # type: ignore[misc]
    """Rounds an activation to a grid about 0 whose step is learned.

    The logarithm is what is learned, so that a learning rate means the same for a large step and a small one. The step
    that rounds is always one that FP16 holds, as in the file.

    Parameters
    ----------
    step : float
        To begin with.
    learned : bool
        Whether it changes.
    """

    exponent: Tensor

    def __init__(self, step: float, learned: bool = True, **_: Any) -> None:
        super().__init__()
        self.exponent = nn.Parameter(torch.tensor([math.log2(step)], dtype=torch.float32), requires_grad=learned)
        self.learned = learned
        self.register_buffer("zero", torch.zeros(1), persistent=False)

    def step(self) -> Tensor:
        """Return the step (1,)."""
        exact = torch.exp2(self.exponent).clamp_min(SMALLEST_SCALE)
        return exact + (exact.half().float() - exact).detach()

    def forward(self, x: Tensor) -> Tensor:
        """Round; gradients pass where nothing is clipped, and tell the step whether to grow."""
        # That of torchao's LearnableFakeQuantize; its class begins with an observer, which has nothing to observe here.
        rounded: Tensor = torch._fake_quantize_learnable_per_tensor_affine(
            x, self.step(), self.zero, _LOWEST, _HIGHEST, 1.0
        )
        return rounded

    def calculate_qparams(self, **_: Any) -> tuple[Tensor, Tensor]:
        """Return step and zero point, for torchao."""
        return self.step().detach(), torch.zeros(1, dtype=torch.int32)


class _HalfSteps(MovingAveragePerChannelMinMaxObserver):  # type: ignore[misc]
    """Steps of the weight as it is now, rounded to FP16."""

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """Return steps and zero points (C,)."""
        steps, zeros = super().calculate_qparams()
        return steps.clamp_min(SMALLEST_SCALE).half().float(), zeros


WEIGHT = QuantizationSpec(
    torch.int8,
    FakeQuantize.with_args(observer=_HalfSteps, averaging_constant=1.0),
    quant_min=-127,
    quant_max=127,
    qscheme=torch.per_channel_symmetric,
    ch_axis=0,
)
"""How a weight is rounded: a step for each output channel, which follows the weight at every training step."""


def activation(step: float, *, learned: bool = True) -> QuantizationSpec:
    """Return how an activation is rounded."""
    return QuantizationSpec(
        torch.int8,
        LearnedStep.with_args(step=step, learned=learned),
        quant_min=_LOWEST,
        quant_max=_HIGHEST,
        qscheme=torch.per_tensor_symmetric,
    )


class ShiftedPixels(nn.Module):
    """The first convolution, with the pixels half a level higher and its bias taking that back, as in the file.

    The file pads with 0 *after* the shift, so that its border differs a little from the master's; so does this one's.

    Parameters
    ----------
    conv : Conv2d
        With a bias; its parameters are shared.
    shift : float
        Added to the network's input.
    """

    def __init__(self, conv: nn.Conv2d, shift: float) -> None:
        super().__init__()
        self.weight, self.bias, self.shift = conv.weight, conv.bias, shift
        self.stride, self.padding = conv.stride, conv.padding

    def forward(self, x: Tensor) -> Tensor:
        """Map pixels (N, 3, H, W) to features."""
        taken = self.shift * self.weight.sum(dim=(1, 2, 3))
        bias = -taken if self.bias is None else self.bias - taken
        return nn.functional.conv2d(x + self.shift, self.weight, bias, self.stride, self.padding)
