"""Figures for choosing: the network on held-out identities, and how its magnitude follows the degradation ladder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from qcface_sdk.evaluation.correlation import spearman as rank_correlation
from qcface_sdk.evaluation.ladder import KINDS, LADDER_SEED, climb
from qcface_sdk.evaluation.verification import evaluate_folds
from qcface_train.data import to_network_input
from qcface_train.sources.pairs import PairSet

FOLDS = 10
"""Folds of a verification set; pairs beyond a multiple of it are left out."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Validation:
    """Figures of one network in evaluation mode, float32."""

    accuracy: float
    """Best balanced accuracy over all pairs of the held-out pictures."""
    tar_1e3: float
    """Share of genuine pairs above the threshold that 1 in 1,000 impostor pairs passes."""
    norm_percentiles: tuple[float, ...]
    """Magnitude of the clean held-out pictures at 0, 1, 5, 50, 95, 99 and 100 %."""
    ladder: dict[str, float]
    """Mean over faces of Spearman(severity, magnitude), by kind of damage; empty if not asked for."""
    ladder_norms: dict[str, tuple[float, ...]]
    """Median magnitude at each rung, by kind of damage, the clean crop first."""
    pairs: dict[str, float]
    """Accuracy on verification pairs, by name of the set."""

    def to_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return asdict(self)


@torch.inference_mode()
def embed(model: nn.Module, pictures: NDArray[np.uint8], batch: int = 64) -> Floats:
    """Embed RGB crops (N, 112, 112, 3) in evaluation mode and float32; return (N, D), not normalised."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    parts = [
        model(to_network_input(np.asarray(pictures[start : start + batch])).to(device)).float().cpu().numpy()
        for start in range(0, len(pictures), batch)
    ]
    model.train(was_training)
    return np.concatenate(parts)


def validate(
    model: nn.Module,
    pictures: NDArray[np.uint8],
    labels: NDArray[np.int64],
    ladder_faces: int = 0,
    pairs: Mapping[str, PairSet] | None = None,
) -> Validation:
    """Measure a network.

    Parameters
    ----------
    model : nn.Module
        From network input to raw embedding.
    pictures, labels : ndarray
        Labelled RGB crops (N, 112, 112, 3).
    ladder_faces : int
        People who climb the ladder with their first picture.
    pairs : mapping of str to PairSet, optional
        Verification sets.
    """
    verification = {name: pair_accuracy(model, each) for name, each in (pairs or {}).items()}
    if not len(labels):
        nothing = float("nan")
        return Validation(nothing, nothing, (), {}, {}, verification)
    raw = embed(model, pictures)
    norms = np.linalg.norm(raw, axis=1)
    accuracy, tar = _pair_figures(raw / norms[:, None], labels)
    _, firsts = np.unique(labels, return_index=True)
    spearman, medians = climb_ladder(model, pictures[firsts[:ladder_faces]]) if ladder_faces else ({}, {})
    percentiles = tuple(float(value) for value in np.percentile(norms, (0, 1, 5, 50, 95, 99, 100)))
    return Validation(accuracy, tar, percentiles, spearman, medians, verification)


def pair_accuracy(model: nn.Module, pairs: PairSet) -> float:
    """Return the accuracy on verification pairs, each fold with the best threshold of the others."""
    first, second = embed(model, pairs.first), embed(model, pairs.second)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    similarity = np.sum(first * second, axis=1) / np.maximum(lengths, 1e-12)
    count = len(pairs) - len(pairs) % FOLDS
    return float(evaluate_folds(similarity[:count], pairs.same[:count], folds=FOLDS).mean)


def climb_ladder(
    model: nn.Module, pictures: NDArray[np.uint8]
) -> tuple[dict[str, float], dict[str, tuple[float, ...]]]:
    """Return mean per-face Spearman(severity, magnitude) and median magnitudes by kind of damage, for RGB crops."""
    spearman, medians = {}, {}
    for kind in KINDS:
        rungs = np.concatenate(
            [climb(picture[:, :, ::-1], kind, seed=LADDER_SEED + index) for index, picture in enumerate(pictures)]
        )
        raw = embed(model, np.ascontiguousarray(rungs[..., ::-1]))
        norms = np.linalg.norm(raw, axis=1).reshape(len(pictures), -1)  # (faces, levels + 1)
        spearman[kind] = float(np.mean([rank_correlation(np.arange(len(row)), row) for row in norms]))
        medians[kind] = tuple(float(value) for value in np.median(norms, axis=0))
    return spearman, medians


def _pair_figures(units: Floats, labels: NDArray[np.int64]) -> tuple[float, float]:
    first, second = np.triu_indices(len(labels), 1)
    scores = (units @ units.T)[first, second]
    same = labels[first] == labels[second]
    genuine, impostor = np.sort(scores[same]), np.sort(scores[~same])
    if not len(genuine) or not len(impostor):
        return float("nan"), float("nan")
    missed = np.searchsorted(genuine, impostor) / len(genuine)
    passed = 1 - np.arange(len(impostor)) / len(impostor)
    threshold = impostor[min(len(impostor) - 1, int(np.ceil(len(impostor) * 0.999)))]
    return float(1 - np.min(missed + passed) / 2), float(np.mean(genuine > threshold))
