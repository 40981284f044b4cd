import numpy as np
from numpy.typing import NDArray

def similarity_transforms(
    kps: NDArray[np.float32], template: NDArray[np.float32], out: NDArray[np.float64]
) -> None: ...
def warp_faces(
    image: NDArray[np.uint8],
    transforms: NDArray[np.float64],
    out: NDArray[np.float32],
    mean: NDArray[np.float32],
    scale: NDArray[np.float32],
    swap_rb: bool,
) -> None: ...
def warp_faces_u8(image: NDArray[np.uint8], transforms: NDArray[np.float64], out: NDArray[np.uint8]) -> None: ...
def normalize_crops(
    crops: NDArray[np.uint8],
    out: NDArray[np.float32],
    mean: NDArray[np.float32],
    scale: NDArray[np.float32],
    swap_rb: bool,
) -> None: ...
