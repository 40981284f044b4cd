"""Simulated tracks: damaged frames of a person on the way to a door, against one enrolled picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.errors import InputError
from qcface_sdk.evaluation import KINDS, LADDER, LEVELS, degrade
from qcface_train.evaluation.lfw import VerificationSet
from qcface_train.evaluation.protocol import Embed

FRAMES = 5
"""Frames of a track; a person needs one picture more, which is enrolled."""

_SIDE = 112


@dataclass(frozen=True, slots=True)
class Tracks:
    """Embedded frames and what they are compared with."""

    frames: NDArray[np.float32]
    """(T, FRAMES, D), raw embeddings of the damaged frames."""
    enrolled: NDArray[np.int64]
    """(T,), row of the set that is enrolled: a picture that is in no frame of the track."""
    person: NDArray[np.int64]
    """(T,), number of the person, as in `labels`."""
    area: NDArray[np.float64]
    """(T, FRAMES), share of the crop's pixels that the frame had before it was enlarged again."""
    labels: NDArray[np.int64]
    """(N,), number of the person on each picture of the set."""


def simulate_tracks(embed: Embed, faces: VerificationSet, *, each: int, seed: int = 1) -> Tracks:
    """Draw `each` tracks of every person with at least six pictures.

    The pictures are drawn without replacement: one is enrolled, each of the others becomes a frame, damaged by a random
    kind and step (1 to 6) of the ladder.

    Raises
    ------
    InputError
        If nobody has six pictures.
    """
    labels = np.unique(faces.subjects, return_inverse=True)[1].reshape(-1).astype(np.int64)
    counts = np.bincount(labels)
    people = np.flatnonzero(counts > FRAMES)
    if not len(people):
        raise InputError(f"tracks need people with at least {FRAMES + 1} pictures, got none among {len(counts)} people")
    rng = np.random.default_rng(seed)
    crops, enrolled, person, area = [], [], [], []
    for who in np.repeat(people, each):
        rows = rng.permutation(np.flatnonzero(labels == who))[: FRAMES + 1]
        enrolled.append(rows[0])
        person.append(who)
        for row in rows[1:]:
            kind, level = KINDS[rng.integers(len(KINDS))], int(rng.integers(1, LEVELS + 1))
            crops.append(degrade(faces.crops[row], kind, level, seed=int(rng.integers(2**31))))
            area.append((LADDER["size"][level - 1] / _SIDE) ** 2 if kind == "size" else 1.0)
    frames = embed(np.stack(crops), "tracks").reshape(len(enrolled), FRAMES, -1)
    shape = (len(enrolled), FRAMES)
    return Tracks(frames, np.array(enrolled), np.array(person), np.array(area).reshape(shape), labels)


def fused_similarity(tracks: Tracks, embeddings: NDArray[np.float32], frames: int) -> NDArray[np.float64]:
    """Return the similarity of the fusion of each track's first `frames` frames with the enrolled picture, (T,)."""
    total = tracks.frames[:, :frames].astype(np.float64).sum(axis=1)
    mate = embeddings[tracks.enrolled].astype(np.float64)
    lengths = np.linalg.norm(total, axis=1) * np.linalg.norm(mate, axis=1)
    return np.asarray(np.einsum("td,td->t", total, mate) / lengths, np.float64)
