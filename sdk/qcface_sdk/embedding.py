"""Turn aligned faces into raw embeddings, in batches.

Direction and length of an embedding are two answers: who it is, and how recognizable the face is. Nothing here
normalises.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qcface_sdk._native import align as kernels
from qcface_sdk.alignment import similarity_transforms
from qcface_sdk.errors import InferenceError, ModelFormatError
from qcface_sdk.manifest import InputContract
from qcface_sdk.runtime import Runner


class Embedder:
    """A recognition network with its preprocessing. Thread-safe: holds no state that a call changes.

    Parameters
    ----------
    runner : Runner
        Network from (N, 3, S, S) to (N, D).
    contract : InputContract
        Size, colour order and normalisation the network was trained with.
    dimension : int
        D.
    batch_size : int
        Faces per run; bounds the memory of a call.

    Raises
    ------
    ModelFormatError
        If the network's input or output has another shape.
    """

    def __init__(self, runner: Runner, contract: InputContract, dimension: int, batch_size: int) -> None:
        self._runner = runner
        self._side = contract.size_wh[0]
        self._swap_rb = contract.color == "RGB"
        self._mean = np.array(contract.mean, dtype=np.float32)
        self._scale = (1.0 / np.array(contract.std, dtype=np.float64)).astype(np.float32)
        self._dimension = dimension
        self._batch_size = batch_size
        wanted_in, wanted_out = (3, self._side, self._side), (dimension,)
        got_in, got_out = runner.inputs[0].shape[1:], runner.outputs[0].shape[1:]
        if len(runner.inputs) != 1 or got_in != wanted_in or got_out != wanted_out:
            raise ModelFormatError(
                f"a recogniser must map (N, {', '.join(map(str, wanted_in))}) to (N, {dimension}), this one maps "
                f"(N, {', '.join(map(str, got_in))}) to (N, {', '.join(map(str, got_out))}); is it another model?"
            )

    def embed_crops(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return raw embeddings of checked aligned crops.

        Parameters
        ----------
        crops : ndarray of uint8, shape (N, S, S, 3)
            BGR, C-contiguous.

        Returns
        -------
        ndarray of float32, shape (N, D)

        Raises
        ------
        InferenceError
            If the network fails or returns something that is not a finite vector.
        """
        embeddings = np.empty((len(crops), self._dimension), dtype=np.float32)
        for start in range(0, len(crops), self._batch_size):
            part = crops[start : start + self._batch_size]
            tensor = self._batch(len(part))
            kernels.normalize_crops(part, tensor, self._mean, self._scale, self._swap_rb)
            embeddings[start : start + len(part)] = self._run(tensor)
        return embeddings

    def embed_faces(
        self, images: Sequence[NDArray[np.uint8]], kps: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Return raw embeddings of the faces of several pictures, warped straight into the network's input.

        Parameters
        ----------
        images : sequence of ndarray of uint8, each of shape (H, W, 3)
            BGR, checked.
        kps : sequence of ndarray of float32, each of shape (n, 5, 2)
            Landmarks of each picture's faces, in pixels.

        Returns
        -------
        ndarray of float32, shape (sum of n, D)
            In the order of the pictures and their faces.

        Raises
        ------
        DegenerateLandmarksError
            If the landmarks of a face coincide.
        InferenceError
            If the network fails or returns something that is not a finite vector.
        """
        counts = [len(points) for points in kps]
        ends = np.cumsum(counts, dtype=np.int64)
        embeddings = np.empty((int(sum(counts)), self._dimension), dtype=np.float32)
        if not len(embeddings):
            return embeddings
        transforms = similarity_transforms(np.concatenate([points for points in kps if len(points)]))
        for start in range(0, len(embeddings), self._batch_size):
            stop = min(start + self._batch_size, len(embeddings))
            tensor = self._batch(stop - start)
            for image, first, end in zip(images, ends - counts, ends, strict=True):
                low, high = max(start, int(first)), min(stop, int(end))
                if low < high:
                    part = tensor[low - start : high - start]
                    kernels.warp_faces(image, transforms[low:high], part, self._mean, self._scale, self._swap_rb)
            embeddings[start:stop] = self._run(tensor)
        return embeddings

    def _batch(self, count: int) -> NDArray[np.float32]:
        return np.empty((count, 3, self._side, self._side), dtype=np.float32)

    def _run(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        outputs = self._runner.infer({self._runner.inputs[0].name: tensor})
        rows = np.asarray(outputs[self._runner.outputs[0].name], dtype=np.float32)
        if rows.shape != (len(tensor), self._dimension):
            raise InferenceError(f"expected embeddings of shape {(len(tensor), self._dimension)}, got {rows.shape}")
        if not np.isfinite(rows).all() or (np.abs(rows).max(axis=1) == 0).any():
            raise InferenceError(
                "the network returned NaN, infinity or a zero vector, which is no embedding; verify the bundle with "
                "`qcface models verify` and the runtime with `qcface doctor`"
            )
        return rows

    def close(self) -> None:
        """Free the network."""
        self._runner.close()
