"""One teacher or several as one target of the student's size, stored or computed on the pictures that the student sees.

The unit embeddings of several teachers side by side have a cosine that is the mean of theirs. Where they are more
numbers than the student has, they are turned onto the directions that hold most of them, which keeps those cosines
nearly as they are and needs no trained layer. Where they are fewer, zeros fill up.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qcface_train.backbone import EMBEDDING_SIZE
from qcface_train.blends import BlendPlan, open_blend_targets, with_blends
from qcface_train.faces import FaceSet, read_whole
from qcface_train.teacher import Teacher, open_targets, unit

Floats = NDArray[np.float32]

_FIT_PICTURES = 2048


def fit_basis(targets: Floats, size: int = EMBEDDING_SIZE) -> Floats:
    """Return the (K, size) matrix that turns joined teacher embeddings (N, K) into targets (N, size)."""
    width = targets.shape[1]
    if width <= size:
        return np.eye(width, size, dtype=np.float32)
    gram = targets.T.astype(np.float64) @ targets
    _, vectors = np.linalg.eigh(gram)
    return np.ascontiguousarray(vectors[:, : -size - 1 : -1], np.float32)


def join(parts: Sequence[Floats], basis: Floats) -> Floats:
    """Return unit targets (N, size) of the teachers' unit embeddings, each (N, K_i)."""
    return unit(np.concatenate(parts, axis=1) @ basis)


def _kept_basis(folder: Path, targets: Floats) -> Floats:
    """Return the basis of a run, fitted when it begins and read when it resumes."""
    path = folder / "teacher_basis.npy"
    if path.is_file():
        return np.asarray(np.load(path), np.float32)
    basis = fit_basis(targets)
    folder.mkdir(parents=True, exist_ok=True)
    building = path.with_name(f"{path.stem}.{os.getpid()}.npy")
    np.save(building, basis)
    building.replace(path)
    return basis


def open_ensemble_targets(
    faces: FaceSet, names: Sequence[str], folder: Path, run: Path, *, plan: BlendPlan | None = None, shown: bool = True
) -> Floats:
    """Return the targets of all clean pictures, (N, 512); see `open_targets` for what is stored where.

    With a plan of blends, theirs follow: (N + M, 512).
    """
    parts = open_targets(faces, names, folder, shown=shown)
    basis = _kept_basis(run, np.concatenate(parts, axis=1)[:: max(1, len(faces) // (8 * _FIT_PICTURES))])
    targets = join(parts, basis)
    if plan is None:
        return targets
    blended = open_blend_targets(with_blends(faces, plan), plan, names, folder, shown=shown)
    return np.concatenate([targets, join(blended, basis)])


class OnlineEnsemble:
    """Teachers that embed the very pictures that the student sees, damaged or not.

    Parameters
    ----------
    teachers : sequence of Teacher
        The networks.
    basis : ndarray of float32, shape (K, 512)
        See `fit_basis`.
    """

    def __init__(self, teachers: Sequence[Teacher], basis: Floats) -> None:
        self._teachers = tuple(teachers)
        self._basis = torch.from_numpy(basis)

    @classmethod
    def open(
        cls, faces: FaceSet, names: Sequence[str], folder: Path, run: Path, device: torch.device
    ) -> OnlineEnsemble:
        """Open teachers by name on a device; what joins several is fitted on some clean pictures, once a run."""
        teachers = [Teacher(name, folder, device=device) for name in names]
        if sum(teacher.size for teacher in teachers) <= EMBEDDING_SIZE or (run / "teacher_basis.npy").is_file():
            clean = np.zeros((1, sum(teacher.size for teacher in teachers)), np.float32)
        else:
            rows = np.unique(np.linspace(0, len(faces) - 1, _FIT_PICTURES).astype(np.int64))
            pictures, _ = read_whole(faces, rows)
            clean = np.concatenate([teacher.embed(pictures) for teacher in teachers], axis=1)
        return cls(teachers, _kept_basis(run, clean))

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        """Map network inputs (B, 3, 112, 112) to unit targets (B, 512) on the same device."""
        joined = torch.cat([teacher.embed_inputs(images) for teacher in self._teachers], dim=1)
        self._basis = self._basis.to(images.device)
        return torch.nn.functional.normalize(joined @ self._basis, dim=1)
