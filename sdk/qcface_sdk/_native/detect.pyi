import numpy as np
from numpy.typing import NDArray

def letterbox(image: NDArray[np.uint8], out: NDArray[np.float32], new_w: int, new_h: int) -> None: ...
def decode(
    cls: NDArray[np.float32],
    obj: NDArray[np.float32],
    bbox: NDArray[np.float32],
    kps: NDArray[np.float32],
    cols: int,
    stride: int,
    score_threshold: float,
    out: NDArray[np.float32],
    start: int,
) -> int: ...
def nms(rows: NDArray[np.float32], iou_threshold: float, keep: NDArray[np.int32]) -> int: ...
