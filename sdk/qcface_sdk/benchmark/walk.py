"""A film of one portrait that walks up to the camera, for measuring doors; made on the spot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_sdk.camera.av_reader import load_av


@dataclass(frozen=True, slots=True)
class Walk:
    """Somebody comes nearer in `seconds`, again and again, with `pause` seconds of an empty scene between."""

    size_wh: tuple[int, int] = (1920, 1080)
    fps: int = 30
    seconds: float = 4.0
    pause: float = 2.5
    repeats: int = 3
    start_size: float = 30.0
    """Face size in pixels at the start."""
    end_size: float = 220.0
    """Face size in pixels at the end."""

    @property
    def period(self) -> int:
        """Pictures from the start of one walk to the start of the next."""
        return round((self.seconds + self.pause) * self.fps)

    @property
    def frames(self) -> int:
        """Pictures in all."""
        return self.repeats * self.period

    def face_size(self, number: int) -> float | None:
        """Return the face's size in picture `number`, ``None`` in the pauses."""
        share = (number % self.period) / (self.seconds * self.fps)
        # Equal steps of a walker make the face grow as one over the distance.
        return None if share >= 1 else 1.0 / ((1 - share) / self.start_size + share / self.end_size)

    def first_frame_of(self, size: float) -> list[int]:
        """Return for each repeat the first picture whose face is at least that large."""
        sizes = [self.face_size(number) for number in range(self.period)]
        first = next(number for number, found in enumerate(sizes) if found is not None and found >= size)
        return [first + self.period * repeat for repeat in range(self.repeats)]

    def pictures(self, portrait: NDArray[np.uint8], face_size: float) -> Iterator[NDArray[np.uint8]]:
        """Draw the film.

        Parameters
        ----------
        portrait : ndarray of uint8, shape (H, W, 3)
            BGR, with one face.
        face_size : float
            Size of that face in the portrait, in pixels.
        """
        width, height = self.size_wh
        rng = np.random.default_rng(20251017)
        coarse = rng.integers(60, 200, (27, 48, 3), dtype=np.uint8)
        scene = cv2.resize(coarse, self.size_wh, interpolation=cv2.INTER_CUBIC)
        noise = rng.integers(0, 5, (height, width, 3), dtype=np.uint8)
        for number in range(self.frames):
            # A real sensor never gives the same picture twice.
            picture = cv2.add(scene, np.roll(noise, 37 * number, axis=1))
            size = self.face_size(number)
            if size is not None:
                scale = size / face_size
                sway = 12 * np.sin(number / 5)
                x, y = width / 2 - scale * portrait.shape[1] / 2 + sway, height * 0.42 - scale * portrait.shape[0] * 0.3
                place = np.array([[scale, 0, x], [0, scale, y]], np.float64)
                cv2.warpAffine(
                    portrait, place, self.size_wh, picture, cv2.INTER_AREA, borderMode=cv2.BORDER_TRANSPARENT
                )
            yield np.asarray(picture, np.uint8)

    def write(self, path: Path, portrait: NDArray[np.uint8], face_size: float) -> None:
        """Encode the film as H.264, as a camera would."""
        av = load_av()
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=self.fps)
            stream.width, stream.height = self.size_wh
            stream.pix_fmt = "yuv420p"
            stream.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "28"}
            for number, picture in enumerate(self.pictures(portrait, face_size)):
                frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
                frame.pts, frame.time_base = number, Fraction(1, self.fps)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
