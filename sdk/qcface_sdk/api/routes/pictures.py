"""Faces, verification and identification on uploaded pictures. Nothing uploaded here is kept."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile

from qcface_sdk.api.access import Reader
from qcface_sdk.api.answers import FacesAnswer, IdentificationAnswer, MatchAnswer
from qcface_sdk.api.pictures import face_values, read_faces, state_of

router = APIRouter(tags=["pictures"])

Fmr = Annotated[float, Form(gt=0, lt=1, description="False-match rate of one comparison, which fixes the threshold")]


@router.post("/faces", response_model=FacesAnswer)
def faces(request: Request, key: Reader, image: Annotated[UploadFile, File()]) -> dict[str, Any]:
    """Find the faces of a picture and say how recognizable they are."""
    picture, found = read_faces(request, image, "image")
    values = [face_values(request, picture, face) for face in found]
    return {"width": picture.shape[1], "height": picture.shape[0], "faces": values}


@router.post("/verify", response_model=MatchAnswer)
def verify(
    request: Request,
    key: Reader,
    image_a: Annotated[UploadFile, File()],
    image_b: Annotated[UploadFile, File()],
    fmr: Fmr = 1e-4,
) -> dict[str, Any]:
    """Compare the largest faces of two pictures (1:1)."""
    engine = state_of(request).engine
    engine.threshold(fmr)  # an unsupported rate is refused before any picture is read
    _, faces_a = read_faces(request, image_a, "image_a")
    _, faces_b = read_faces(request, image_b, "image_b")
    return engine.verify(faces_a[0] if faces_a else None, faces_b[0] if faces_b else None, fmr=fmr).to_dict()


@router.post("/identify", response_model=IdentificationAnswer)
def identify(
    request: Request,
    key: Reader,
    image: Annotated[UploadFile, File()],
    fmr: Fmr = 1e-4,
    fpir: Annotated[
        float | None, Form(gt=0, lt=1, description="Share of strangers accepted in a search; takes the place of fmr")
    ] = None,
    top: Annotated[int, Form(ge=1, le=50)] = 3,
) -> dict[str, Any]:
    """Search the gallery for the largest face of a picture (1:N).

    The threshold is that of one comparison at `fmr`, or, with `fpir`, corrected for the size of the gallery.
    """
    state = state_of(request)
    picture, found = read_faces(request, image, "image")
    face = found[0] if found else None
    result = state.gallery.identify(face, k=top, fmr=fmr if fpir is None else None, fpir=fpir)
    return {**result.to_dict(), "face": None if face is None else face_values(request, picture, face)}
