"""Teacher networks, and their embeddings of every clean picture, computed once.

The student's 512 numbers are drawn straight to the teacher's 512 (both are compared by cosine, so no projection is
needed). The target is the teacher on the *clean* picture, averaged with its mirror image, also where the student sees a
damaged one: a damaged face must still point to its person, and how far it fails is what recognizability measures.
Computed once, it leaves the machine's time to the student.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_train.faces import DataError, FaceSet

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

# 112 ArcFace crop -> reid-0095's own 128 template: the teachers' data sheet, one fixed bilinear affine.
_TO_REID = np.array([[1.21663, 0.00024, -4.14545], [-0.00024, 1.21663, -5.29113]])


def _prepare_edgeface(images: Pixels) -> Floats:
    return np.ascontiguousarray((images.astype(np.float32).transpose(0, 3, 1, 2) - 127.5) / 127.5)


def _prepare_reid(images: Pixels) -> Floats:
    warped = np.stack([cv2.warpAffine(image, _TO_REID, (128, 128)) for image in images])
    return np.ascontiguousarray(warped[..., ::-1].astype(np.float32).transpose(0, 3, 1, 2))


@dataclass(frozen=True, slots=True)
class _Sheet:
    """What is to be known of one teacher network."""

    file: str
    size: int
    prepare: Callable[[Pixels], Floats]


TEACHERS = {
    "edgeface-xs": _Sheet("edgeface_xs_fp16w.onnx", 512, _prepare_edgeface),
    "reid-0095": _Sheet("face_reid_retail_0095_fp16w.onnx", 256, _prepare_reid),
}
"""Teacher networks by name."""


class Teacher:
    """One teacher network; OpenVINO runs it where installed (twice as fast here), else ONNX Runtime.

    Parameters
    ----------
    name : str
        A key of `TEACHERS`.
    folder : Path
        Where the networks lie.
    batch : int
        Pictures of one inference.

    Raises
    ------
    DataError
        If the name is unknown or the file missing.
    """

    def __init__(self, name: str, folder: Path, batch: int = 32) -> None:
        if name not in TEACHERS:
            raise DataError(f"unknown teacher {name!r}; known: {', '.join(TEACHERS)}")
        self.sheet = TEACHERS[name]
        self.batch = batch
        path = folder / self.sheet.file
        if not path.is_file():
            raise DataError(f"teacher network {path} is missing; check the recipe's teacher folder")
        self._infer = _open_network(path)

    def embed(self, images: Pixels) -> Floats:
        """Embed RGB crops (N, 112, 112, 3); return unit rows (N, size)."""
        parts = [
            self._infer(self.sheet.prepare(images[start : start + self.batch]))
            for start in range(0, len(images), self.batch)
        ]
        return unit(np.concatenate(parts).reshape(len(images), self.sheet.size))

    def embed_averaged(self, images: Pixels) -> Floats:
        """Embed crops and their mirror images; return the unit means."""
        return unit(self.embed(images) + self.embed(np.ascontiguousarray(images[:, :, ::-1])))


def _open_network(path: Path) -> Callable[[Floats], Floats]:
    try:
        import openvino
    except ImportError:
        return _open_onnxruntime(path)
    compiled = openvino.Core().compile_model(str(path), "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})
    return lambda feed: np.asarray(compiled([feed])[0], np.float32)


def _open_onnxruntime(path: Path) -> Callable[[Floats], Floats]:
    try:
        import onnxruntime
    except ImportError as error:
        raise DataError("teachers need onnxruntime or openvino; pip install 'qcface-sdk[train]'") from error
    options: Any = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda feed: np.asarray(session.run(None, {name: feed})[0], np.float32)


def unit(rows: Floats) -> Floats:
    """Scale each row to unit length."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)


def open_targets(faces: FaceSet, names: Sequence[str], folder: Path, *, shown: bool = True) -> tuple[Floats, ...]:
    """Return each teacher's unit embeddings of a face set, row for row.

    Those not yet stored beside the face set's pixels are computed first (minutes for tens of thousands of pictures).

    Parameters
    ----------
    faces : FaceSet
        The pictures.
    names : sequence of str
        Keys of `TEACHERS`.
    folder : Path
        Where the teacher networks lie.
    shown : bool
        Whether a progress bar is drawn.
    """
    return tuple(_open_target(faces, name, folder, shown) for name in names)


def _open_target(faces: FaceSet, name: str, folder: Path, shown: bool) -> Floats:
    if faces.folder is None:
        raise DataError("drawn faces have no teacher; leave loss.teacher empty")
    path = faces.folder / f"teacher-{name}.npy"
    if not path.is_file():
        from tqdm import tqdm

        teacher = Teacher(name, folder)
        stored = np.empty((len(faces), teacher.sheet.size), np.float16)
        with tqdm(total=len(faces), unit="img", desc=f"teacher {name}", disable=not shown, mininterval=5) as bar:
            for start in range(0, len(faces), 256):
                rows = slice(start, start + 256)
                stored[rows] = teacher.embed_averaged(np.asarray(faces.images[rows]))
                bar.update(len(stored[rows]))
        building = path.with_suffix(".building.npy")
        np.save(building, stored)
        building.replace(path)
    return unit(np.load(path).astype(np.float32))
