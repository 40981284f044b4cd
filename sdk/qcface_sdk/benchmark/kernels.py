"""Compare the native kernels with OpenCV, NumPy and faiss, side by side in one process and one thread.

Both sides run in turn and the fastest run of each counts. Time is the thread's own processor time, which other programs
on a busy machine hardly disturb; neither side may therefore hand work to another thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_sdk._native import align, detect, match
from qcface_sdk.geometry import CROP_SIDE, REFERENCE_POINTS

_SEED = 20251017
_FRAME_HW = (1080, 1920)
_DIM = 512
_RERANKED = 16
_SCORE_THRESHOLD, _IOU_THRESHOLD = 0.6, 0.3
_STRIDES = (8, 16, 32)

FAISS_INSTALL = "not compared: pip install faiss-cpu"

Heads = dict[int, tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One kernel beside what it replaces."""

    name: str
    """What was done, on what."""

    ours_ms: float
    """Fastest run of the kernel in milliseconds."""

    reference: str
    """What it was compared with."""

    reference_ms: float | None
    """Fastest run of that in milliseconds; None if it is not installed."""

    ratio: float | None
    """`ours_ms` / `reference_ms`; None without the latter."""

    target: float | None
    """Ratio the project promises to stay below; None where it promises nothing."""

    note: str
    """Anything else worth knowing, or empty."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return asdict(self)


def compare_kernels(quick: bool = False) -> tuple[Comparison, ...]:
    """Run every comparison.

    Parameters
    ----------
    quick : bool, default False
        Fewer repeats, and 50,000 gallery rows instead of 1,000,000 (which take up to 4.5 GB of memory).

    Returns
    -------
    tuple of Comparison
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        repeats = 30 if quick else 200
        return (
            compare_alignment(repeats),
            compare_letterbox(repeats),
            compare_decoding(repeats),
            compare_search(50_000 if quick else 1_000_000, repeats=3 if quick else 7, probes=16 if quick else 256),
        )
    finally:
        cv2.setNumThreads(threads)


def compare_alignment(repeats: int) -> Comparison:
    """Cut one face out of a 1080p frame as the recognizer's input: against warpAffine and blobFromImage."""
    frame = _frame()
    kps = np.asarray((REFERENCE_POINTS - CROP_SIDE / 2) * 2 + (960, 540), dtype=np.float32)[None]
    transforms = np.empty((1, 2, 3))
    out = np.empty((1, 3, CROP_SIDE, CROP_SIDE), dtype=np.float32)
    mean, scale = np.full(3, 127.5, np.float32), np.full(3, 1 / 127.5, np.float32)
    align.similarity_transforms(kps, REFERENCE_POINTS, transforms)

    def ours() -> None:
        align.warp_faces(frame, transforms, out, mean, scale, True)

    def reference() -> None:
        crop = cv2.warpAffine(frame, transforms[0], (CROP_SIDE, CROP_SIDE))
        cv2.dnn.blobFromImage(crop, 1 / 127.5, (CROP_SIDE, CROP_SIDE), (127.5, 127.5, 127.5), swapRB=True)

    return _compare("align + normalise, 1080p", ours, "cv2.warpAffine + blobFromImage", reference, repeats, target=0.6)


def compare_letterbox(repeats: int) -> Comparison:
    """Shrink a 1080p frame to a 640 x 384 network input: against resize and blobFromImage."""
    frame = _frame()
    out = np.empty((3, 384, 640), dtype=np.float32)

    def ours() -> None:
        detect.letterbox(frame, out, 640, 360)

    def reference() -> None:
        canvas = np.zeros((384, 640, 3), dtype=np.uint8)
        canvas[:360] = cv2.resize(frame, (640, 360), interpolation=cv2.INTER_LINEAR)
        cv2.dnn.blobFromImage(canvas)

    note = "ours averages over area; cv2 interpolates, which skips most pixels"
    return _compare("letterbox, 1080p to 640x384", ours, "cv2.resize + blobFromImage", reference, repeats, note=note)


def compare_decoding(repeats: int) -> Comparison:
    """Decode a 640 x 640 output with twenty faces and suppress: against vectorised NumPy."""
    heads = _head_outputs(side=640, faces=20)
    cells = sum(len(head[0]) for head in heads.values())
    rows = np.empty((cells, 15), dtype=np.float32)
    keep = np.empty(cells, dtype=np.int32)

    def ours() -> NDArray[np.float32]:
        count = 0
        for stride, (cls, obj, bbox, kps) in heads.items():
            count = detect.decode(cls, obj, bbox, kps, 640 // stride, stride, _SCORE_THRESHOLD, rows, count)
        return rows[keep[: detect.nms(rows[:count], _IOU_THRESHOLD, keep)]]

    def reference() -> NDArray[np.float32]:
        found = np.concatenate([_decode_with_numpy(640 // stride, stride, *head) for stride, head in heads.items()])
        return found[_suppress_with_numpy(found)]

    note = f"{len(ours())} faces, {len(reference())} by NumPy"
    return _compare("decode + NMS, 640x640", ours, "NumPy", reference, repeats, target=0.2, note=note)


def compare_search(row_count: int, repeats: int, probes: int) -> Comparison:
    """Find one probe among random unit rows, int8 scan and float32 re-rank: against a flat faiss index."""
    rng = np.random.default_rng(_SEED)
    rows = np.empty((row_count, _DIM), dtype=np.float32)
    for start in range(0, row_count, 50_000):
        rows[start : start + 50_000] = _unit_rows(rng, min(50_000, row_count - start))
    asked = _unit_rows(rng, probes)
    codes, scales = np.empty(rows.shape, dtype=np.int8), np.empty(row_count, dtype=np.float32)
    match.quantize_rows(rows, codes, scales)
    name = f"int8 scan + re-rank of {_RERANKED}, {row_count:,} x {_DIM}"
    try:
        import faiss
    except ImportError:
        ours_ms, _ = _fastest_ms(lambda: search_int8(rows, codes, scales, asked[:1]), lambda: None, repeats)
        return Comparison(name, ours_ms, "faiss.IndexFlatIP", None, None, 1 / 3, FAISS_INSTALL)
    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(_DIM)
    index.add(rows)
    # The index holds its own copy; from here on both sides read that one.
    rows = faiss.rev_swig_ptr(index.get_xb(), row_count * _DIM).reshape(row_count, _DIM)
    same = int(np.count_nonzero(search_int8(rows, codes, scales, asked) == index.search(asked, 1)[1][:, 0]))
    return _compare(
        name,
        lambda: search_int8(rows, codes, scales, asked[:1]),
        "faiss.IndexFlatIP",
        lambda: index.search(asked[:1], 1),
        repeats,
        target=1 / 3,
        note=f"same best row for {same} of {probes} random probes",
    )


def search_int8(
    rows: NDArray[np.float32], codes: NDArray[np.int8], scales: NDArray[np.float32], probes: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Return the best row for each probe, shape (M,): the int8 scan's sixteen best, ordered by float32 products."""
    probe_codes, probe_scales = np.empty(probes.shape, dtype=np.int8), np.empty(len(probes), dtype=np.float32)
    match.quantize_rows(probes, probe_codes, probe_scales)
    index = np.empty((len(probes), _RERANKED), dtype=np.int64)
    scores = np.empty(index.shape, dtype=np.float32)
    match.top_k_int8(codes, scales, probe_codes, probe_scales, _RERANKED, index, scores)
    exact = np.einsum("pkd,pd->pk", rows[index], probes)
    return np.take_along_axis(index, exact.argmax(axis=1)[:, None], axis=1)[:, 0]


def _compare(
    name: str,
    ours: Callable[[], object],
    reference_name: str,
    reference: Callable[[], object],
    repeats: int,
    *,
    target: float | None = None,
    note: str = "",
) -> Comparison:
    ours_ms, reference_ms = _fastest_ms(ours, reference, repeats)
    return Comparison(name, ours_ms, reference_name, reference_ms, ours_ms / reference_ms, target, note)


def _fastest_ms(first: Callable[[], object], second: Callable[[], object], repeats: int) -> tuple[float, float]:
    best = [float("inf"), float("inf")]
    for _ in range(repeats):
        for i, function in enumerate((first, second)):
            start = time.thread_time()
            function()
            best[i] = min(best[i], time.thread_time() - start)
    return best[0] * 1000.0, best[1] * 1000.0


def _frame() -> NDArray[np.uint8]:
    noise = np.random.default_rng(_SEED).integers(0, 256, (*_FRAME_HW, 3), dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 2.0), dtype=np.uint8)


def _unit_rows(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    rows = rng.standard_normal((count, _DIM), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def _head_outputs(side: int, faces: int) -> Heads:
    """Return outputs of a YuNet head as of a picture with faces: each makes a patch of cells answer with its box."""
    rng = np.random.default_rng(_SEED)
    heads: Heads = {}
    for stride in _STRIDES:
        cells = (side // stride) ** 2
        low = rng.uniform(0.0, 0.2, (2, cells)).astype(np.float32)
        shape = rng.normal(0.0, 0.5, (cells, 14)).astype(np.float32)
        heads[stride] = (low[0], low[1], shape[:, :4].reshape(-1).copy(), shape[:, 4:].reshape(-1).copy())
    cls, obj, bbox, _ = heads[8]
    cols = side // 8
    for face in range(faces):
        column, line = 8 + 16 * (face % 5), 6 + 16 * (face // 5)
        for dy in range(-2, 2):
            for dx in range(-2, 2):
                cell = (line + dy) * cols + column + dx
                cls[cell] = obj[cell] = rng.uniform(0.7, 1.0)
                bbox[4 * cell : 4 * cell + 4] = (-dx, -dy, np.log(8.0), np.log(9.0))
    return heads


def _decode_with_numpy(
    cols: int,
    stride: int,
    cls: NDArray[np.float32],
    obj: NDArray[np.float32],
    bbox: NDArray[np.float32],
    kps: NDArray[np.float32],
) -> NDArray[np.float32]:
    score = np.sqrt(np.clip(cls, 0.0, 1.0) * np.clip(obj, 0.0, 1.0))
    cells = np.nonzero(score >= _SCORE_THRESHOLD)[0]
    corner = np.stack([cells % cols, cells // cols], axis=1).astype(np.float32)
    box = bbox.reshape(-1, 4)[cells]
    centre = (corner + box[:, :2]) * stride
    half = np.exp(box[:, 2:]) * (0.5 * stride)
    points = (np.tile(corner, 5) + kps.reshape(-1, 10)[cells]) * stride
    return np.concatenate([centre - half, centre + half, points, score[cells, None]], axis=1).astype(np.float32)


def _suppress_with_numpy(rows: NDArray[np.float32]) -> list[int]:
    order = np.argsort(-rows[:, 14], kind="stable")
    area = (rows[:, 2] - rows[:, 0]) * (rows[:, 3] - rows[:, 1])
    keep = []
    while len(order):
        best, order = order[0], order[1:]
        keep.append(int(best))
        low = np.maximum(rows[best, :2], rows[order, :2])
        high = np.minimum(rows[best, 2:4], rows[order, 2:4])
        both = np.prod(np.maximum(high - low, 0.0), axis=1)
        order = order[both <= _IOU_THRESHOLD * (area[best] + area[order] - both)]
    return keep
