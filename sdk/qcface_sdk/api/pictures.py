"""From an upload to faces, with a bound on how many are worked on at a time."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import HTTPException, Request, UploadFile
from numpy.typing import NDArray

from qcface_sdk.api.state import ApiState
from qcface_sdk.api.uploads import decode_upload
from qcface_sdk.results import Face

if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import BoundedSemaphore

    from qcface_sdk.api.settings import ApiSettings


def state_of(request: Request) -> ApiState:
    """Return what the application was made with."""
    state: ApiState = request.app.state.qcface
    return state


@contextmanager
def working(request: Request) -> Iterator[None]:
    """Hold one of the few places for work on pictures.

    Raises
    ------
    HTTPException
        503 if all are taken: a queue would only make every answer late.
    """
    places: BoundedSemaphore = request.app.state.places
    if not places.acquire(blocking=False):
        raise HTTPException(503, "busy with other pictures; try again", headers={"Retry-After": "1"})
    try:
        yield
    finally:
        places.release()


def read_faces(request: Request, upload: UploadFile, name: str) -> tuple[NDArray[np.uint8], tuple[Face, ...]]:
    """Decode an upload and return it with its faces, largest first.

    Raises
    ------
    HTTPException
        503 if too much is being worked on.
    ImageReadError, ImageSizeError, InferenceError
        As `decode_upload` and `FaceEngine.get`.
    """
    settings: ApiSettings = request.app.state.settings
    with working(request):
        picture = decode_upload(upload.file.read(), name, settings.max_pixels)
        return picture, state_of(request).engine.get(picture)


def face_values(request: Request, picture: NDArray[np.uint8], face: Face) -> dict[str, Any]:
    """Return a face as plain values, with what its quality is enough for and what to change."""
    engine = state_of(request).engine
    quality = face.quality if face.quality is not None else 0.0
    report = engine.assess(picture, face)
    return {
        **face.to_dict(),
        "enough_to_enroll": quality >= engine.enroll_below,
        "enough_to_identify": quality >= engine.retry_below,
        "reasons": list(report.reasons),
        "advice": list(report.advice),
    }
