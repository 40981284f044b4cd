"""New faces for distillation: each made of two training pictures, once for all, and shown to the teachers themselves.

Distillation needs pictures more than identities, and aligned faces fit onto each other: a part of one beside a part of
another along a soft border, or one shining through the other, is a face that nobody has. A teacher's answer about it is
a lesson that neither picture gives. The pictures are made when they are read; only the teachers' answers are stored.

Blends are further rows of a face set, without a label, so order, epochs, augmentation and resume know nothing of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_train.faces import SIDE, UNLABELLED, DataError, FaceSet, Images
from qcface_train.teacher import Floats, kept_answers, label_of

_GHOSTS = 0.35
"""Share of blends in which one face shines through the other; the others are cut along a border."""


@dataclass(frozen=True, slots=True)
class BlendPlan:
    """Which pictures make the M blends, and how."""

    own: NDArray[np.int64]
    """(M,) rows of the face set."""
    other: NDArray[np.int64]
    """(M,) rows of what each is blended with; never the same one."""
    shares: NDArray[np.float32]
    """(M,) share of the own picture where it shines through; NaN where the blend is cut."""
    borders: NDArray[np.float32]
    """(M, 3) angle in radians, distance from the centre in pixels, and softness in pixels of the border of a cut."""

    def __len__(self) -> int:
        return len(self.own)

    def digest(self) -> str:
        """Return a short hash of the plan; names what is stored about its pictures."""
        parts = (self.own, self.other, self.shares, self.borders)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16]

    def weights(self, number: int) -> NDArray[np.float32]:
        """Return the share of the own picture at each pixel of one blend, (112, 112, 1)."""
        share = self.shares[number]
        if np.isfinite(share):
            return np.full((SIDE, SIDE, 1), share, np.float32)
        angle, distance, softness = self.borders[number]
        axis = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
        across = axis * np.cos(angle) + axis[:, None] * np.sin(angle) - distance
        return np.asarray(0.5 + 0.5 * np.tanh(across / softness), np.float32)[:, :, None]


def plan_blends(rows: NDArray[np.int64], count: int, seed: int) -> BlendPlan:
    """Draw `count` blends of the pictures in `rows`.

    Parameters
    ----------
    rows : ndarray of int64, shape (R,)
        Pictures that may be used, at least two; leave out the held-out ones.
    count, seed : int
        Equal ones, equal blends.

    Raises
    ------
    DataError
        If there are fewer than two pictures.
    """
    if len(rows) < 2:
        raise DataError(f"blends need two training pictures or more, got {len(rows)}; add shards or set data.blends: 0")
    rng = np.random.default_rng([seed, 6])
    own = rng.integers(0, len(rows), count)
    other = (own + rng.integers(1, len(rows), count)) % len(rows)
    shares = np.where(rng.random(count) < _GHOSTS, rng.uniform(0.5, 0.8, count), np.nan).astype(np.float32)
    borders = np.stack(
        [rng.uniform(0, 2 * np.pi, count), rng.normal(0, 0.12 * SIDE, count), rng.uniform(2, 12, count)], axis=1
    )
    return BlendPlan(rows[own], rows[other], shares, borders.astype(np.float32))


class BlendedImages:
    """The pictures of a face set, and after them their blends, made when they are asked for."""

    def __init__(self, images: Images, plan: BlendPlan) -> None:
        self._images, self._plan = images, plan
        self._known = images.shape[0]
        self.shape = (self._known + len(plan), *images.shape[1:])

    def __getitem__(self, rows: Any, /) -> NDArray[np.uint8]:
        if isinstance(rows, (int, np.integer)):
            return self._picture(int(rows))
        chosen: list[int] = np.arange(self.shape[0])[rows].tolist()
        pictures = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        for place, row in enumerate(chosen):
            pictures[place] = self._picture(row)
        return pictures

    def _picture(self, row: int) -> NDArray[np.uint8]:
        if row < self._known:
            return np.asarray(self._images[row])
        number = row - self._known
        own, other = (np.float32(self._images[int(rows[number])]) for rows in (self._plan.own, self._plan.other))
        own -= other
        own *= self._plan.weights(number)
        own += other
        return np.asarray(np.rint(own), np.uint8)


def with_blends(faces: FaceSet, plan: BlendPlan) -> FaceSet:
    """Return a face set with blends as further rows without a label."""
    nothing = np.full(len(plan), UNLABELLED, np.int64)
    groups = np.concatenate([faces.groups, nothing]) if len(faces.groups) else faces.groups
    labels = np.concatenate([faces.labels, nothing])
    return replace(faces, images=BlendedImages(faces.images, plan), labels=labels, groups=groups)


def open_blend_targets(
    faces: FaceSet, plan: BlendPlan, names: Sequence[str], folder: Path, *, shown: bool = True
) -> tuple[Floats, ...]:
    """Return each teacher's unit embeddings (M, size) of the blends of `faces`, which are its last M rows.

    Those not yet stored beside the pictures are computed first. Unlike the pictures themselves, a blend is shown to a
    teacher once, not also mirrored: another blend teaches more in the same time.

    Raises
    ------
    DataError
        If a teacher cannot be opened, or the pictures are not cached.
    """
    return tuple(_open_blend_target(faces, plan, name, folder, shown) for name in names)


def _open_blend_target(faces: FaceSet, plan: BlendPlan, name: str, folder: Path, shown: bool) -> Floats:
    if faces.folder is None:
        raise DataError("what teachers say of blends is stored beside a cache of pictures: set data.read: cache")
    first = len(faces) - len(plan)
    return kept_answers(
        faces.folder / f"teacher-{label_of(name, folder)}-blends-{plan.digest()}.npy",
        name,
        folder,
        len(plan),
        lambda teacher, rows: teacher.embed(faces.images[first + rows.start : first + rows.stop]),
        title=f"teacher {name}, blends",
        shown=shown,
    )
