"""From crops to embeddings with a file on a backend, and the same with the results kept on disk."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from qcface_export.bundle_packing import INPUT
from qcface_export.calibration import network_input
from qcface_export.errors import ExportError
from qcface_export.files import write_whole
from qcface_sdk.manifest import InputContract
from qcface_sdk.runtime import open_runner, resolve_backend
from qcface_train.evaluation.recognizer import Recognizer

# Crops whose embeddings are written together: some seconds of work, which is what a stopped run loses.
_KEPT_AT_ONCE = 512


class FileEmbedder:
    """A recogniser file on one backend; call it with BGR crops (N, 112, 112, 3). Holds the session until `close`.

    Parameters
    ----------
    model : bytes
        ONNX file, or whatever the backend opens.
    runtime : str
        Backend.
    preprocessing : InputContract
        How crops become network input.
    threads, batch : int
        Threads of a run; crops of a run.
    title : str
        Heading of the progress bar; empty shows none.

    Raises
    ------
    ExportError
        If the file takes other pictures.
    ModelFormatError, BackendUnavailableError
        If the backend cannot open it.
    """

    def __init__(
        self,
        model: bytes,
        runtime: str,
        *,
        preprocessing: InputContract = INPUT,
        threads: int = 1,
        batch: int = 16,
        title: str = "",
    ) -> None:
        self.runtime = resolve_backend(runtime)
        self.sha256 = hashlib.sha256(model).hexdigest()
        self._preprocessing, self._batch, self._title = preprocessing, batch, title
        self._runner = open_runner(model, self.runtime, threads)
        width, height = preprocessing.size_wh
        if len(self._runner.inputs) != 1 or self._runner.inputs[0].shape[1:] != (3, height, width):
            got = ", ".join(str(spec.shape) for spec in self._runner.inputs)
            self.close()
            raise ExportError(f"a recogniser takes pictures (N, 3, {height}, {width}), this file takes {got}")

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return raw embeddings (N, D)."""
        name, output = self._runner.inputs[0].name, self._runner.outputs[0].name
        parts = []
        starts = range(0, len(crops), self._batch)
        for start in tqdm(starts, desc=self._title, disable=not self._title, leave=False, mininterval=1):
            feed = network_input(crops[start : start + self._batch], self._preprocessing)
            parts.append(np.asarray(self._runner.infer({name: feed})[output], np.float32))
        return np.concatenate(parts)

    def close(self) -> None:
        """Free the network."""
        self._runner.close()


class KeptRecognizer(Recognizer):
    """A recogniser that keeps its results in a folder, so that a release that was stopped goes on where it was.

    A result is found again by the hashes of file and pictures and by the backend's name; a damaged one is made anew.

    Parameters
    ----------
    path : Path
        ONNX file.
    folder : Path
        Where the results go.
    artifact : str
        Id of the file in the bundle.
    backend : str
        Runtime.
    limits : (float, float), optional
        As `Recognizer` takes them.
    """

    def __init__(
        self, path: Path, folder: Path, artifact: str, backend: str, limits: tuple[float, float] | None = None
    ) -> None:
        super().__init__(path, backend=backend, limits=limits)
        self.artifact = artifact
        self._folder = folder

    def embed(self, crops: NDArray[np.uint8], title: str = "") -> NDArray[np.float32]:
        """Return raw embeddings (N, D); `title` shows a progress bar."""
        title = title and f"{self.artifact} on {self.runtime}: {title}"
        starts = range(0, len(crops), _KEPT_AT_ONCE)
        bar = tqdm(starts, desc=title, disable=not title, leave=False, mininterval=2)
        return np.concatenate([self._embed_part(crops[start : start + _KEPT_AT_ONCE]) for start in bar])

    def _embed_part(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        pictures = hashlib.sha256(np.ascontiguousarray(crops).data).hexdigest()[:16]
        path = self._folder / f"{self.sha256[:16]}-{self.runtime}-{pictures}.npy"
        kept = _load(path)
        if kept is not None and len(kept) == len(crops):
            return kept
        embeddings = super().embed(crops)
        content = io.BytesIO()
        np.save(content, embeddings, allow_pickle=False)
        write_whole(path, content.getvalue())
        return embeddings


def _load(path: Path) -> NDArray[np.float32] | None:
    try:
        return np.asarray(np.load(path, allow_pickle=False), np.float32)
    except (OSError, ValueError, EOFError):
        return None
