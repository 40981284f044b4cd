from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.api.uploads import decode_upload, picture_size
from qcface_sdk.errors import ImageReadError, ImageSizeError


def encoded(width: int, height: int, suffix: str, *options: int) -> bytes:
    image = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.imencode(suffix, image, list(options))[1].tobytes()


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".jpg", ()),
        (".jpg", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
        (".png", ()),
        (".webp", (cv2.IMWRITE_WEBP_QUALITY, 80)),
        (".webp", (cv2.IMWRITE_WEBP_QUALITY, 101)),
    ],
)
def test_size_is_that_of_the_decoded_picture(suffix: str, options: tuple[int, ...]) -> None:
    data = encoded(70, 33, suffix, *options)
    assert picture_size(data) == (70, 33)
    assert decode_upload(data, "it", 70 * 33).shape == (33, 70, 3)


def test_extended_webp_gives_its_size() -> None:
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (1919).to_bytes(3, "little") + (1079).to_bytes(3, "little")
    assert picture_size(b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body) == (1920, 1080)


def test_picture_bomb_is_refused_by_its_header() -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    with pytest.raises(ImageSizeError, match="60000 x 60000"):
        decode_upload(data, "it", 25_000_000)


@pytest.mark.parametrize("data", [b"", b"GIF89a" + bytes(40), b"BM" + bytes(60), b"II*\0" + bytes(60), b"<svg/>"])
def test_other_formats_are_refused(data: bytes) -> None:
    with pytest.raises(ImageReadError):
        decode_upload(data, "it", 1_000_000)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_cut_off_picture_is_a_named_error(suffix: str) -> None:
    data = encoded(64, 64, suffix)
    with pytest.raises((ImageReadError, ImageSizeError)):
        decode_upload(data[:60], "it", 1_000_000)


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8 "]))
def test_any_bytes_give_a_size_or_nothing(data: bytes, start: bytes) -> None:
    size = picture_size(start + data)
    assert size is None or all(side >= 0 for side in size)
