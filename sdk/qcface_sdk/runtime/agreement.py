"""Do two runners compute the same network? Asked of a GPU at load, against the CPU with which thresholds were measured.

Thresholds and qualities belong to a file *and* to what runs it. A GPU nobody has measured may use those of the CPU only
after it has been seen to give the same embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.errors import EngineMismatchError
from qcface_sdk.runtime.base import Runner

_SEED = 20260101
_INPUTS = 8


@dataclass(frozen=True, slots=True)
class AgreementLimits:
    """How far two runners may differ."""

    cosine: float
    """Smallest cosine between embeddings of one input."""
    magnitude: float
    """Largest relative change of a magnitude."""


EXACT = AgreementLimits(0.99999, 1e-3)
"""For FP32: two float32 runtimes agree far better, one that computes in BF16 or TF32 does not."""

ROUNDED = AgreementLimits(0.995, 2e-2)
"""For the same FP16 or INT8 file on two runtimes: values that fall on another side of a step."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two runners differ on `drawn_inputs`."""

    cosine: float
    """Smallest cosine between embeddings of one input."""
    magnitude: float
    """Largest relative change of a magnitude."""

    def within(self, limits: AgreementLimits) -> bool:
        """Return whether the difference is small enough; NaN never is."""
        return self.cosine >= limits.cosine and self.magnitude <= limits.magnitude


def drawn_inputs(side: int) -> NDArray[np.float32]:
    """Return fixed network inputs (8, 3, side, side) in -1..1: soft patterns of rising contrast."""
    rng = np.random.default_rng(_SEED)
    cells = -(-side // 8)
    coarse = np.kron(rng.uniform(-1.0, 1.0, (_INPUTS, 3, cells, cells)), np.ones((1, 1, 8, 8)))[..., :side, :side]
    fine = rng.uniform(-1.0, 1.0, coarse.shape)
    contrast = np.linspace(0.1, 1.0, _INPUTS)[:, None, None, None]
    return np.asarray((0.8 * coarse + 0.2 * fine) * contrast, np.float32)


def compare_runners(reference: Runner, other: Runner) -> Agreement:
    """Run both recognisers on the same drawn inputs and measure the difference."""
    side = reference.inputs[0].shape[-1]
    inputs = drawn_inputs(112 if side is None else side)
    wanted, got = (_embeddings(runner, inputs) for runner in (reference, other))
    lengths, others = np.linalg.norm(wanted, axis=1), np.linalg.norm(got, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosines = (wanted * got).sum(axis=1) / (lengths * others)
        changes = np.abs(others / lengths - 1)
    return Agreement(float(cosines.min()), float(changes.max()))


def check_agreement(reference: Runner, other: Runner, limits: AgreementLimits) -> Agreement:
    """Return the agreement, or raise `EngineMismatchError` if the two compute different things."""
    found = compare_runners(reference, other)
    if not found.within(limits):
        raise EngineMismatchError(
            f"{other.name} must give the embeddings of {reference.name} (cosine at least {limits.cosine}, magnitude "
            f"within {limits.magnitude:.1%}), got {found.cosine:.6f} and {found.magnitude:.2%}; its thresholds do not "
            "hold there: update the driver, or build the engine again with export/build_trt.py"
        )
    return found


def _embeddings(runner: Runner, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
    outputs = runner.infer({runner.inputs[0].name: inputs.astype(runner.inputs[0].dtype)})
    return np.asarray(outputs[runner.outputs[0].name], np.float64)
