"""Saves the picture behind an event, with everybody else in it made unrecognisable. Only where it is configured."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_sdk.checks import check_positive, check_positive_int
from qcface_sdk.errors import EventStorageError
from qcface_sdk.results import Face

_CELLS = 6
"""Cells across a blurred face: too few to tell anyone by."""


class Snapshots:
    """A folder of JPEG files, each named by its event. Used by one door.

    Parameters
    ----------
    folder : path
        Made where it is missing, readable by its owner alone.
    keep_days : float, default 7
        Older files are deleted whenever one is saved.
    most : int, default 1000
        Beyond that many the oldest are deleted.
    margin : float, default 0.35
        Bystanders' boxes are enlarged by that share on each side, so that hair and chin are covered too.

    Raises
    ------
    EventStorageError
        If the folder cannot be made or written.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, keep_days: float = 7.0, most: int = 1000, margin: float = 0.35
    ) -> None:
        self._folder = Path(folder)
        self._seconds = check_positive("keep_days", keep_days) * 86400.0
        self._most = check_positive_int("most", most)
        self._margin = check_positive("margin", margin)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise EventStorageError(f"cannot make the snapshot folder {folder}: {error.strerror or error}") from error

    def save(self, event_id: str, image: NDArray[np.uint8], subject: Face, faces: Iterable[Face]) -> str:
        """Save a picture and return its path.

        Parameters
        ----------
        event_id : str
            Names the file.
        image : ndarray of uint8, shape (H, W, 3)
            BGR; not changed.
        subject : Face
            The one face that stays as it is.
        faces : iterable of Face
            All faces found; those other than `subject` are blurred. Faces that the detector missed are not.

        Raises
        ------
        EventStorageError
            If it cannot be written.
        """
        shown = blur_faces(image, [face for face in faces if face is not subject], self._margin, keep=subject)
        path = self._folder / f"{re.sub(r'[^0-9a-zA-Z-]', '', event_id)}.jpg"
        done, data = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, 85])
        if not done:
            raise EventStorageError(f"cannot encode snapshot {path.name}")
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(data.tobytes())
            self._tidy()
        except OSError as error:
            raise EventStorageError(f"cannot save snapshot {path}: {error.strerror or error}") from error
        return str(path)

    def _tidy(self) -> None:
        files = sorted(self._folder.glob("*.jpg"), key=lambda file: file.stat().st_mtime, reverse=True)
        oldest = time.time() - self._seconds
        for number, file in enumerate(files):
            if number >= self._most or file.stat().st_mtime < oldest:
                file.unlink(missing_ok=True)


def blur_faces(
    image: NDArray[np.uint8], faces: Iterable[Face], margin: float, keep: Face | None = None
) -> NDArray[np.uint8]:
    """Return a copy of a picture in which faces are a few flat cells; the box of `keep` stays as it was."""
    shown = image.copy()
    height, width = image.shape[:2]
    for face in faces:
        x1, y1, x2, y2 = (float(value) for value in face.bbox)
        dx, dy = margin * (x2 - x1), margin * (y2 - y1)
        left, top = max(0, int(x1 - dx)), max(0, int(y1 - dy))
        right, bottom = min(width, int(x2 + dx) + 1), min(height, int(y2 + dy) + 1)
        if right - left < 1 or bottom - top < 1:
            continue
        part = shown[top:bottom, left:right]
        cells = cv2.resize(part, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
        part[:] = cv2.resize(cells, (right - left, bottom - top), interpolation=cv2.INTER_NEAREST)
    if keep is not None:
        x1, y1, x2, y2 = (int(value) for value in keep.bbox)
        box = slice(max(0, y1), max(0, y2 + 1)), slice(max(0, x1), max(0, x2 + 1))
        shown[box] = image[box]
    return np.asarray(shown, np.uint8)
