"""The ASGI application: guard, access, paths under ``/v1``, and the console's files."""

from __future__ import annotations

import threading
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from qcface_sdk.api.access import Access
from qcface_sdk.api.answers import ProblemAnswer
from qcface_sdk.api.guard import Guard
from qcface_sdk.api.problems import PROBLEM, add_problem_handlers
from qcface_sdk.api.routes import about, doors, people, pictures
from qcface_sdk.api.settings import ApiSettings
from qcface_sdk.api.state import ApiState

CONSOLE = Path(__file__).parent / "console"
"""Files of the web console; served as they are, no build step."""

_PROBLEMS = {
    status: {"model": ProblemAnswer, "content": {PROBLEM: {}}, "description": text}
    for status, text in {
        400: "Malformed request",
        401: "No valid API key",
        403: "The key's role is too small, or a foreign origin",
        404: "No such thing",
        409: "In conflict with what is enrolled",
        413: "Too large",
        422: "Understood, but cannot be done: the detail says why and what to do",
        429: "Too many requests",
        503: "Busy, or storage refuses",
    }.items()
}


def create_app(state: ApiState, settings: ApiSettings) -> FastAPI:
    """Make the application.

    Parameters
    ----------
    state : ApiState
        Engine, gallery and, with a service, its doors and events.
    settings : ApiSettings
        Where it listens and what it lets in.

    Returns
    -------
    FastAPI
        An ASGI application; its OpenAPI document is at ``/openapi.json``.
    """
    from qcface_sdk import __version__

    app = FastAPI(
        title="QCFace",
        version=__version__,
        description="Find, enrol, verify and identify faces. Every answer says how much its picture can be trusted.",
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
    )
    app.state.qcface, app.state.settings = state, settings
    app.state.places = threading.BoundedSemaphore(settings.concurrent)
    add_problem_handlers(app)
    for router in (pictures.router, people.router, doors.router, about.router):
        app.include_router(router, prefix="/v1", responses=_PROBLEMS)  # type: ignore[arg-type]
    app.include_router(about.health_router)
    app.mount("/console", StaticFiles(directory=CONSOLE), name="console")

    @app.get("/", include_in_schema=False)
    def console() -> FileResponse:
        return FileResponse(CONSOLE / "index.html")

    app.add_middleware(Guard, settings=settings, access=Access(settings))
    return app
