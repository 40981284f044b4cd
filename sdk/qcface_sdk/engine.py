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
from qcface_sdk.checks import (
    check_choice,
    check_crops,
    check_fraction,
    check_image,
    check_positive,
    check_positive_int,
)
from qcface_sdk.detection import Detector, DetectorLimits
from qcface_sdk.embedding import Embedder
from qcface_sdk.errors import InputError, ModelNotFoundError, ThresholdUnavailableError
from qcface_sdk.fusion import CAPACITY, Fusion, fuse
from qcface_sdk.manifest import QualityGate, ThresholdRow
from qcface_sdk.matching import check_same_contract, compare_faces
from qcface_sdk.quality import QualityScale
from qcface_sdk.recognizability import recognizability
from qcface_sdk.results import Face, Match
from qcface_sdk.runtime import open_runner, resolve_backend
from qcface_sdk.template import Template

OUTLIER_SHARE = 0.6
"""A face is an outlier of a fusion below this share of the loosest measured threshold (sdk/docs/decisions.md)."""

PRECISIONS = ("auto", "fp32", "fp16", "bf16", "int8", "fp8")


class FaceEngine:
    """Detects, aligns, embeds and compares faces.

    Every method is thread-safe: an engine holds no state that a call changes, so one engine may serve all threads of a
    process. Memory per call is bounded by the picture, `min_face` and `batch_size`.

    Parameters
    ----------
    model : str, path or None
        Bundle folder or ``.qcface`` file; ``None`` is the bundle that ships with the package.
    backend : str
        ``"auto"`` (ONNX Runtime), ``"onnxruntime"`` or ``"openvino"``.
    precision : str
        ``"auto"``, ``"fp32"``, ``"fp16"``, ``"bf16"``, ``"int8"`` or ``"fp8"``, as far as the bundle holds it.
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

    Raises
    ------
    ModelNotFoundError, ManifestError, ModelHashError, ModelFormatError
        If the model is absent, altered or not what it says.
    BackendUnavailableError
        If the backend is unknown or its package missing.
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
    ) -> None:
        check_choice("precision", precision, PRECISIONS)
        check_positive_int("threads", threads)
        check_positive_int("batch_size", batch_size)
        min_face = check_positive("min_face", min_face)
        if score_threshold is not None:
            check_fraction("score_threshold", score_threshold)
        self._backend = resolve_backend(backend)
        self._bundle = Bundle.load(model)
        manifest = self._bundle.manifest
        self._artifact = self._bundle.artifact(self._backend, precision)
        self._ua, self._la = manifest.embedding.ua, manifest.embedding.la
        quality = self._bundle.quality_map(self._artifact.id, self._backend)
        self._scale = QualityScale(quality.knots, quality.fused)
        self._probe_gate, self._enroll_gate = quality.probe_gate, quality.enroll_gate
        self._detector = self._open_detector(detector, threads, min_face, score_threshold)
        self._embedder = Embedder(
            open_runner(self._bundle.read(self._artifact.file), self._backend, threads),
            manifest.input,
            manifest.embedding.dimension,
            batch_size,
        )

    def _open_detector(
        self, path: str | os.PathLike[str] | None, threads: int, min_face: float, score_threshold: float | None
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
        return Detector(open_runner(data, self._backend, threads), limits, min_face)

    @property
    def bundle(self) -> Bundle:
        """The loaded model bundle."""
        return self._bundle

    @property
    def contract(self) -> str:
        """Embedding contract id: only embeddings with the same id may be compared."""
        return self._bundle.manifest.embedding.contract

    @property
    def backend(self) -> str:
        """Name of the runtime that is used."""
        return self._backend

    @property
    def precision(self) -> str:
        """Precision of the recogniser that is used."""
        return self._artifact.precision

    @property
    def retry_below(self) -> float:
        """Quality below which a face is not to be trusted for a decision, 0..100: the minimum of `probe_gate`."""
        return self._probe_gate.minimum

    @property
    def enroll_below(self) -> float:
        """Quality below which a face should not be enrolled, 0..100: the minimum of `enroll_gate`."""
        return self._enroll_gate.minimum

    @property
    def probe_gate(self) -> QualityGate:
        """What is promised of probes that are not below `retry_below`."""
        return self._probe_gate

    @property
    def enroll_gate(self) -> QualityGate:
        """What is promised of enrolled faces that are not below `enroll_below`."""
        return self._enroll_gate

    def get(self, image: Any) -> tuple[Face, ...]:
        """Find and embed the faces of a picture. Thread-safe.

        Parameters
        ----------
        image : ndarray of uint8, shape (H, W, 3)
            BGR; rows may be strided (a crop of a frame needs no copy). Not modified.

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
        return self.get_batch([image])[0]

    def get_batch(self, images: Iterable[Any]) -> tuple[tuple[Face, ...], ...]:
        """Find and embed the faces of several pictures, with the faces of all of them embedded in batches. Thread-safe.

        Parameters
        ----------
        images : iterable of ndarray of uint8, each of shape (H, W, 3)
            BGR, of any sizes.

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
        return tuple(
            self._faces(found, embeddings[end - len(found) : end]) for found, end in zip(rows, ends, strict=True)
        )

    def detect(self, image: Any) -> tuple[Face, ...]:
        """Find the faces of a picture without embedding them. Thread-safe.

        Parameters, order and errors are those of `get`; `embedding`, `recognizability` and `quality` are ``None``.
        """
        rows = self._detector.detect(check_image(image))
        return tuple(Face(row[:4], row[4:14].reshape(5, 2), float(row[14])) for row in rows)

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

    def quality(self, magnitudes: Any) -> NDArray[np.float64]:
        """Return the quality, 0..100, of embeddings of these magnitudes. Thread-safe."""
        return self._scale.quality(magnitudes)

    def threshold(self, fmr: float) -> float:
        """Return the smallest similarity accepted at a false-match rate. Thread-safe.

        Parameters
        ----------
        fmr : float
            Between 0 and 1, for example ``1e-4``. Between two measured rates the threshold is interpolated in log FMR.

        Returns
        -------
        float
            Similarity in -1..1 for this model, precision and runtime.

        Raises
        ------
        OptionError
            If `fmr` is not between 0 and 1.
        ThresholdUnavailableError
            If the counts behind the bundle's thresholds do not support that rate.
        """
        return self.threshold_row(fmr).threshold

    def threshold_row(self, fmr: float) -> ThresholdRow:
        """Return the threshold at a false-match rate with the measurement behind it. Thread-safe.

        Parameters and errors are those of `threshold`.
        """
        return self._bundle.threshold(self._artifact.id, self._backend, check_fraction("fmr", fmr))

    @property
    def threshold_rows(self) -> tuple[ThresholdRow, ...]:
        """All rows measured for this model, precision and runtime, largest rate first; also unsupported ones."""
        return self._bundle.thresholds(self._artifact.id, self._backend)

    def verify(self, face_a: Face | None, face_b: Face | None, fmr: float = 1e-4) -> Match:
        """Compare two faces (1:1). Thread-safe.

        Parameters
        ----------
        face_a, face_b : Face or None
            Faces from `get`; ``None`` stands for a picture without one and is never accepted.
        fmr : float
            False-match rate of the threshold.

        Returns
        -------
        Match
            With the decision: accept, retry (a face is missing or below the quality gate) or reject.

        Raises
        ------
        ContractMismatchError
            If a face was embedded by another model.
        InputError
            If a face comes from `detect`.
        OptionError, ThresholdUnavailableError
            See `threshold`.
        """
        return compare_faces(
            face_a,
            face_b,
            threshold=self.threshold(fmr),
            fmr=fmr,
            retry_below=self.retry_below,
            contract=self.contract,
        )

    def template(self, faces: Face | Sequence[Face]) -> Template:
        """Fuse one or more faces of one person into a template. Thread-safe.

        Parameters
        ----------
        faces : Face or sequence of Face
            From `get`.

        Returns
        -------
        Template
            Magnitude-weighted mean direction and fused quality, see `qcface_sdk.fusion`. No face is left out: use
            `fusion` for a track that may hold other people.

        Raises
        ------
        InputError
            If there is no face, or one has no embedding.
        ContractMismatchError
            If a face was embedded by another model.
        """
        group = [faces] if isinstance(faces, Face) else list(faces)
        rows = []
        for face in group:
            if face.embedding is None:
                raise InputError("a template needs faces with embeddings, got one from detect(); use engine.get(image)")
            check_same_contract(self.contract, face.contract)
            rows.append(face.embedding)
        if not rows:
            raise InputError("a template needs at least one face, got none; check that a face was found")
        return fuse(np.stack(rows), self.contract, self._scale)

    def fusion(self, capacity: int = CAPACITY) -> Fusion:
        """Return an empty fusion, to gather the faces of one track. Thread-safe; the fusion itself is for one thread.

        Parameters
        ----------
        capacity : int, default 64
            Faces it keeps at most.

        Raises
        ------
        OptionError
            If `capacity` is not positive.
        ThresholdUnavailableError
            If the bundle holds no threshold, from which it follows what an outlier is.
        """
        rows = [row for row in self._bundle.thresholds(self._artifact.id, self._backend) if row.supported]
        if not rows:
            raise ThresholdUnavailableError(
                f"fusion needs a measured threshold to tell outliers, {self._bundle.source} has none; "
                "make a Fusion with outlier_below= of your own"
            )
        return Fusion(self.contract, self._scale, outlier_below=OUTLIER_SHARE * rows[0].threshold, capacity=capacity)

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
