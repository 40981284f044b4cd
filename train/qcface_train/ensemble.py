"""One teacher or several as one target of the student's size, stored or computed on the pictures that the student sees.

The unit embeddings of several teachers side by side have a cosine that is the mean of theirs. Where they are more
numbers than the student has, they are turned onto the directions that hold most of them, which keeps those cosines
nearly as they are and needs no trained layer. Where they are fewer, zeros fill up.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qcface_train.backbone import EMBEDDING_SIZE
from qcface_train.blends import BlendPlan, open_blend_targets, with_blends
from qcface_train.checkpoint import CheckpointError, load_part
from qcface_train.faces import DataError, FaceSet, read_whole
from qcface_train.teacher import Teacher, open_targets, unit

Floats = NDArray[np.float32]

_FIT_PICTURES = 2048
_FILE = "teacher_basis.npy"


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


@dataclass(frozen=True, slots=True, eq=False)
class TeacherBasis:
    """What the embeddings of some teachers were joined by; a student of them knows no other axes."""

    teachers: tuple[str, ...]
    """Their names, in the order of the matrix's rows."""
    matrix: Floats
    """(K, 512), see `fit_basis`."""

    @classmethod
    def of_run(cls, run: Path, names: Sequence[str]) -> TeacherBasis:
        """Read what the targets of a run in `run` were made with."""
        return cls(tuple(names), np.asarray(np.load(run / _FILE), np.float32))

    @classmethod
    def of_checkpoint(cls, path: Path) -> TeacherBasis | None:
        """Read the basis in a checkpoint; None where there is none, as in those of earlier versions."""
        content = load_part(path, "teacher_basis")
        return content and cls(tuple(content["teachers"]), content["matrix"].numpy())

    def to_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"teachers": list(self.teachers), "matrix": torch.from_numpy(self.matrix)}

    def keep(self, run: Path) -> None:
        """Write the matrix into a run's folder, whole or not at all."""
        run.mkdir(parents=True, exist_ok=True)
        building = run / f"{Path(_FILE).stem}.{os.getpid()}.npy"
        np.save(building, self.matrix)
        building.replace(run / _FILE)


def adopt_basis(path: Path, names: Sequence[str], run: Path) -> TeacherBasis | None:
    """Let the targets of a run be made as those of the checkpoint that it goes on from; call it before they are.

    Parameters
    ----------
    path : Path
        The checkpoint; or weights alone, of which nothing is known.
    names : sequence of str
        Teachers of the run; with none the basis is only handed on.
    run : Path
        Folder of the run.

    Raises
    ------
    CheckpointError
        If the checkpoint cannot be read, or its student learned from other teachers.
    """
    basis = TeacherBasis.of_checkpoint(path)
    if basis is None or not names:
        return basis
    if basis.teachers != tuple(names):
        raise CheckpointError(
            f"the student in {path} learned from {'+'.join(basis.teachers)}, the recipe names {'+'.join(names)}, whose "
            "targets lie elsewhere; name the same in loss.teacher, or begin with --init and the weights.pt of that run"
        )
    basis.keep(run)
    return basis


def _kept_basis(run: Path, names: Sequence[str], targets: Floats) -> Floats:
    """Return the basis of a run, fitted when it begins and read when it goes on."""
    if not (run / _FILE).is_file():
        TeacherBasis(tuple(names), fit_basis(targets)).keep(run)
    matrix = TeacherBasis.of_run(run, names).matrix
    if len(matrix) != targets.shape[1]:
        raise DataError(
            f"{run / _FILE} joins {len(matrix)} numbers and {'+'.join(names)} give {targets.shape[1]}; it is of other "
            "teachers, remove it or give another folder"
        )
    return matrix


def open_ensemble_targets(
    faces: FaceSet, names: Sequence[str], folder: Path, run: Path, *, plan: BlendPlan | None = None, shown: bool = True
) -> Floats:
    """Return the targets of all clean pictures, (N, 512); see `open_targets` for what is stored where.

    With a plan of blends, theirs follow: (N + M, 512).
    """
    parts = open_targets(faces, names, folder, shown=shown)
    basis = _kept_basis(run, names, np.concatenate(parts, axis=1)[:: max(1, len(faces) // (8 * _FIT_PICTURES))])
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
        if sum(teacher.size for teacher in teachers) <= EMBEDDING_SIZE or (run / _FILE).is_file():
            clean = np.zeros((1, sum(teacher.size for teacher in teachers)), np.float32)
        else:
            rows = np.unique(np.linspace(0, len(faces) - 1, _FIT_PICTURES).astype(np.int64))
            pictures, _ = read_whole(faces, rows)
            clean = np.concatenate([teacher.embed(pictures) for teacher in teachers], axis=1)
        return cls(teachers, _kept_basis(run, names, clean))

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        """Map network inputs (B, 3, 112, 112) to unit targets (B, 512) on the same device."""
        joined = torch.cat([teacher.embed_inputs(images) for teacher in self._teachers], dim=1)
        self._basis = self._basis.to(images.device)
        return torch.nn.functional.normalize(joined @ self._basis, dim=1)
