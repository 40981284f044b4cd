"""What every request passes first: host, origin, size, key; and the headers that every answer carries."""

from __future__ import annotations

import contextlib
from urllib.parse import urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qcface_sdk.api.access import Access
from qcface_sdk.api.problems import problem
from qcface_sdk.api.settings import ApiSettings

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_HEADERS = {
    # Script and style come from files of ours alone; pictures may be blobs, as they are fetched with the key.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}


class _TooLargeError(Exception):
    """A body without a declared length went past the limit."""


class Guard:
    """ASGI middleware: refuses foreign hosts, foreign origins, unknown keys and bodies that are too large, unread.

    A browser lets any page send a form to this machine. The API's key travels in a header that a foreign page cannot
    set, so such a request has no rights; the origin is checked all the same, for the day someone adds a cookie.

    Parameters
    ----------
    app : ASGI application
        What is guarded.
    settings : ApiSettings
        Hosts and limits.
    access : Access
        Judges keys; a request to ``/v1/`` carries its key on as ``scope["qcface_key"]``.
    """

    def __init__(self, app: ASGIApp, settings: ApiSettings, access: Access) -> None:
        self._app = app
        self._settings = settings
        self._access = access
        self._hosts = {host.lower() for host in settings.allowed_hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass, answer the rest."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, self._settings.max_body_bytes)
        guarded = _with_headers(send, https=self._settings.tls is not None)
        try:
            self._check(scope, Headers(scope=scope))
        except HTTPException as refusal:
            answer = problem(refusal.status_code, str(refusal.detail), headers=dict(refusal.headers or {}))
            await answer(scope, receive, guarded)
            return
        with contextlib.suppress(_TooLargeError):
            await self._app(scope, body.receive, body.unless_too_large(guarded))
        if body.is_too_large:
            await problem(413, self._too_large())(scope, receive, guarded)

    def _check(self, scope: Scope, headers: Headers) -> None:
        if _host_name(headers.get("host", "")) not in self._hosts:
            raise HTTPException(421, "unknown host name; add it to api.hosts in the configuration")
        origin = headers.get("origin")
        is_foreign = origin is not None and _host_name(urlsplit(origin).netloc) not in self._hosts
        if is_foreign and scope["method"] not in _SAFE_METHODS:
            raise HTTPException(403, "requests from pages of other sites are refused")
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            raise HTTPException(400, "content-length must be a whole number")
        if int(length) > self._settings.max_body_bytes:
            raise HTTPException(413, self._too_large())
        if scope["path"].startswith("/v1/"):
            address = scope["client"][0] if scope.get("client") else "unknown"
            scope["qcface_key"] = self._access.admit(headers.get("authorization", ""), address)

    def _too_large(self) -> str:
        return f"the request is larger than {self._settings.max_body_bytes} bytes; scale the picture down"


class _Body:
    """Counts a request's body; past the limit, whatever the application answers is held back."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._most = receive, most
        self._seen = 0

    @property
    def is_too_large(self) -> bool:
        return self._seen > self._most

    async def receive(self) -> Message:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self.is_too_large:
            raise _TooLargeError
        return message

    def unless_too_large(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if not self.is_too_large:
                await send(message)

        return sending


def _host_name(netloc: str) -> str:
    """Strip the port of ``name:port`` or ``[address]:port``."""
    name, colon, port = netloc.rpartition(":")
    return (name if colon and port.isdecimal() else netloc).lower()


def _with_headers(send: Send, *, https: bool) -> Send:
    async def adding(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if https:
                headers.setdefault("strict-transport-security", "max-age=31536000")
        await send(message)

    return adding
