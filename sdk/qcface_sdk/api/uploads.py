"""Uploaded pictures: the header is judged before anything is decoded.

A PNG of a few kilobytes can unpack to gigabytes. So only the formats whose size stands in a header that is easy to
read are taken from the network, and what is too large is refused by that header.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.errors import ImageReadError, ImageSizeError
from qcface_sdk.image import decode_image

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})


def decode_upload(data: bytes, name: str, max_pixels: int) -> NDArray[np.uint8]:
    """Decode an uploaded JPEG, PNG or WebP to BGR.

    Parameters
    ----------
    data : bytes
        The whole file.
    name : str
        What an error calls it.
    max_pixels : int
        Width times height beyond which it is refused unread.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)

    Raises
    ------
    ImageReadError
        If it is empty, cut off, or of another format.
    ImageSizeError
        If it is too small or too large.
    """
    size = picture_size(data)
    if size is None:
        raise ImageReadError(f"{name} is not a JPEG, PNG or WebP picture; upload one of these")
    if size[0] * size[1] > max_pixels:
        raise ImageSizeError(
            f"{name} must have at most {max_pixels:,} pixels, its header says {size[0]} x {size[1]}; scale it down"
        )
    return decode_image(data, name=name)


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Return (width, height) from a JPEG, PNG or WebP header; ``None`` for anything else."""
    if data.startswith(_PNG) and len(data) >= 24:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if data.startswith(b"\xff\xd8"):
        return _jpeg_size(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and len(data) >= 30:
        return _webp_size(data)
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
        elif marker in _JPEG_BARE:
            place += 2
        elif marker in _JPEG_FRAMES:
            return int.from_bytes(data[place + 7 : place + 9], "big"), int.from_bytes(
                data[place + 5 : place + 7], "big"
            )
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = int.from_bytes(data[26:28], "little"), int.from_bytes(data[28:30], "little")
        return width & 0x3FFF, height & 0x3FFF
    return None
