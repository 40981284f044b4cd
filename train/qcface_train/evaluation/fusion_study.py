"""Which way of fusing frames is best? Measured on simulated tracks, each rule at its own threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.evaluation import percentile_interval, resample, threshold_at_fmr
from qcface_sdk.fusion import agreeing, evidence
from qcface_sdk.matching import ask_more
from qcface_sdk.quality import QualityScale
from qcface_train.evaluation.tracks import FRAMES, Tracks

FMR = 1e-4
Floats = NDArray[np.float64]
Weights = Callable[[Floats, Floats], Floats]

RULES: dict[str, Weights] = {
    "magnitude": lambda magnitude, area: magnitude,
    "best shot": lambda magnitude, area: np.eye(magnitude.shape[1])[magnitude.argmax(axis=1)],
    "plain mean": lambda magnitude, area: np.ones_like(magnitude),
    "area": lambda magnitude, area: area,
    "root of magnitude": lambda magnitude, area: np.sqrt(magnitude),
    "magnitude squared": lambda magnitude, area: magnitude**2,
}
"""Weight of each frame, (T, F), from its magnitude and its area; the first is the SDK's."""


def fuse_tracks(tracks: Tracks, weights: Floats) -> Floats:
    """Return unit templates (T, D): the weighted mean of the frames' unit vectors."""
    frames = tracks.frames.astype(np.float64)
    unit = frames / np.linalg.norm(frames, axis=2, keepdims=True)
    total = np.einsum("tf,tfd->td", weights, unit)
    return np.asarray(total / np.linalg.norm(total, axis=1, keepdims=True), np.float64)


def compare(templates: Floats, tracks: Tracks, embeddings: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Return genuine similarities (T,), and those with every picture of anybody else, flattened."""
    gallery = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    similarity = templates @ gallery.T.astype(np.float64)
    impostor = tracks.person[:, None] != tracks.labels[None]
    return similarity[np.arange(len(templates)), tracks.enrolled], similarity[impostor]


def study_rules(tracks: Tracks, embeddings: NDArray[np.float32], *, replicates: int) -> dict[str, Any]:
    """Return FNMR at FMR 1e-4 of each rule, and how the SDK's compares with the others, paired, by identity."""
    magnitude = np.linalg.norm(tracks.frames.astype(np.float64), axis=2)
    failed: dict[str, NDArray[np.bool_]] = {}
    figures: dict[str, Any] = {}
    for name, rule in RULES.items():
        genuine, impostor = compare(fuse_tracks(tracks, rule(magnitude, tracks.area)), tracks, embeddings)
        threshold = threshold_at_fmr(impostor, FMR)
        failed[name] = genuine < threshold
        figures[name] = {"threshold": threshold, "fnmr": float(failed[name].mean()), "impostors": len(impostor)}
    ours = next(iter(RULES))
    for name in RULES:
        figures[name]["interval"] = list(_interval(failed[name].astype(float), None, tracks, replicates))
        if name != ours:
            ratio = failed[ours].mean() / max(float(failed[name].mean()), 1e-12)
            figures[name]["ratio"] = float(ratio)
            figures[name]["ratio_interval"] = list(_interval(failed[ours], failed[name], tracks, replicates))
    return figures


def study_outliers(
    tracks: Tracks, embeddings: NDArray[np.float32], bounds: dict[str, float], *, seed: int = 3
) -> dict[str, Any]:
    """Return FNMR with and without one clean picture of somebody else among the frames, at several outlier bounds."""
    rng = np.random.default_rng(seed)
    strangers = [int(rng.choice(np.flatnonzero(tracks.labels != who))) for who in tracks.person]
    mixed = tracks.frames.copy()
    mixed[:, FRAMES // 2] = embeddings[strangers]
    figures: dict[str, Any] = {}
    for name, bound in bounds.items():
        found = {}
        for case, frames in (("clean", tracks.frames), ("with a stranger", mixed)):
            kept = np.stack([agreeing(track, bound) for track in frames])
            total = (frames.astype(np.float64) * kept[..., None]).sum(axis=1)
            templates = total / np.linalg.norm(total, axis=1, keepdims=True)
            genuine, impostor = compare(templates, tracks, embeddings)
            fnmr = float((genuine < threshold_at_fmr(impostor, FMR)).mean())
            found[case] = {
                "fnmr": fnmr,
                "kept": float(kept.mean()),
                "stranger_kept": float(kept[:, FRAMES // 2].mean()),
            }
        figures[name] = {"bound": bound, **found}
    return figures


def study_quality(
    tracks: Tracks,
    embeddings: NDArray[np.float32],
    scale: QualityScale,
    threshold: float,
    stretch: Callable[[int], float] = lambda count: 1.0,
) -> dict[str, Any]:
    """Return expected and measured FNMR by number of frames, at the threshold for single pictures and at what is asked.

    What is asked is that threshold times the factor that `stretch` gives for the number of frames.
    """
    figures = {}
    for count in range(1, FRAMES + 1):
        parts = [track[:count] for track in tracks.frames]
        lengths = [np.linalg.norm(part.astype(np.float64), axis=1) for part in parts]
        quality = [scale.fused_quality(size, evidence(part)) for size, part in zip(lengths, parts, strict=True)]
        total = np.stack([part.astype(np.float64).sum(axis=0) for part in parts])
        templates = total / np.linalg.norm(total, axis=1, keepdims=True)
        genuine, impostor = compare(templates, tracks, embeddings)
        figures[str(count)] = {
            "expected": 1 - float(np.mean(quality)) / 100,
            "measured": float((genuine < threshold).mean()),
            "fmr": float((impostor >= threshold).mean()),
            "factor": stretch(count),
            "fnmr_asked": float((genuine < ask_more(threshold, stretch(count))).mean()),
            "fmr_asked": float((impostor >= ask_more(threshold, stretch(count))).mean()),
        }
    return figures


def _interval(first: NDArray[Any], second: NDArray[Any] | None, tracks: Tracks, replicates: int) -> tuple[float, float]:
    """Return the bootstrap interval of a mean, or of the ratio of two, by identity."""
    people, which = np.unique(tracks.person, return_inverse=True)
    sums = np.bincount(which, weights=first.astype(float))
    others = np.bincount(which) if second is None else np.bincount(which, weights=second.astype(float))
    drawn = list(resample(len(people), replicates, seed=0))
    return percentile_interval([float(d @ sums) / max(float(d @ others), 1e-12) for d in drawn])
