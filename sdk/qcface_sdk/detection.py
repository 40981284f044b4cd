"""Find faces and their five landmarks with a network in YuNet's output layout.

The network sees each frame at one or more scales. A face is found when its shorter box side, *in network pixels*, lies
between two sizes measured for the network; the scales follow from these and from `min_face`, the smallest face the user
cares about in frame pixels. A 1080p frame with ``min_face=40`` is thus shrunk rather than searched at full size, and a
face that fills the frame is found by an extra, smaller scale where one is needed.

Layout, decoding and the defaults for foreign files: S. Wu et al., YuNet, Machine Intelligence Research 20, 2023, and
opencv_zoo, models/face_detection_yunet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk._native import detect as kernels
from qcface_sdk.errors import ModelFormatError, OptionError
from qcface_sdk.geometry import box_areas, rescale_points
from qcface_sdk.runtime import Runner

STRIDES = (8, 16, 32)
HEADS = ("cls", "obj", "bbox", "kps")
ROW = 15
"""Columns of a detection: box (4), five points (10), score (1)."""

INPUT_STEP = 32
"""Network sides are multiples of the largest stride."""

MAX_UPSCALE = 2.0
"""Bounds the cost of a small `min_face`: enlarging adds pixels, not detail."""

MAX_INPUT_PIXELS = 16_000_000
"""About 200 MB of network input; a larger one means that `min_face` does not suit the frame."""

MAX_CANDIDATES = 4096
"""Best-scored cells that reach non-maximum suppression; bounds its quadratic cost on hostile pictures."""

# The box of a head-on face that just fits into the frame, whose width is about 0.8 of its height; of a larger face the
# landmarks are cut off.
_LARGEST_SHARE_OF_WIDTH = 0.95
_LARGEST_SHARE_OF_HEIGHT = 0.8


@dataclass(frozen=True, slots=True)
class DetectorLimits:
    """What a detector network was measured to find; the defaults are those of OpenCV's YuNet."""

    score_threshold: float = 0.6
    """Smallest score that counts as a face, 0..1."""

    iou_threshold: float = 0.3
    """Boxes that overlap more than this are one face."""

    smallest_face: float = 10.0
    """Shorter box side in network pixels from which faces are found reliably."""

    largest_face: float = 300.0
    """Shorter box side in network pixels up to which faces are found reliably."""


def input_scales(frame_wh: tuple[int, int], min_face: float, limits: DetectorLimits) -> tuple[float, ...]:
    """Return the scales at which a frame must be searched, largest first.

    Parameters
    ----------
    frame_wh : tuple of int
        Width and height of the frame in pixels.
    min_face : float
        Shorter box side, in frame pixels, of the smallest face to be found.
    limits : DetectorLimits
        What the network finds.

    Returns
    -------
    tuple of float
        The first makes a face of `min_face` as large as ``limits.smallest_face`` (never enlarging more than
        `MAX_UPSCALE`); further ones, if any, shrink a face that fills the frame to ``limits.largest_face``.

    Raises
    ------
    OptionError
        If the first scale would need more than `MAX_INPUT_PIXELS`.

    Examples
    --------
    >>> input_scales((1920, 1080), 40, DetectorLimits(smallest_face=16, largest_face=300))
    (0.4, 0.3472222222222222)
    """
    width, height = frame_wh
    scale = min(MAX_UPSCALE, limits.smallest_face / min_face)
    if width * height * scale * scale > MAX_INPUT_PIXELS:
        raise OptionError(
            f"min_face={min_face:g} on a {width} x {height} frame needs a network input of "
            f"{round(width * scale)} x {round(height * scale)}; raise min_face or resize the frame"
        )
    scales = [scale]
    largest = min(_LARGEST_SHARE_OF_WIDTH * width, _LARGEST_SHARE_OF_HEIGHT * height)
    last = limits.largest_face / largest
    # Neighbouring scales share at least a factor of two in face size, so no face falls between them.
    overlap = min(0.9, 2.0 * limits.smallest_face / limits.largest_face)
    # Compared with the very number that is appended: its product with `largest` may round to above the limit.
    while scales[-1] > last:
        scales.append(max(last, scales[-1] * overlap))
    return tuple(scales)


class Detector:
    """A detector network with its decoding. Thread-safe: holds no state that a call changes.

    Parameters
    ----------
    runner : Runner
        Network in YuNet's layout: input (1, 3, H, W) BGR 0..255, outputs ``cls``, ``obj``, ``bbox`` and ``kps`` at
        strides 8, 16 and 32. H and W may be dynamic or fixed.
    limits : DetectorLimits
        Thresholds and the face sizes the network finds.
    min_face : float
        Shorter box side, in frame pixels, of the smallest face to be found.

    Raises
    ------
    ModelFormatError
        If the network has another layout.
    """

    def __init__(self, runner: Runner, limits: DetectorLimits, min_face: float) -> None:
        self._runner = runner
        self._limits = limits
        self._min_face = min_face
        self._input = runner.inputs[0].name
        self._fixed_wh = self._check_layout()

    def _check_layout(self) -> tuple[int, int] | None:
        wanted = {f"{head}_{stride}" for head in HEADS for stride in STRIDES}
        missing = wanted - {spec.name for spec in self._runner.outputs}
        shape = self._runner.inputs[0].shape
        if missing or len(self._runner.inputs) != 1 or len(shape) != 4 or shape[1] not in (3, None):
            raise ModelFormatError(
                f"a detector needs one input (1, 3, H, W) and YuNet's outputs {', '.join(sorted(wanted))}, got input "
                f"{shape} and no {', '.join(sorted(missing)) or 'missing output'}; pass a YuNet-type ONNX file"
            )
        height, width = shape[2], shape[3]
        if height is None or width is None:
            return None
        if height % INPUT_STEP or width % INPUT_STEP:
            raise ModelFormatError(f"a detector's fixed input must have sides divisible by 32, got {width} x {height}")
        return width, height

    def scales(self, frame_wh: tuple[int, int]) -> tuple[float, ...]:
        """Return the scales a frame of this size is searched at."""
        if self._fixed_wh is None:
            return input_scales(frame_wh, self._min_face, self._limits)
        return (min(self._fixed_wh[0] / frame_wh[0], self._fixed_wh[1] / frame_wh[1]),)

    def detect(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the faces of a checked picture.

        Parameters
        ----------
        image : ndarray of uint8, shape (H, W, 3)
            BGR.

        Returns
        -------
        ndarray of float32, shape (N, 15)
            Box x1, y1, x2, y2 and five points in frame pixels, then the score; largest box first.
        """
        frame_wh = (image.shape[1], image.shape[0])
        found = [self._search(image, scale) for scale in self.scales(frame_wh)]
        rows = np.ascontiguousarray(np.concatenate(found) if len(found) > 1 else found[0])
        keep = np.empty(len(rows), dtype=np.int32)
        count = kernels.nms(rows, self._limits.iou_threshold, keep)
        rows = rows[keep[:count]]
        return rows[np.lexsort((-rows[:, 14], -box_areas(rows[:, :4])))]

    def preprocess(self, image: NDArray[np.uint8], scale: float) -> tuple[NDArray[np.float32], tuple[float, float]]:
        """Return the network input for one scale, shape (1, 3, h, w) float32, and the exact factors for x and y."""
        height, width = image.shape[:2]
        new_w, new_h = max(1, round(width * scale)), max(1, round(height * scale))
        if self._fixed_wh is None:
            net_w, net_h = _round_up(new_w), _round_up(new_h)
        else:
            net_w, net_h = self._fixed_wh
            new_w, new_h = min(new_w, net_w), min(new_h, net_h)
        tensor = np.empty((1, 3, net_h, net_w), dtype=np.float32)
        kernels.letterbox(image, tensor[0], new_w, new_h)
        return tensor, (new_w / width, new_h / height)

    def decode(self, outputs: dict[str, NDArray[Any]], net_wh: tuple[int, int]) -> NDArray[np.float32]:
        """Return the cells above the score threshold, shape (N, 15) float32, in network pixels."""
        cells = sum((net_wh[0] // stride) * (net_wh[1] // stride) for stride in STRIDES)
        rows = np.empty((cells, ROW), dtype=np.float32)
        count = 0
        for stride in STRIDES:
            cls, obj, bbox, kps = (
                np.ascontiguousarray(outputs[f"{head}_{stride}"], dtype=np.float32).reshape(-1) for head in HEADS
            )
            expected = (net_wh[0] // stride) * (net_wh[1] // stride)
            if not cls.size == obj.size == bbox.size // 4 == kps.size // 10 == expected:
                raise ModelFormatError(
                    f"detector outputs at stride {stride} must have {expected} cells, got {cls.size}, {obj.size}, "
                    f"{bbox.size} / 4 and {kps.size} / 10; pass a YuNet-type ONNX file"
                )
            columns = net_wh[0] // stride
            count = kernels.decode(cls, obj, bbox, kps, columns, stride, self._limits.score_threshold, rows, count)
        rows = rows[:count]
        if count > MAX_CANDIDATES:
            rows = rows[np.argsort(-rows[:, 14], kind="stable")[:MAX_CANDIDATES]]
        return rows

    def _search(self, image: NDArray[np.uint8], scale: float) -> NDArray[np.float32]:
        tensor, factors = self.preprocess(image, scale)
        outputs = self._runner.infer({self._input: tensor})
        rows = self.decode(outputs, (tensor.shape[3], tensor.shape[2]))
        back = (1.0 / factors[0], 1.0 / factors[1])
        rows[:, :14] = rescale_points(rows[:, :14].reshape(-1, 7, 2), back).reshape(-1, 14)
        return rows[np.isfinite(rows).all(axis=1)]

    def close(self) -> None:
        """Free the network."""
        self._runner.close()


def _round_up(pixels: int) -> int:
    return -(-pixels // INPUT_STEP) * INPUT_STEP
