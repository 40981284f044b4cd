"""What may be kept of a person beside the template, and until when: consent, retention, crops."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_sdk.checks import check_crops
from qcface_sdk.errors import GalleryFormatError, OptionError
from qcface_sdk.geometry import CROP_SIDE

MAX_CONSENT_CHARACTERS = 1000
"""Longest note on what a person agreed to."""


def check_consent(consent: Any) -> str | None:
    """Return a note on consent unchanged, or ``None``.

    Raises
    ------
    OptionError
        If it is not text, blank or too long.
    """
    if consent is None:
        return None
    if not isinstance(consent, str) or not consent.strip() or len(consent) > MAX_CONSENT_CHARACTERS:
        got = f"{len(consent)} characters" if isinstance(consent, str) else type(consent).__name__
        raise OptionError(f"consent must be text of 1..{MAX_CONSENT_CHARACTERS} characters, got {got}")
    return consent


def check_expires(expires: Any) -> float | None:
    """Return a time as unix seconds, or ``None``.

    Raises
    ------
    OptionError
        If it is neither a datetime with a time zone nor a finite number of at least 0.
    """
    if expires is None:
        return None
    if isinstance(expires, datetime):
        if expires.tzinfo is None:
            raise OptionError("expires must carry a time zone, got a naive datetime; add tzinfo=timezone.utc")
        return expires.timestamp()
    if isinstance(expires, bool) or not isinstance(expires, (int, float)) or not math.isfinite(expires) or expires < 0:
        raise OptionError(f"expires must be unix seconds or a datetime, got {expires!r}")
    return float(expires)


def check_kept_crops(crops: Any) -> tuple[bytes, ...]:
    """Return aligned crops as PNG files; none for ``None``.

    Raises
    ------
    ShapeError
        If they are not uint8 of shape (N, 112, 112, 3).
    """
    if crops is None:
        return ()
    return tuple(cv2.imencode(".png", crop)[1].tobytes() for crop in check_crops(crops, CROP_SIDE))


def decoded_crops(files: list[bytes]) -> NDArray[np.uint8]:
    """Return the crops of some PNG files, shape (N, 112, 112, 3).

    Raises
    ------
    GalleryFormatError
        If one is not such a picture.
    """
    crops = np.empty((len(files), CROP_SIDE, CROP_SIDE, 3), np.uint8)
    for number, file in enumerate(files):
        crop = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)
        if crop is None or crop.shape != crops.shape[1:]:
            raise GalleryFormatError("a kept crop is not a picture of 112 x 112; enrol that person again")
        crops[number] = crop
    return crops
