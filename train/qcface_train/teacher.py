"""Teacher networks: ONNX files that embed aligned crops, run by OpenVINO or ONNX Runtime on a CPU, by PyTorch on a GPU.

The student's 512 numbers are drawn straight to the teachers'. With stored targets the teacher sees the *clean* picture,
averaged with its mirror image, also where the student sees a damaged one: a damaged face must still point to its
person, and how far it fails is what recognizability measures. Computed once, they leave the machine's time to the
student. With online targets the teacher sees what the student sees, so that every augmented picture is a new lesson.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from qcface_train.faces import SIDE, DataError, FaceSet
from qcface_train.onnx_in_torch import OnnxInTorch, UnsupportedGraphError

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

# 112 ArcFace crop -> reid-0095's own 128 template: the teachers' data sheet, one fixed bilinear affine.
_TO_REID = np.array([[1.21663, 0.00024, -4.14545], [-0.00024, 1.21663, -5.29113]])
_REID_SIDE = 128
_ASKED_AT_ONCE = 256


def _prepare_edgeface(images: Pixels) -> Floats:
    return np.ascontiguousarray((images.astype(np.float32).transpose(0, 3, 1, 2) - 127.5) / 127.5)


def _prepare_reid(images: Pixels) -> Floats:
    warped = np.stack([cv2.warpAffine(image, _TO_REID, (_REID_SIDE, _REID_SIDE)) for image in images])
    return np.ascontiguousarray(warped[..., ::-1].astype(np.float32).transpose(0, 3, 1, 2))


def _keep(inputs: Tensor) -> Tensor:
    return inputs


def _inputs_for_reid(inputs: Tensor) -> Tensor:
    """Do what `_prepare_reid` does, from our network's inputs."""
    back = np.linalg.inv(np.vstack([_TO_REID, [0, 0, 1]]))[:2]
    matrix = torch.as_tensor(back, dtype=torch.float32, device=inputs.device)
    axis = torch.arange(_REID_SIDE, dtype=torch.float32, device=inputs.device)
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    places = torch.stack([columns, rows, torch.ones_like(rows)], dim=-1) @ matrix.T  # (128, 128, 2), pixels of the crop
    grid = (places * (2 / (SIDE - 1)) - 1).expand(len(inputs), -1, -1, -1)
    pixels = inputs * 127.5 + 127.5
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=True).round().flip(1)


@dataclass(frozen=True, slots=True)
class _Sheet:
    """What is to be known of one teacher network."""

    file: str
    prepare: Callable[[Pixels], Floats] = _prepare_edgeface
    prepare_inputs: Callable[[Tensor], Tensor] = _keep


TEACHERS = {
    "edgeface-xs": _Sheet("edgeface_xs_fp16w.onnx"),
    "reid-0095": _Sheet("face_reid_retail_0095_fp16w.onnx", _prepare_reid, _inputs_for_reid),
}
"""Teacher networks by name. Any other ONNX file may be named by its file name; it gets what EdgeFace gets: RGB 112x112
crops, (x - 127.5) / 127.5."""


class Teacher:
    """One teacher network.

    Parameters
    ----------
    name : str
        A key of `TEACHERS`, or the name of an ``.onnx`` file in `folder`.
    folder : Path
        Where the networks lie.
    batch : int
        Pictures of one inference.
    device : torch.device
        On a CPU OpenVINO runs it where installed (twice as fast here), else ONNX Runtime; elsewhere PyTorch.

    Raises
    ------
    DataError
        If the name is unknown, the file missing, or its operators are not known to run in PyTorch.
    """

    def __init__(self, name: str, folder: Path, batch: int = 32, device: torch.device | None = None) -> None:
        self.sheet = _sheet(name)
        self.batch = batch
        self.path = folder / self.sheet.file
        self._device = device or torch.device("cpu")
        if not self.path.is_file():
            raise DataError(f"teacher network {self.path} is missing; check the recipe's loss.teacher and --data")
        self._graph: OnnxInTorch | None = None
        if self._device.type == "cpu":
            self._infer = _open_network(self.path)
        else:
            try:
                self._graph = OnnxInTorch.load(self.path).to(self._device)
            except UnsupportedGraphError as error:
                raise DataError(f"teacher network {self.path} cannot run on {self._device}: {error}") from error
        self.size = self.embed(np.zeros((1, SIDE, SIDE, 3), np.uint8)).shape[1]

    def embed(self, images: Pixels) -> Floats:
        """Embed RGB crops (N, 112, 112, 3); return unit rows (N, size)."""
        starts = range(0, len(images), self.batch)
        return unit(np.concatenate([self._run(images[start : start + self.batch]) for start in starts]))

    def _run(self, images: Pixels) -> Floats:
        feed = self.sheet.prepare(images)
        if self._graph is None:
            return self._infer(feed).reshape(len(images), -1)
        with torch.no_grad():
            result = self._graph(torch.from_numpy(feed).to(self._device))
        return np.asarray(result.reshape(len(images), -1).cpu().numpy(), np.float32)

    def embed_inputs(self, inputs: Tensor) -> Tensor:
        """Embed our network's inputs (N, 3, 112, 112) on their device; return unit rows (N, size)."""
        if self._graph is not None:
            rows = self._graph(self.sheet.prepare_inputs(inputs).contiguous()).reshape(len(inputs), -1).float()
            return F.normalize(rows, dim=1)
        pixels = (inputs * 127.5 + 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1)
        return torch.from_numpy(self.embed(np.ascontiguousarray(pixels.cpu().numpy()))).to(inputs.device)

    def embed_averaged(self, images: Pixels) -> Floats:
        """Embed crops and their mirror images; return the unit means."""
        return unit(self.embed(images) + self.embed(np.ascontiguousarray(images[:, :, ::-1])))


def _sheet(name: str) -> _Sheet:
    if name in TEACHERS:
        return TEACHERS[name]
    if name.endswith(".onnx"):
        return _Sheet(name)
    raise DataError(f"unknown teacher {name!r}; known: {', '.join(TEACHERS)}, or the name of an .onnx file")


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
        As `Teacher` takes them.
    folder : Path
        Where the teacher networks lie.
    shown : bool
        Whether a progress bar is drawn.

    Raises
    ------
    DataError
        If a teacher cannot be opened, or the pictures are not cached.
    """
    return tuple(_open_target(faces, name, folder, shown) for name in names)


def label_of(name: str, folder: Path) -> str:
    """Return what a teacher is called in the names of files: a known one by name, another by its content."""
    return name if name in TEACHERS else hashlib.sha256((folder / name).read_bytes()).hexdigest()[:16]


def _open_target(faces: FaceSet, name: str, folder: Path, shown: bool) -> Floats:
    if faces.folder is None:
        raise DataError(
            "stored targets lie beside a cache of pictures: set data.read: cache or teacher_sees: augmented"
        )
    return kept_answers(
        faces.folder / f"teacher-{label_of(name, folder)}.npy",
        name,
        folder,
        len(faces),
        lambda teacher, rows: teacher.embed_averaged(np.asarray(faces.images[rows])),
        title=f"teacher {name}",
        shown=shown,
    )


def kept_answers(
    path: Path,
    name: str,
    folder: Path,
    count: int,
    ask: Callable[[Teacher, slice], Floats],
    *,
    title: str,
    shown: bool,
) -> Floats:
    """Return what a teacher says of `count` pictures, unit rows (count, size); asked once, then read from `path`.

    Parameters
    ----------
    path : Path
        Where the answers are kept, in 16 bits; written whole or not at all.
    name, folder : str, Path
        As `Teacher` takes them.
    ask : callable
        From the teacher and which pictures to their unit embeddings.
    title : str
        Of the progress bar, if `shown`.
    """
    if not path.is_file():
        from tqdm import tqdm

        teacher = Teacher(name, folder)
        stored = np.empty((count, teacher.size), np.float16)
        with tqdm(total=count, unit="img", desc=title, disable=not shown, mininterval=5) as bar:
            for start in range(0, count, _ASKED_AT_ONCE):
                rows = slice(start, min(count, start + _ASKED_AT_ONCE))
                stored[rows] = ask(teacher, rows)
                bar.update(rows.stop - rows.start)
        building = path.with_suffix(".building.npy")
        np.save(building, stored)
        building.replace(path)
    return unit(np.load(path).astype(np.float32))
