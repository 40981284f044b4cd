"""The int8 form of a vector, as it is sealed in the store and scanned in memory.

``scale`` (float32), ``loss`` (float32), one int8 per number: ``vector`` is about ``scale * bytes``, and ``loss`` is the
length of the difference, which bounds how far a product of codes can be from the product of the vectors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qcface_sdk._native import match as kernels

_PREFIX_BYTES = 8


def code_bytes(dimension: int) -> int:
    """Return the length of a code."""
    return _PREFIX_BYTES + dimension


def quantised(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.float32]]:
    """Return codes (N, D), scales (N,) and losses (N,) of float32 rows (N, D)."""
    rows = np.ascontiguousarray(vectors, np.float32)
    codes, scales = np.empty(rows.shape, np.int8), np.empty(len(rows), np.float32)
    kernels.quantize_rows(rows, codes, scales)
    rest = rows.astype(np.float64) - codes * scales.astype(np.float64)[:, None]
    return codes, scales, np.linalg.norm(rest, axis=1).astype(np.float32)


def to_bytes(vectors: NDArray[np.float32]) -> list[bytes]:
    """Return the codes of some vectors as they are sealed."""
    codes, scales, losses = quantised(vectors)
    return [
        scale.astype("<f4").tobytes() + loss.astype("<f4").tobytes() + code.tobytes()
        for code, scale, loss in zip(codes, scales, losses, strict=True)
    ]


def from_bytes(
    pieces: list[bytes], dimension: int
) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.float32]]:
    """Return codes, scales and losses of some sealed-form codes, all of the right length."""
    table = np.frombuffer(b"".join(pieces), np.uint8).reshape(len(pieces), code_bytes(dimension))
    heads = np.ascontiguousarray(table[:, :_PREFIX_BYTES]).view("<f4")
    return table[:, _PREFIX_BYTES:].view(np.int8), heads[:, 0], heads[:, 1]
