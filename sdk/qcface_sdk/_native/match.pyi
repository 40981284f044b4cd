import numpy as np
from numpy.typing import NDArray

def simd() -> str: ...
def simd_sets() -> tuple[str, ...]: ...
def dot_float32(gallery: NDArray[np.float32], probes: NDArray[np.float32], out: NDArray[np.float32]) -> None: ...
def dot_float16(gallery: NDArray[np.uint16], probes: NDArray[np.float32], out: NDArray[np.float32]) -> None: ...
def dot_int8(
    gallery: NDArray[np.int8],
    gallery_scale: NDArray[np.float32],
    probes: NDArray[np.int8],
    probe_scale: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None: ...
def top_k_float32(
    gallery: NDArray[np.float32],
    probes: NDArray[np.float32],
    k: int,
    index_out: NDArray[np.int64],
    score_out: NDArray[np.float32],
) -> None: ...
def top_k_float16(
    gallery: NDArray[np.uint16],
    probes: NDArray[np.float32],
    k: int,
    index_out: NDArray[np.int64],
    score_out: NDArray[np.float32],
) -> None: ...
def top_k_int8(
    gallery: NDArray[np.int8],
    gallery_scale: NDArray[np.float32],
    probes: NDArray[np.int8],
    probe_scale: NDArray[np.float32],
    k: int,
    index_out: NDArray[np.int64],
    score_out: NDArray[np.float32],
) -> None: ...
def quantize_rows(rows: NDArray[np.float32], out: NDArray[np.int8], scale: NDArray[np.float32]) -> None: ...
