"""Who may do what: the key of a request, its role and its rate."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPBearer

from qcface_sdk.api.keys import ApiKey, KeyFile, Role
from qcface_sdk.api.rate_limit import RateLimit
from qcface_sdk.api.settings import ApiSettings
from qcface_sdk.errors import KeyFileError

_log = logging.getLogger("qcface_sdk.api")

_SCHEME = "bearer "


class Access:
    """Judges the keys of requests. Thread-safe.

    Parameters
    ----------
    settings : ApiSettings
        Names the key file and the rates.
    """

    def __init__(self, settings: ApiSettings) -> None:
        self._keys = KeyFile(settings.keys)
        self._requests = RateLimit(settings.requests_per_minute)
        self._failures = RateLimit(min(60.0, settings.requests_per_minute))

    def admit(self, authorization: str, address: str) -> ApiKey:
        """Return the key of an ``Authorization`` header if it exists and has requests left.

        Raises
        ------
        HTTPException
            401 without a known key, 429 for too many requests or failed attempts, 503 if the key file cannot be read
            (then nobody is let in).
        """
        secret = authorization[len(_SCHEME) :].strip() if authorization.lower().startswith(_SCHEME) else ""
        try:
            key = self._keys.find(secret) if secret else None
        except KeyFileError as error:
            _log.error("nobody is let in: %s", error)
            raise HTTPException(503, "the key file cannot be read; see the log") from error
        if key is None:
            wait = self._failures.take(address)
            if wait:
                raise _too_many(wait, "too many failed attempts from this address")
            raise HTTPException(401, "this needs an API key", headers={"WWW-Authenticate": "Bearer"})
        wait = self._requests.take(key.name)
        if wait:
            raise _too_many(wait, f"key {key.name} has made too many requests")
        return key


def _too_many(wait: float, why: str) -> HTTPException:
    return HTTPException(429, f"{why}; wait {math.ceil(wait)} s", headers={"Retry-After": str(math.ceil(wait))})


# The guard has judged the header before the body was read; this one puts the scheme into the OpenAPI document.
_bearer = HTTPBearer(auto_error=False, description="An API key, made with: qcface keys add FILE NAME --role ROLE")


def _requiring(needed: Role) -> Callable[..., ApiKey]:
    def judge(request: Request, _: Annotated[object, Depends(_bearer)]) -> ApiKey:
        key: ApiKey = request.scope["qcface_key"]
        if key.role < needed:
            wanted, held = needed.name.lower(), key.role.name.lower()
            raise HTTPException(403, f"this needs role {wanted}, key {key.name} has {held}")
        return key

    return judge


Reader = Annotated[ApiKey, Depends(_requiring(Role.READ))]
Enroller = Annotated[ApiKey, Depends(_requiring(Role.ENROL))]
Admin = Annotated[ApiKey, Depends(_requiring(Role.ADMIN))]
