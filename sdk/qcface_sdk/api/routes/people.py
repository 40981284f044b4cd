"""Who is enrolled: list, enrol, remove, and what is known of one person."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Path, Query, Request, UploadFile

from qcface_sdk.api.access import Admin, Enroller, Reader
from qcface_sdk.api.answers import EnrolmentAnswer, RemovalAnswer, SubjectAnswer, SubjectsAnswer
from qcface_sdk.api.enrolment import enroll_pictures
from qcface_sdk.api.pictures import state_of

router = APIRouter(tags=["people"])

Subject = Annotated[str, Path(min_length=1, max_length=256, description="Id given at enrolment; may hold slashes")]

_MOST_PICTURES = 8


@router.get("/subjects", response_model=SubjectsAnswer)
def subjects(
    request: Request,
    key: Reader,
    after: Annotated[str | None, Query(max_length=256, description="Continue behind this id")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """List the ids of enrolled people."""
    everybody = state_of(request).gallery.subjects()
    rest = [name for name in everybody if after is None or name > after]
    page = rest[:limit]
    return {"subjects": page, "total": len(everybody), "next": page[-1] if len(rest) > limit else None}


@router.post("/subjects", response_model=EnrolmentAnswer, status_code=201)
def enroll(
    request: Request,
    key: Enroller,
    subject: Annotated[str, Form(min_length=1, max_length=256)],
    image: Annotated[list[UploadFile], File(min_length=1, max_length=_MOST_PICTURES)],
    force: Annotated[bool, Form(description="Enrol although it may be somebody enrolled under another id")] = False,
) -> dict[str, Any]:
    """Enrol a person from one to eight pictures, each with exactly one face of enough quality.

    A picture that is too poor is refused with what to change. Nothing is enrolled unless all pictures are good.
    """
    return enroll_pictures(request, subject, image, force=force)


@router.get("/subjects/{subject:path}", response_model=SubjectAnswer)
def subject_of(request: Request, key: Reader, subject: Subject) -> dict[str, Any]:
    """Say what is known of a person, without biometrics."""
    return {"subject": subject, "templates": len(state_of(request).gallery.get(subject, expired=True))}


@router.delete("/subjects/{subject:path}", response_model=RemovalAnswer)
def remove(request: Request, key: Admin, subject: Subject) -> dict[str, Any]:
    """Remove a person with all templates; the receipt says what was destroyed."""
    receipt = state_of(request).gallery.remove(subject)
    return {"subject": subject, "templates": receipt.templates, "receipt": receipt.to_dict()}
