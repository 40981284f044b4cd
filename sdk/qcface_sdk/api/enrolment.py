"""Enrolment from uploads: every picture is judged before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import HTTPException, Request, UploadFile

from qcface_sdk.api.pictures import face_values, read_faces, state_of
from qcface_sdk.results import Face, Outcome

_SAME_PERSON_FMR = 1e-3
"""Rate at which pictures enrolled together must match, and at which somebody else enrolled is warned of."""


def enroll_pictures(request: Request, subject: str, uploads: Sequence[UploadFile], *, force: bool) -> dict[str, Any]:
    """Enrol `subject` from pictures that all show one good face.

    Parameters
    ----------
    request : Request
        Carries engine and gallery.
    subject : str
        Id of the person.
    uploads : sequence of UploadFile
        Pictures of that person.
    force : bool
        Enrol although the pictures do not match one another or match somebody enrolled; the answer then says so.

    Returns
    -------
    dict
        Values of an `EnrolmentAnswer`.

    Raises
    ------
    HTTPException
        422 for a picture without a face, with several, or below the enrolment gate: the detail says which and what to
        change. 409 if the pictures show different people, or somebody enrolled under another id.
    """
    faces = [_only_face(request, upload, f"picture {number}") for number, upload in enumerate(uploads, 1)]
    doubts = [*_strangers(request, faces), *_namesakes(request, subject, faces)]
    if doubts and not force:
        raise HTTPException(409, "; ".join(doubts) + "; nothing was enrolled (force enrols all the same)")
    gallery = state_of(request).gallery
    for face in faces:
        gallery.enroll(subject, face, force=True)  # judged above, all pictures together
    return {"subject": subject, "templates": len(faces), "warnings": doubts}


def _only_face(request: Request, upload: UploadFile, name: str) -> Face:
    picture, faces = read_faces(request, upload, name)
    if len(faces) != 1:
        found = f"{len(faces)} faces; crop it to one" if faces else "no face; take one from the front, in good light"
        raise HTTPException(422, f"{name} shows {found}; nothing was enrolled")
    values = face_values(request, picture, faces[0])
    if not values["enough_to_enroll"]:
        wanted = state_of(request).engine.enroll_below
        advice = ", ".join(values["advice"]) or "take a sharper, better lit picture from the front"
        raise HTTPException(
            422,
            f"{name} is too poor to enrol: quality {values['quality']:.0f}, {wanted:.0f} is wanted; {advice}; nothing "
            "was enrolled",
        )
    return faces[0]


def _strangers(request: Request, faces: Sequence[Face]) -> list[str]:
    engine = state_of(request).engine
    return [
        f"picture {number} does not look like the person on picture 1"
        for number, face in enumerate(faces[1:], 2)
        if engine.verify(faces[0], face, fmr=_SAME_PERSON_FMR).decision is Outcome.REJECT
    ]


def _namesakes(request: Request, subject: str, faces: Sequence[Face]) -> list[str]:
    state = state_of(request)
    found = state.gallery.identify_batch(faces, threshold=state.engine.threshold(_SAME_PERSON_FMR), k=1)
    others = {result.subject for result in found} - {None, subject}
    return [f"it looks like {other}, who is enrolled" for other in sorted(str(other) for other in others)]
