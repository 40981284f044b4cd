"""Read pictures from files, with the faults of real folders in mind.

The file's bytes are read first and decoded from memory: OpenCV's own reader returns ``None`` for a missing file, a
truncated file and a text file alike, and cannot open every path.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_sdk.checks import check_image
from qcface_sdk.errors import ImageReadError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
"""File name endings, lower case, that count as pictures when a folder is searched."""

MAX_FILE_BYTES = 256 * 1024 * 1024

_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", 0xDA, b"\xff\xd9"


def read_image(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read a picture file as BGR.

    Parameters
    ----------
    path : str or path
        JPEG, PNG, WebP, BMP or TIFF. Grey files become BGR, transparency is dropped, EXIF rotation is applied.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        BGR.

    Raises
    ------
    ImageReadError
        If the file cannot be read or does not hold a picture.
    ImageSizeError
        If the picture is too small or too large.
    """
    file = Path(path)
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ImageReadError(f"{file} is larger than {MAX_FILE_BYTES // 2**20} MiB; is it a picture?")
        data = file.read_bytes()
    except OSError as error:
        if isinstance(error, ImageReadError):
            raise
        raise ImageReadError(f"cannot read {file}: {error.strerror or error}; check the path") from error
    return decode_image(data, name=str(file))


def decode_image(data: bytes, *, name: str = "picture") -> NDArray[np.uint8]:
    """Decode the bytes of a picture file as BGR; `name` is what an error calls it.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)

    Raises
    ------
    ImageReadError
        If the bytes are not a whole picture in a known format.
    ImageSizeError
        If the picture is too small or too large.
    """
    wanted = f"{name} is not a picture that can be decoded (JPEG, PNG, WebP, BMP or TIFF)"
    if not data:
        raise ImageReadError(f"{name} is empty (0 bytes); copy it again")
    # OpenCV fills the missing rest of a cut-off JPEG with grey and only prints a warning; half a face is no face.
    if data.startswith(_JPEG_START) and not _jpeg_is_whole(data):
        raise ImageReadError(f"{name} is a JPEG that ends in the middle ({len(data)} bytes); copy it again")
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ImageReadError(f"{wanted}: {str(error).strip().splitlines()[-1]}") from error
    if image is None:
        raise ImageReadError(f"{wanted}; got {len(data)} bytes starting with {data[:8]!r}")
    return check_image(image)


def _jpeg_is_whole(data: bytes) -> bool:
    """Return whether the picture data of a JPEG are followed by its end marker.

    Segments are stepped over, because the thumbnail in one of them ends with the same marker; inside picture data the
    marker cannot occur (ITU-T T.81, B.1.1.5). What follows the end, such as a phone's video, does not count.
    """
    position = len(_JPEG_START)
    while position + 4 <= len(data) and data[position] == 0xFF:
        if data[position + 1] == _JPEG_SCAN:
            return data.find(_JPEG_END, position) >= 0
        if data[position + 1] == 0xFF:  # a fill byte
            position += 1
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return False
