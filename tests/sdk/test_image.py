from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from qcface_sdk.errors import ImageReadError, ImageSizeError
from qcface_sdk.image import decode_image, read_image


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff"])
def test_read_image_of_a_lossless_file_returns_its_pixels(tmp_path: Path, noise_image: np.ndarray, suffix: str) -> None:
    file = tmp_path / f"Gesicht 顔{suffix}"
    file.write_bytes(cv2.imencode(suffix, noise_image)[1].tobytes())
    np.testing.assert_array_equal(read_image(file), noise_image)


@pytest.mark.parametrize(("channels", "shape"), [(1, (48, 64)), (4, (48, 64, 4))])
def test_read_image_of_grey_or_transparent_file_returns_bgr(
    tmp_path: Path, channels: int, shape: tuple[int, ...]
) -> None:
    file = tmp_path / f"{channels}.png"
    file.write_bytes(cv2.imencode(".png", np.full(shape, 200, np.uint8))[1].tobytes())
    image = read_image(file)
    assert image.shape == (48, 64, 3)
    assert (image == 200).all()


def test_read_image_of_a_missing_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match=r"nobody\.jpg"):
        read_image(tmp_path / "nobody.jpg")


def test_read_image_of_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match="cannot read"):
        read_image(tmp_path)


@pytest.mark.parametrize("data", [b"", b"not a picture at all", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_decode_image_of_other_bytes_is_refused(data: bytes) -> None:
    with pytest.raises(ImageReadError, match="picture"):
        decode_image(data)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_decode_image_of_a_cut_off_jpeg_is_refused(noise_image: np.ndarray, share: float) -> None:
    data = cv2.imencode(".jpg", noise_image)[1].tobytes()
    assert decode_image(data).shape == noise_image.shape
    with pytest.raises(ImageReadError, match="ends in the middle"):
        decode_image(data[: int(len(data) * share)])


def test_decode_image_of_a_jpeg_with_something_behind_it_is_whole(noise_image: np.ndarray) -> None:
    """Phones append a video of megabytes to the picture."""
    data = cv2.imencode(".jpg", noise_image)[1].tobytes()
    np.testing.assert_array_equal(decode_image(data + bytes(100_000)), decode_image(data))


def test_decode_image_of_a_cut_off_jpeg_with_a_thumbnail_is_refused(noise_image: np.ndarray) -> None:
    """The thumbnail's end marker must not pass for the picture's."""
    data = cv2.imencode(".jpg", noise_image)[1].tobytes()
    thumbnail = b"Exif\0\0" + cv2.imencode(".jpg", noise_image[:32, :32])[1].tobytes()
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    whole = data[:2] + segment + data[2:]
    np.testing.assert_array_equal(decode_image(whole), decode_image(data))
    with pytest.raises(ImageReadError, match="ends in the middle"):
        decode_image(whole[: len(whole) // 2])


def test_decode_image_of_one_pixel_is_refused() -> None:
    data = cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes()
    with pytest.raises(ImageSizeError, match="at least 16 pixels"):
        decode_image(data)
