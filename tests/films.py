"""Small video files, drawn and encoded on the spot."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np


def moving_pattern(count: int, size_wh: tuple[int, int] = (160, 120)) -> list[np.ndarray]:
    """Coarse noise that wanders, so that every picture differs from the last."""
    rng = np.random.default_rng(5)
    big = cv2.resize(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8), (size_wh[0] + 2 * count, size_wh[1]))
    return [np.ascontiguousarray(big[:, 2 * i : 2 * i + size_wh[0]]) for i in range(count)]


def write_film(
    path: Path, pictures: Iterable[np.ndarray], *, fps: int = 10, codec: str = "libx264", gop: int = 5, **options: Any
) -> Path:
    with av.open(str(path), "w", **options) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = gop
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "tune": "zerolatency"}
        for number, picture in enumerate(pictures):
            if number == 0:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
