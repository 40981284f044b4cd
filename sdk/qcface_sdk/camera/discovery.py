"""Finds ONVIF cameras in the local network and asks them for their stream; needs the optional package onvif-python."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from qcface_sdk.camera.address import CameraAddress, scrub_text
from qcface_sdk.checks import check_positive
from qcface_sdk.errors import BackendUnavailableError, CameraAccessError, CameraError


@dataclass(frozen=True, slots=True)
class FoundCamera:
    """A camera that answered."""

    host: str
    """Address or name."""
    port: int
    """Of its ONVIF service."""
    https: bool
    """Whether that speaks TLS."""
    name: str | None
    """What it calls itself."""
    hardware: str | None
    """Its model."""


def find_cameras(seconds: float = 4.0) -> tuple[FoundCamera, ...]:
    """Return the ONVIF cameras that answer a WS-Discovery probe in this network segment, by address.

    Anybody in the network can answer; whether it is your camera is for you to know.

    Raises
    ------
    BackendUnavailableError
        If onvif-python is not installed.
    CameraError
        If the network cannot be asked.
    """
    wait = math.ceil(check_positive("seconds", seconds))
    onvif = _load()
    try:
        devices = onvif.ONVIFDiscovery(timeout=wait).discover()
    except OSError as error:
        raise CameraError(f"cannot look for cameras: {error.strerror or type(error).__name__}") from error
    found = {(str(device["host"]), int(device["port"])): _camera(device) for device in devices}
    return tuple(found[key] for key in sorted(found))


def stream_of(camera: FoundCamera, user: str, password: str) -> CameraAddress:
    """Return the address of a camera's first video stream, with the credentials in it.

    Pass ``address.location`` to `Capture` or `Door`; ``address.name`` is what may be shown.

    Raises
    ------
    BackendUnavailableError
        If onvif-python is not installed.
    CameraAccessError
        If the camera refuses user and password.
    CameraError
        If it cannot be asked, or has no stream.
    """
    onvif = _load()
    try:
        # HTTP Digest, so that the password is not sent in the clear where there is no TLS.
        client = onvif.ONVIFClient(camera.host, camera.port, user, password, http_digest=True, use_https=camera.https)
        media = client.media()
        profiles = media.GetProfiles()
        setup = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
        uri = str(media.GetStreamUri(setup, profiles[0].token).Uri) if profiles else ""
    except Exception as error:  # noqa: BLE001
        # The package raises what zeep, requests and the camera's SOAP make of it; the text may hold the request.
        kind = type(error).__name__
        refused = "NotAuthorized" in str(error) or "401" in str(error)
        if refused:
            raise CameraAccessError(f"camera {camera.host} refuses user and password") from None
        raise CameraError(f"camera {camera.host} did not tell its stream: {kind}") from None
    parts = urlsplit(uri)
    if parts.scheme not in ("rtsp", "rtsps") or not parts.hostname:
        raise CameraError(f"camera {camera.host} named no RTSP stream, but {scrub_text(uri) or 'nothing'}")
    place = parts.netloc.rpartition("@")[2]
    secret = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return CameraAddress.parse(parts._replace(netloc=f"{secret}@{place}").geturl())


def _camera(device: dict[str, Any]) -> FoundCamera:
    return FoundCamera(
        str(device["host"]),
        int(device["port"]),
        bool(device.get("use_https")),
        _scope(device, "name"),
        _scope(device, "hardware"),
    )


def _scope(device: dict[str, Any], kind: str) -> str | None:
    for scope in device.get("scopes") or ():
        _, found, value = str(scope).partition(f"/{kind}/")
        if found and value:
            # Comes from the network: no control characters into anybody's terminal.
            return "".join(letter for letter in unquote(value) if letter.isprintable())[:64] or None
    return None


def _load() -> Any:
    try:
        import onvif
    except ImportError as error:
        raise BackendUnavailableError(
            "finding ONVIF cameras needs onvif-python, which is not installed; run: pip install onvif-python"
        ) from error
    if not hasattr(onvif, "ONVIFDiscovery"):
        raise BackendUnavailableError(
            "another package named onvif is installed, or an old one; run: pip install 'onvif-python>=0.4'"
        )
    return onvif
