"""Run a recogniser, given as an ONNX file or as a model bundle, over aligned crops."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from qcface_sdk.bundle import Bundle
from qcface_sdk.errors import ModelFormatError, ModelNotFoundError, OptionError
from qcface_sdk.manifest import InputContract
from qcface_sdk.runtime import available_backends, open_runner, resolve_backend

# What train/ feeds the network; a bundle states its own.
_CONTRACT = InputContract((112, 112), "RGB", (127.5, 127.5, 127.5), (127.5, 127.5, 127.5), "NCHW", "arcface-112")

LIMITS = (1.0, 100.0)
"""The lengths la and ua that an ONNX file is taken to be trained for."""


class Recognizer:
    """A recognition network with its preprocessing; holds the runtime's session until `close`.

    Parameters
    ----------
    path : Path
        ONNX file from (N, 3, 112, 112) to (N, D), RGB, (x - 127.5) / 127.5; or a bundle (folder or ``.qcface``),
        whose contract then counts.
    backend : str, default "auto"
        Runtime.
    precision : str, default "auto"
        Which file of a bundle.
    threads : int, default 1
        Threads of one run.
    batch : int, default 32
        Crops of one run.
    limits : (float, float), optional
        The lengths la and ua that an ONNX file was trained for; 1 and 100 by default. A bundle states its own.

    Raises
    ------
    ModelNotFoundError
        If there is nothing at `path`.
    ModelFormatError
        If the network has other inputs and outputs.
    OptionError
        If `limits` are given for a bundle, or do not satisfy 0 < la < ua.
    """

    def __init__(
        self,
        path: Path,
        *,
        backend: str = "auto",
        precision: str = "auto",
        threads: int = 1,
        batch: int = 32,
        limits: tuple[float, float] | None = None,
    ) -> None:
        self.runtime = resolve_backend(backend)
        self.contract, self.artifact = _CONTRACT, "recognizer-fp32"
        self.la, self.ua = limits or LIMITS
        if not 0 < self.la < self.ua:
            raise OptionError(f"la and ua must satisfy 0 < la < ua, got {self.la} and {self.ua}")
        if path.is_dir() or path.suffix == ".qcface":
            if limits is not None:
                raise OptionError(
                    f"la and ua are for ONNX files, {path} is a bundle and states its own; leave them out"
                )
            bundle = Bundle.load(path)
            found = bundle.artifact(self.runtime, precision)
            model, self.artifact = bundle.read(found.file), found.id
            self.contract = bundle.manifest.input
            self.la, self.ua = bundle.manifest.embedding.la, bundle.manifest.embedding.ua
        elif path.is_file():
            model = path.read_bytes()
        else:
            raise ModelNotFoundError(f"there is no model at {path}; pass an ONNX file or a bundle")
        self.sha256 = hashlib.sha256(model).hexdigest()
        self.bytes = len(model)
        self._batch = batch
        self._runner = open_runner(model, self.runtime, threads)
        self._check_shapes(path)

    def _check_shapes(self, path: Path) -> None:
        inputs, outputs = self._runner.inputs, self._runner.outputs
        width, height = self.contract.size_wh
        if len(inputs) != 1 or inputs[0].shape[1:] != (3, height, width) or len(outputs[0].shape) != 2:
            got = f"{[spec.shape for spec in inputs]} to {[spec.shape for spec in outputs]}"
            raise ModelFormatError(f"{path} must map (N, 3, {height}, {width}) to (N, D), it maps {got}")

    @property
    def runtime_version(self) -> str:
        """Version of the runtime's package."""
        return next((info.version or "unknown" for info in available_backends() if info.name == self.runtime), "")

    def embed(self, crops: NDArray[np.uint8], title: str = "") -> NDArray[np.float32]:
        """Return raw embeddings (N, D) of BGR crops (N, 112, 112, 3); `title` shows a progress bar."""
        parts = []
        for batch in _batches(crops, self._batch, title):
            feed = self._prepare(batch)
            outputs = self._runner.infer({self._runner.inputs[0].name: feed})
            parts.append(np.asarray(outputs[self._runner.outputs[0].name], np.float32))
        return np.concatenate(parts)

    def _prepare(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        pixels = batch[..., ::-1] if self.contract.color == "RGB" else batch
        return _to_planes(pixels, self.contract.mean, self.contract.std)

    def close(self) -> None:
        """Free the network."""
        self._runner.close()


def _batches(crops: NDArray[np.uint8], size: int, title: str) -> Iterator[NDArray[np.uint8]]:
    for start in tqdm(range(0, len(crops), size), desc=title, disable=not title, leave=False):
        yield crops[start : start + size]


# 112 ArcFace crop -> the 128 template of the reid network: from its data sheet, one fixed bilinear affine.
_TO_REID = np.array([[1.21663, 0.00024, -4.14545], [-0.00024, 1.21663, -5.29113]])
PEERS = {
    "lightqnet": "lightqnet_dm100_fp16w.onnx",
    "edgeface-xs norm": "edgeface_xs_fp16w.onnx",
    "reid-0095 norm": "face_reid_retail_0095_fp16w.onnx",
}
"""Other quality measures and the files of a teachers' folder that give them."""


def measure_peer(name: str, folder: Path, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return another quality measure of BGR crops: LightQNet's number, or the length of a teacher's embedding.

    Parameters
    ----------
    name : str
        A key of `PEERS`.
    folder : Path
        Where the networks lie.
    crops : ndarray of uint8, shape (N, 112, 112, 3)

    Raises
    ------
    ModelNotFoundError
        If the file is missing.
    """
    path = folder / PEERS[name]
    if not path.is_file():
        raise ModelNotFoundError(f"there is no {path}; pass the folder that holds {', '.join(PEERS.values())}")
    runner = open_runner(path.read_bytes(), "onnxruntime", 1)
    values = []
    for batch in _batches(crops, 32, name):
        outputs = runner.infer({runner.inputs[0].name: _prepare_peer(name, batch)})
        rows = np.asarray(outputs[runner.outputs[0].name], np.float64).reshape(len(batch), -1)
        values.append(rows[:, 0] if name == "lightqnet" else np.linalg.norm(rows, axis=1))
    runner.close()
    return np.concatenate(values)


def _prepare_peer(name: str, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
    if name == "lightqnet":
        resized = np.stack([cv2.resize(crop, (96, 96)) for crop in batch])
        return _to_planes(resized, 128.0, 128.0)
    if name == "reid-0095 norm":
        return _to_planes(np.stack([cv2.warpAffine(crop, _TO_REID, (128, 128)) for crop in batch]), 0.0, 1.0)
    return _to_planes(batch[..., ::-1], 127.5, 127.5)


def _to_planes(pixels: NDArray[np.uint8], mean: ArrayLike, std: ArrayLike) -> NDArray[np.float32]:
    scaled = (pixels.astype(np.float32) - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))
