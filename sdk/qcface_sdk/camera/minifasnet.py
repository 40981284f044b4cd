"""Liveness by MiniFASNet (Silent-Face-Anti-Spoofing), from ONNX files that the user supplies.

The networks are not part of this package. They judge single colour pictures; their error rates on your camera, with
your attacks, are unknown until you measure them: ``qcface eval liveness``.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_sdk.checks import check_fraction, check_image
from qcface_sdk.errors import InferenceError, ModelFormatError, ModelNotFoundError, OptionError
from qcface_sdk.results import Face
from qcface_sdk.runtime import Runner, open_runner

_SIDE = 80
_LIVE = 1
"""Index of the class "living" among the three."""


@dataclass(frozen=True, slots=True)
class _Network:
    runner: Runner
    scale: float


class MiniFasNet:
    """One or more MiniFASNet networks, whose scores are averaged. Thread-safe.

    Parameters
    ----------
    files : sequence of path
        ONNX files. Each looks at the face with another margin, which stands in its name, such as ``2.7`` in
        ``2.7_80x80_MiniFASNetV2.onnx``.
    threshold : float, default 0.5
        Smallest mean score that counts as living.
    threads : int
        Threads per network run.

    Raises
    ------
    ModelNotFoundError, ModelFormatError
        If a file is missing or is not such a network.
    OptionError
        If there is no file, or a name without a margin.
    """

    name = "MiniFASNet"

    def __init__(self, files: Sequence[str | os.PathLike[str]], *, threshold: float = 0.5, threads: int = 1) -> None:
        if isinstance(files, (str, os.PathLike)) or not files:
            raise OptionError(
                "MiniFASNet needs a list with at least one ONNX file; each is a network with its own margin"
            )
        self.threshold = check_fraction("threshold", threshold)
        self._networks = [_open(Path(file), threads) for file in files]

    def score(self, image: NDArray[np.uint8], face: Face) -> float:
        """Return the mean probability of a living face, 0..1.

        Raises
        ------
        ShapeError, ImageSizeError
            If `image` is not a BGR picture.
        InferenceError
            If a network fails or gives numbers that are not finite.
        """
        frame = check_image(image)
        return math.fsum(_probability(network, frame, face) for network in self._networks) / len(self._networks)

    def close(self) -> None:
        """Free the networks. Harmless when repeated."""
        for network in self._networks:
            network.runner.close()


def margin_crop(image: NDArray[np.uint8], face: Face, scale: float) -> NDArray[np.uint8]:
    """Return the face with its margin as upstream cuts it, 80 x 80.

    The box grows about its centre by `scale`, by less where the picture is too small for that, and is moved rather
    than cut where it would leave the picture.
    """
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (float(value) for value in face.bbox)
    box_width, box_height = max(1.0, x2 - x1), max(1.0, y2 - y1)
    factor = min((height - 1) / box_height, (width - 1) / box_width, scale)
    side_x, side_y = box_width * factor, box_height * factor
    left = min(max(0.0, (x1 + x2) / 2 - side_x / 2), width - 1 - side_x)
    top = min(max(0.0, (y1 + y2) / 2 - side_y / 2), height - 1 - side_y)
    part = image[int(top) : int(top + side_y) + 1, int(left) : int(left + side_x) + 1]
    return np.asarray(cv2.resize(part, (_SIDE, _SIDE)), np.uint8)


def _probability(network: _Network, image: NDArray[np.uint8], face: Face) -> float:
    crop = margin_crop(image, face, network.scale)
    tensor = np.ascontiguousarray(crop.transpose(2, 0, 1)[None], np.float32)
    runner = network.runner
    logits = np.asarray(runner.infer({runner.inputs[0].name: tensor})[runner.outputs[0].name], np.float64).ravel()
    if not np.isfinite(logits).all():
        raise InferenceError("a liveness network gave NaN or infinity; the face cannot be judged")
    shares = np.exp(logits - logits.max())
    return float(shares[_LIVE] / shares.sum())


def _open(file: Path, threads: int) -> _Network:
    found = re.search(r"(?<!\d)(\d\.\d)(?!\d)", file.name)
    if found is None:
        raise OptionError(
            f"the name of {file.name} must hold the network's margin, such as 2.7 or 4.0; rename the file"
        )
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ModelNotFoundError(f"cannot read liveness network {file}: {error.strerror or error}") from error
    runner = open_runner(data, "onnxruntime", threads)
    try:
        probe = np.zeros((1, 3, _SIDE, _SIDE), np.float32)
        outputs = runner.infer({runner.inputs[0].name: probe})
        fits = len(outputs) == 1 and next(iter(outputs.values())).size == 3
    except InferenceError:
        fits = False
    if not fits:
        runner.close()
        raise ModelFormatError(f"{file.name} is not a MiniFASNet: it must take 1 x 3 x 80 x 80 and give 3 numbers")
    return _Network(runner, float(found[1]))
