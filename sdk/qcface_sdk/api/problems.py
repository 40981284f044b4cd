"""Errors as RFC 9457 problem documents: the SDK's own message, a status that fits, and never a traceback."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from qcface_sdk.errors import (
    ContractMismatchError,
    GalleryStorageError,
    ImageSizeError,
    InputError,
    QCFaceError,
    ThresholdUnavailableError,
    UnknownSubjectError,
)

_log = logging.getLogger("qcface_sdk.api")

_STATUS: tuple[tuple[type[QCFaceError], HTTPStatus], ...] = (
    (UnknownSubjectError, HTTPStatus.NOT_FOUND),
    (ImageSizeError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (ThresholdUnavailableError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (ContractMismatchError, HTTPStatus.CONFLICT),
    (InputError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (GalleryStorageError, HTTPStatus.SERVICE_UNAVAILABLE),
)
"""First match counts; anything else of ours is a 500 with its message."""

PROBLEM = "application/problem+json"


def problem(
    status: int, detail: str, *, error: str | None = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    """Return a problem document."""
    content: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    content["detail"] = detail
    if error is not None:
        content["error"] = error
    return JSONResponse(content, status, headers=headers, media_type=PROBLEM)


def status_of(error: QCFaceError) -> int:
    """Return the HTTP status that fits an error of the SDK."""
    return next((int(status) for kind, status in _STATUS if isinstance(error, kind)), 500)


def add_problem_handlers(app: FastAPI) -> None:
    """Make every error of `app` a problem document."""

    @app.exception_handler(QCFaceError)
    def of_sdk(request: Request, error: QCFaceError) -> JSONResponse:
        status = status_of(error)
        if status >= 500:
            _log.error("%s %s: %s", request.method, request.url.path, error)
        return problem(status, str(error), error=type(error).__name__)

    @app.exception_handler(HTTPException)
    def of_http(request: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, str(error.detail), headers=dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    def of_validation(request: Request, error: RequestValidationError) -> JSONResponse:
        # What was sent may be a picture or a name: only the places and the reasons are repeated.
        parts = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
        return problem(422, "; ".join(parts))

    @app.exception_handler(Exception)
    def of_fault(request: Request, error: Exception) -> JSONResponse:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return problem(500, "a fault in this program; the log has the details")
