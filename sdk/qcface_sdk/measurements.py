"""What was measured of a model's files, as the manifest and a calibration file hold it.

Every entry names the artefact and the runtime it was measured with: another precision or another runtime shifts
scores and magnitudes, so nothing measured of one is silently used for another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcface_sdk.errors import ManifestError

FIRST_TAIL_SHAPE = -0.5
"""Below this a maximum-likelihood fit of a generalised Pareto tail has no usual limits, and the tail ends abruptly."""

LAST_TAIL_SHAPE = 0.5
"""Above this the tail has no finite variance; cosines, which end at 1, never look like that."""

LARGEST_STRETCH = 2.0
"""A factor on thresholds beyond this would say that fusing is of no use."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ManifestError(message)


def _check_knots(name: str, knots: tuple[tuple[float, float], ...]) -> None:
    _require(len(knots) >= 2, f"{name} must be at least 2, got {len(knots)}")
    for (place, quality), (next_place, next_quality) in pairwise(knots):
        _require(place < next_place, f"{name} must rise in magnitude, got {place}, {next_place}")
        _require(quality <= next_quality, f"{name} must not fall in quality, got {quality}, {next_quality}")
    ends = (knots[0][1], knots[-1][1])
    _require(all(0 <= value <= 100 for value in ends), f"{name} must lie in 0..100, got {ends}")
    _require(knots[0][0] >= 0, f"{name} must have magnitudes of at least 0, got {knots[0][0]}")


@dataclass(frozen=True, slots=True)
class QualityGate:
    """A promise: the false non-match rate at false match rate `fmr` is at most `fnmr` when quality is >= `minimum`."""

    minimum: float
    """Smallest quality that passes, 0..100."""
    fnmr: float
    """Largest false non-match rate of what passes, 0..1."""
    fmr: float
    """False match rate of the threshold the promise is made for, between 0 and 1."""
    origin: str
    """What it was measured on, or where it was carried over from."""

    def __post_init__(self) -> None:
        _require(0 <= self.minimum <= 100, f"minimum must be a quality in 0..100, got {self.minimum}")
        _require(0 <= self.fnmr <= 1, f"fnmr must lie in 0..1, got {self.fnmr}")
        _require(0 < self.fmr < 1, f"fmr must lie between 0 and 1, got {self.fmr}")


@dataclass(frozen=True, slots=True)
class QualityMap:
    """Magnitude to quality: piecewise linear through `knots`, constant beyond their ends; and the gates on it."""

    artifact: str
    """Id of the artefact it was measured with."""
    runtime: str
    """Backend it was measured with."""
    knots: tuple[tuple[float, float], ...]
    """(magnitude, quality 0..100), at least two; magnitude rises, quality does not fall."""
    origin: str
    """What the knots were measured on."""
    probe_gate: QualityGate
    """What a face at the door must reach to be decided on; below it the answer is retry."""
    enroll_gate: QualityGate
    """What a face must reach to be enrolled; at least as strict."""
    fused: tuple[tuple[float, float], ...] = ()
    """(evidence, quality 0..100) for several pictures fused (`qcface_sdk.fusion`); empty where it was not measured."""
    fused_origin: str = ""
    """What `fused` was measured on."""

    def __post_init__(self) -> None:
        _check_knots("knots", self.knots)
        if self.fused:
            _check_knots("fused", self.fused)
        gates = (self.enroll_gate.minimum, self.probe_gate.minimum)
        _require(gates[0] >= gates[1], f"enroll_gate must be at least as strict as probe_gate, got {gates}")


@dataclass(frozen=True, slots=True)
class ThresholdRow:
    """A decision threshold and the measurement it comes from."""

    artifact: str
    """Id of the artefact it was measured with."""
    runtime: str
    """Backend it was measured with."""
    fmr: float
    """False match rate at `threshold`, between 0 and 1."""
    threshold: float
    """Similarity (cosine, -1..1) from which two faces count as one person."""
    interval: tuple[float, float]
    """Confidence interval of `threshold`; see `origin`."""
    impostors: int
    """Pairs of different people measured."""
    genuines: int
    """Pairs of one person measured."""
    fnmr: float
    """False non-match rate at `threshold`, 0..1."""
    supported: bool
    """Whether there were enough impostor pairs to state `fmr`; unsupported rows are shown, never used."""
    origin: str
    """What it was measured on."""

    def __post_init__(self) -> None:
        _require(0 < self.fmr < 1, f"fmr must lie between 0 and 1, got {self.fmr}")
        _require(-1 <= self.threshold <= 1, f"threshold must be a similarity in -1..1, got {self.threshold}")
        low, high = self.interval
        _require(low <= self.threshold <= high, f"interval must hold the threshold {self.threshold}, got {low}, {high}")
        _require(self.impostors > 0 and self.genuines >= 0, "impostors must be above 0 and genuines not below")
        _require(0 <= self.fnmr <= 1, f"fnmr must lie in 0..1, got {self.fnmr}")


@dataclass(frozen=True, slots=True)
class ImpostorTail:
    """Generalised Pareto tail of the impostor scores: the rate above t is ``share * (1 + shape z / scale)^(-1/shape)``.

    z is ``t - start``; at shape 0 the limit ``share * exp(-z / scale)`` holds. It serves rates that the counts do not
    support, on request and flagged.
    """

    artifact: str
    """Id of the artefact it was measured with."""
    runtime: str
    """Backend it was measured with."""
    start: float
    """Similarity from which the tail was fitted, -1..1."""
    share: float
    """Share of the impostor scores at or above `start`, between 0 and 1."""
    scale: float
    """Above 0, in units of similarity."""
    shape: float
    """-0.5..0.5; negative: the tail ends."""
    draws: tuple[tuple[float, float, float], ...]
    """(share, scale, shape) of bootstrap resamples by identity, at least 20: they give the interval."""
    impostors: int
    """Pairs of different people measured."""
    origin: str
    """What it was measured on."""

    def __post_init__(self) -> None:
        _require(-1 <= self.start < 1, f"start must be a similarity in -1..1, got {self.start}")
        _require(len(self.draws) >= 20, f"draws must be at least 20, got {len(self.draws)}")
        _require(self.impostors > 0, f"impostors must be above 0, got {self.impostors}")
        for share, scale, shape in ((self.share, self.scale, self.shape), *self.draws):
            _require(0 < share < 1 and scale > 0, f"share must lie in 0..1 and scale above 0, got {share} and {scale}")
            known = FIRST_TAIL_SHAPE <= shape <= LAST_TAIL_SHAPE
            _require(known, f"shape must lie in {FIRST_TAIL_SHAPE}..{LAST_TAIL_SHAPE}, got {shape}")


def kept_noise(agreement: float, counts: ArrayLike) -> NDArray[np.float64]:
    """Return the share of the noise of a single picture that means of so many keep, by the lengths of such means.

    `agreement` is the mean cosine of two pictures of one person; see `qcface_sdk.calibration.stretch`.
    """
    return np.asarray(1.0 / (1.0 + agreement * (np.asarray(counts, np.float64) - 1.0)), np.float64)


@dataclass(frozen=True, slots=True)
class FusedStretch:
    """By how much a threshold for single pictures must grow for fused templates (`qcface_sdk.calibration.stretch`)."""

    artifact: str
    """Id of the artefact it was measured with."""
    runtime: str
    """Backend it was measured with."""
    agreement: float
    """Mean cosine of two pictures of one person, 0..1."""
    limit: float
    """Factor for a template of ever more pictures, at least 1."""
    interval: tuple[float, float]
    """95 % bootstrap interval of `limit` by identity. Its upper end is what is asked for: few people ask for more."""
    people: int
    """People with two pictures or more who were compared."""
    comparisons: int
    """Pairs of two of them."""
    origin: str
    """What it was measured on."""

    def __post_init__(self) -> None:
        _require(0 <= self.agreement <= 1, f"agreement must lie in 0..1, got {self.agreement}")
        low, high = self.interval
        known = 1 <= low <= self.limit <= high <= LARGEST_STRETCH
        _require(
            known, f"limit must lie in its interval, within 1..{LARGEST_STRETCH:g}, got {self.limit}, {low}, {high}"
        )
        _require(self.people > 1 and self.comparisons > 0, "people must be above 1 and comparisons above 0")

    def at(self, count: int) -> float:
        """Return the factor on the threshold for a template of `count` pictures; 1 for a single picture."""
        removed = 1.0 - float(kept_noise(self.agreement, count))
        return float(np.sqrt(1.0 + (self.interval[1] ** 2 - 1.0) * removed))


@dataclass(frozen=True, slots=True)
class ProofFigure:
    """One measured figure and the limit the export holds it to."""

    value: float
    """What was measured."""
    limit: float
    """Where the export would have refused."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What the export measured of one artefact against its reference, before it was packed."""

    artifact: str
    """Id of the artefact."""
    runtime: str
    """Backend it ran on."""
    reference: str
    """What it was compared with, such as the FP32 master on ONNX Runtime."""
    passed: bool
    """Whether every figure kept its limit."""
    figures: Mapping[str, ProofFigure]
    """Name to figure."""
    origin: str
    """What it was measured on."""
