"""Doors, their newest frame, and past events."""

from __future__ import annotations

from typing import Annotated, Any

import cv2
from fastapi import APIRouter, HTTPException, Path, Query, Request, Response

from qcface_sdk.api.access import Reader
from qcface_sdk.api.answers import DoorsAnswer, EventsAnswer, LiveAnswer
from qcface_sdk.api.pictures import state_of
from qcface_sdk.api.state import LiveFrame

router = APIRouter(tags=["doors"])

Door = Annotated[str, Path(min_length=1, max_length=128)]

_JPEG_QUALITY = 75
_MOST_WIDTH = 960


@router.get("/doors", response_model=DoorsAnswer)
def doors(request: Request, key: Reader) -> dict[str, Any]:
    """List the doors this service runs."""
    return {"doors": sorted(state_of(request).doors)}


@router.get("/doors/{door}/live", response_model=LiveAnswer)
def live(request: Request, key: Reader, door: Door) -> dict[str, Any]:
    """Return the door's state and the faces in its newest frame."""
    frame = _frame_of(request, door)
    if frame is None:
        empty: dict[str, Any] = dict.fromkeys(("state", "age_seconds", "width", "height"))
        return {"door": door, "running": False, "faces": [], **empty}
    return {
        "door": door,
        "running": True,
        "state": frame.state,
        "age_seconds": round(frame.age_seconds, 3),
        "width": frame.image.shape[1],
        "height": frame.image.shape[0],
        "faces": [
            {
                "bbox": [round(float(value), 1) for value in face.bbox],
                "track": face.track,
                "quality": face.quality,
                "label": face.label,
                "outcome": face.outcome,
            }
            for face in frame.faces
        ],
    }


@router.get(
    "/doors/{door}/frame.jpg", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}, 404: {}}
)
def frame(request: Request, key: Reader, door: Door) -> Response:
    """Return the door's newest frame as JPEG, at most 960 pixels wide. Frames are shown, never stored here."""
    newest = _frame_of(request, door)
    if newest is None:
        raise HTTPException(404, f"door {door} has no frame yet; is its camera connected?")
    image = newest.image
    if image.shape[1] > _MOST_WIDTH:
        scale = _MOST_WIDTH / image.shape[1]
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    written, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not written:
        raise HTTPException(500, "the frame could not be encoded")
    return Response(data.tobytes(), media_type="image/jpeg")


@router.get("/events", response_model=EventsAnswer)
def events(
    request: Request,
    key: Reader,
    door: Annotated[str | None, Query(max_length=128)] = None,
    before: Annotated[str | None, Query(max_length=64, description="Only events older than this id")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> dict[str, Any]:
    """Return past events, newest first."""
    return {"events": [dict(event) for event in state_of(request).events.recent(limit, door=door, before=before)]}


def _frame_of(request: Request, door: str) -> LiveFrame | None:
    known = state_of(request).doors
    if door not in known:
        raise HTTPException(404, f"there is no door {door!r}; GET /v1/doors lists them")
    return known[door].live()
