"""`FaceEngine`: one object from a picture to faces, embeddings and decisions.

It owns the models and runs detect, align, embed; the arithmetic is elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.alignment import align
from qcface_sdk.bundle import Bundle
from qcface_sdk.calibration.calibration import Calibration
from qcface_sdk.checks import (
    check_choice,
    check_crops,
    check_fraction,
    check_image,
    check_positive,
    check_positive_int,
)
from qcface_sdk.deciding import Deciding
from qcface_sdk.detection import Detector, DetectorLimits
from qcface_sdk.embedding import Embedder
from qcface_sdk.errors import ModelNotFoundError
from qcface_sdk.manifest import Artifact
from qcface_sdk.quality import with_reasons
from qcface_sdk.recognizability import recognizability
from qcface_sdk.results import Face
from qcface_sdk.runtime import ModelHints, open_runner
from qcface_sdk.selection import open_recognizer
from qcface_sdk.signatures import TrustedKey

PRECISIONS = ("auto", "fp32", "fp16", "bf16", "int8", "fp8")


class FaceEngine(Deciding):
    """Detects, aligns, embeds and compares faces.

    Every method is thread-safe: an engine holds no state that a call changes, so one engine may serve all threads of a
    process. Memory per call is bounded by the picture, `min_face` and `batch_size`.

    Parameters
    ----------
    model : str, path or None
        Bundle folder or ``.qcface`` file; ``None`` is the bundle that ships with the package.
    backend : str
        ``"auto"``, ``"gpu"``, or one out of `qcface_sdk.runtime`: ``"onnxruntime"`` and ``"openvino"`` on the CPU,
        ``"tensorrt"``, ``"onnxruntime-cuda"`` and ``"onnxruntime-tensorrt"`` on an NVIDIA GPU. See
        `qcface_sdk.selection` for the order in which ``"auto"`` tries them.
    precision : str
        ``"auto"``, ``"fp32"``, ``"fp16"``, ``"bf16"``, ``"int8"`` or ``"fp8"``, as far as the bundle holds it.
        ``"auto"`` is the fastest here, measured at the first use and remembered in the user's cache.
    threads : int
        Threads per network run.
    detector : str, path or None
        ONNX file of a YuNet-type detector instead of the bundle's, such as opencv_zoo's.
    min_face : float
        Shorter box side, in frame pixels, of the smallest face to be found. Larger is faster.
    batch_size : int
        Faces per run of the recogniser.
    score_threshold : float or None
        Smallest detector score that counts as a face; ``None`` is the bundle's.
    trusted_keys : iterable of str, path or bytes, optional
        Public keys, as 64 hex digits or PEM: only a bundle signed by one of them is accepted. ``None`` accepts unsigned
        bundles too.
    calibration : Calibration, path or None
        Thresholds, quality map and gates measured on your own people (``qcface calibrate``) instead of the bundle's.

    Raises
    ------
    ModelNotFoundError, ManifestError, ModelHashError, ModelFormatError
        If the model is absent, altered or not what it says.
    SignatureError
        If the bundle is not signed by one of `trusted_keys`, or its signature does not hold.
    BackendUnavailableError
        If the backend is unknown or its package missing.
    CalibrationError
        If the calibration cannot be read or is of another model, artefact or runtime.
    OptionError
        If an option is out of range.

    Examples
    --------
    >>> engine = FaceEngine()
    >>> engine.get(np.zeros((480, 640, 3), np.uint8))
    ()
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        backend: str = "auto",
        precision: str = "auto",
        threads: int = 1,
        detector: str | os.PathLike[str] | None = None,
        min_face: float = 40,
        *,
        batch_size: int = 16,
        score_threshold: float | None = None,
        trusted_keys: Iterable[TrustedKey] | None = None,
        calibration: Calibration | str | os.PathLike[str] | None = None,
    ) -> None:
        check_choice("precision", precision, PRECISIONS)
        check_positive_int("threads", threads)
        check_positive_int("batch_size", batch_size)
        min_face = check_positive("min_face", min_face)
        if score_threshold is not None:
            check_fraction("score_threshold", score_threshold)
        self._bundle = Bundle.load(model, trusted_keys=trusted_keys)
        manifest = self._bundle.manifest
        named = backend not in ("auto", "gpu")
        selection, runner = open_recognizer(self._bundle, backend, precision, threads=threads, batch=batch_size)
        self._backend, self._artifact, self._measured_on = selection.backend, selection.artifact, selection.measured_on
        self._ua, self._la = manifest.embedding.ua, manifest.embedding.la
        self._embedder = Embedder(runner, manifest.input, manifest.embedding.dimension, batch_size)
        try:
            super().__init__(self._open_calibration(calibration))
            self._detector = self._open_detector(detector, threads, min_face, score_threshold, build=named)
        except BaseException:
            self._embedder.close()
            raise

    def _open_calibration(self, source: Calibration | str | os.PathLike[str] | None) -> Calibration:
        if source is None:
            return Calibration.of_bundle(self._bundle, self._artifact.id, self._measured_on)
        calibration = source if isinstance(source, Calibration) else Calibration.load(source)
        calibration.check(self._bundle.contract, self._artifact.id, self._measured_on)
        return calibration

    def _open_detector(
        self,
        path: str | os.PathLike[str] | None,
        threads: int,
        min_face: float,
        score_threshold: float | None,
        *,
        build: bool,
    ) -> Detector:
        if path is None:
            shipped = self._bundle.manifest.detector
            data = self._bundle.read(shipped.file)
            limits = DetectorLimits(
                score_threshold or shipped.score_threshold,
                shipped.iou_threshold,
                shipped.smallest_face,
                shipped.largest_face,
            )
        else:
            data = _read_model(path)
            limits = DetectorLimits() if score_threshold is None else DetectorLimits(score_threshold)
        try:
            runner = open_runner(data, self._backend, threads, ModelHints(build=build))
        except ModelNotFoundError:
            # "auto" builds no engine; the recogniser has one, the detector runs on the CPU.
            runner = open_runner(data, "auto", threads)
        return Detector(runner, limits, min_face)

    @property
    def bundle(self) -> Bundle:
        """The loaded model bundle."""
        return self._bundle

    @property
    def backend(self) -> str:
        """Name of the runtime that is used."""
        return self._backend

    @property
    def artifact(self) -> Artifact:
        """The bundle's file of the recogniser that is used."""
        return self._artifact

    @property
    def precision(self) -> str:
        """Precision of the recogniser that is used."""
        return self._artifact.precision

    def get(self, image: Any, *, reasons: bool = False) -> tuple[Face, ...]:
        """Find and embed the faces of a picture. Thread-safe.

        Parameters
        ----------
        image : ndarray of uint8, shape (H, W, 3)
            BGR; rows may be strided (a crop of a frame needs no copy). Not modified.
        reasons : bool, default False
            Whether to measure what is wrong with each face, too (`Face.quality_reasons`, as `assess` reports it).

        Returns
        -------
        tuple of Face
            Largest first; empty if there is none.

        Raises
        ------
        ShapeError, ImageSizeError
            If `image` is not such an array.
        InferenceError
            If a network fails.
        """
        return self.get_batch([image], reasons=reasons)[0]

    def get_batch(self, images: Iterable[Any], *, reasons: bool = False) -> tuple[tuple[Face, ...], ...]:
        """Find and embed the faces of several pictures, with the faces of all of them embedded in batches. Thread-safe.

        Parameters
        ----------
        images : iterable of ndarray of uint8, each of shape (H, W, 3)
            BGR, of any sizes.
        reasons : bool, default False
            As for `get`.

        Returns
        -------
        tuple of tuple of Face
            One tuple per picture, as `get` gives it.

        Raises
        ------
        ShapeError, ImageSizeError
            If a picture is not such an array; nothing is processed then.
        InferenceError
            If a network fails.
        """
        frames = [check_image(image) for image in images]
        rows = [self._detector.detect(frame) for frame in frames]
        points = [found[:, 4:14].reshape(-1, 5, 2) for found in rows]
        embeddings = self._embedder.embed_faces(frames, points)
        ends = np.cumsum([len(found) for found in rows], dtype=np.int64)
        faces = tuple(
            self._faces(found, embeddings[end - len(found) : end]) for found, end in zip(rows, ends, strict=True)
        )
        return tuple(map(with_reasons, frames, faces)) if reasons else faces

    def detect(self, image: Any, *, reasons: bool = False) -> tuple[Face, ...]:
        """Find the faces of a picture without embedding them. Thread-safe.

        Parameters, order and errors are those of `get`; `embedding`, `recognizability` and `quality` are ``None``.
        """
        frame = check_image(image)
        rows = self._detector.detect(frame)
        faces = tuple(Face(row[:4], row[4:14].reshape(5, 2), float(row[14])) for row in rows)
        return with_reasons(frame, faces) if reasons else faces

    def embed_faces(self, image: Any, faces: Sequence[Face]) -> tuple[Face, ...]:
        """Embed faces that `detect` found in a picture, all or some of them. Thread-safe.

        Parameters
        ----------
        image : ndarray of uint8, shape (H, W, 3)
            The picture they were found in, BGR.
        faces : sequence of Face
            Their landmarks are used; what embedding they carry is not.

        Returns
        -------
        tuple of Face
            In the same order, as `get` would have given them.

        Raises
        ------
        ShapeError, ImageSizeError, InferenceError
            As for `get`.
        DegenerateLandmarksError
            If five landmarks fix no face.
        """
        frame = check_image(image)
        if not faces:
            return ()
        points = np.stack([face.kps for face in faces])
        rows = np.stack([np.r_[face.bbox, face.kps.ravel(), np.float32(face.det_score)] for face in faces])
        return self._faces(rows.astype(np.float32), self._embedder.embed_faces([frame], [points]))

    def align(self, image: Any, kps: Any) -> NDArray[np.uint8]:
        """Warp faces onto the reference points; see `qcface_sdk.alignment.align`. Thread-safe."""
        return align(image, kps)

    def embed(self, crops: Any) -> NDArray[np.float32]:
        """Embed aligned faces. Thread-safe.

        Parameters
        ----------
        crops : ndarray of uint8, shape (N, 112, 112, 3)
            BGR, aligned to the ArcFace reference points, as `align` makes them.

        Returns
        -------
        ndarray of float32, shape (N, D)
            Raw embeddings, **not** normalised.

        Raises
        ------
        ShapeError, NotFiniteError
            If `crops` is not such an array.
        InferenceError
            If the network fails.
        """
        return self._embedder.embed_crops(check_crops(crops, self._bundle.manifest.input.size_wh[0]))

    def _faces(self, rows: NDArray[np.float32], embeddings: NDArray[np.float32]) -> tuple[Face, ...]:
        magnitudes = np.linalg.norm(embeddings.astype(np.float64), axis=1)
        shares = recognizability(magnitudes, ua=self._ua, la=self._la)
        qualities = self._scale.quality(magnitudes)
        return tuple(
            Face(row[:4], row[4:14].reshape(5, 2), float(row[14]), embedding, self.contract, share, quality)
            for row, embedding, share, quality in zip(
                rows, embeddings, shares.tolist(), qualities.tolist(), strict=True
            )
        )

    def close(self) -> None:
        """Free the networks. Harmless when repeated; any other call afterwards raises `InferenceError`."""
        self._detector.close()
        self._embedder.close()

    def __enter__(self) -> FaceEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        manifest = self._bundle.manifest
        return f"FaceEngine({manifest.name} {manifest.version}, {self.backend} {self.precision}, {self.contract})"


def _read_model(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ModelNotFoundError(f"cannot read detector {path}: {error.strerror or error}; check the path") from error
