"""Where pictures come from, and how to speak of it without telling anyone the password."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from urllib.parse import unquote, urlsplit

from qcface_sdk.errors import OptionError

_SECRET_PAIR = re.compile(r"([?&/;]?(?:user|usr|login|name|pass|pwd|auth|token|key|secret)[\w.-]*)=[^&/;?\s]*", re.I)
_USER_IN_URL = re.compile(r"(\w+://)[^/\s@]*@")


class SourceKind(str, Enum):
    """What kind of thing gives the pictures."""

    FILE = "file"
    """A video file: it ends, and nothing of it is lost by reading slowly."""
    USB = "usb"
    """A camera at this machine, by number or device name."""
    RTSP = "rtsp"
    """A network camera."""
    HTTP = "http"
    """A network camera that sends MJPEG, or any stream FFmpeg reads over HTTP."""
    GSTREAMER = "gstreamer"
    """A GStreamer pipeline through an OpenCV that was built with it."""


@dataclass(frozen=True, slots=True)
class CameraAddress:
    """A source of pictures. Immutable; its text forms hold no credentials.

    Examples
    --------
    >>> CameraAddress.parse("rtsp://admin:secret@10.0.0.7/stream?token=abc")
    CameraAddress(kind=<SourceKind.RTSP: 'rtsp'>, name='rtsp://10.0.0.7/stream?token=***')
    """

    kind: SourceKind
    """What it is."""
    location: str = field(repr=False)
    """What FFmpeg, the driver or GStreamer is given; may hold a password."""
    name: str
    """The same for messages and logs: without user, password and tokens."""

    @classmethod
    def parse(cls, source: str | int | os.PathLike[str]) -> CameraAddress:
        """Return the address that a user wrote.

        Parameters
        ----------
        source : str, int or path
            Number of a camera at this machine or its device (``/dev/video0``); ``rtsp://`` or ``rtsps://``;
            ``http://`` or ``https://``; ``gst:`` and a GStreamer pipeline that ends in ``appsink``; else a file.

        Raises
        ------
        OptionError
            If it is none of these, or has a scheme that cameras do not speak.
        """
        if isinstance(source, bool) or not isinstance(source, (str, int, os.PathLike)):
            raise OptionError(f"source must be an address, a camera's number or a path, got {type(source).__name__}")
        if isinstance(source, int) or (isinstance(source, str) and source.isdigit()):
            return cls._usb(int(source))
        text = os.fspath(source)
        if not isinstance(text, str) or not text.strip():
            raise OptionError("source must not be empty; give an address, a camera's number or a path")
        scheme = text.partition(":")[0].lower() if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+:", text) else ""
        if scheme == "gst":
            return cls(SourceKind.GSTREAMER, text[4:].strip(), scrub_text(text))
        if "://" in text:
            return cls._network(text, scheme)
        if text.startswith("/dev/video"):
            return cls(SourceKind.USB, text, text)
        return cls(SourceKind.FILE, str(Path(text)), f"file {Path(text).name}")

    @classmethod
    def _usb(cls, number: int) -> CameraAddress:
        if number < 0:
            raise OptionError(f"a camera's number must be 0 or more, got {number}")
        return cls(SourceKind.USB, str(number), f"camera {number}")

    @classmethod
    def _network(cls, text: str, scheme: str) -> CameraAddress:
        kinds = {"rtsp": SourceKind.RTSP, "rtsps": SourceKind.RTSP, "http": SourceKind.HTTP, "https": SourceKind.HTTP}
        if scheme not in kinds:
            raise OptionError(
                f"source must be rtsp, rtsps, http or https, a file or a camera's number, got {scheme}://"
            )
        try:
            parts = urlsplit(text)
            known = bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            known = False
        if not known:
            raise OptionError(f"source {scrub_text(text)} has no valid host and port; write {scheme}://HOST:PORT/PATH")
        return cls(kinds[scheme], text, scrub_text(text))

    @property
    def live(self) -> bool:
        """Whether pictures come when they come: all but files."""
        return self.kind is not SourceKind.FILE

    def scrub(self, text: str) -> str:
        """Return `text` without the address's credentials, however it quotes them."""
        clean = text.replace(self.location, self.name)
        for secret in self._secrets():
            clean = clean.replace(secret, "***")
        return scrub_text(clean)

    def _secrets(self) -> list[str]:
        if self.kind not in (SourceKind.RTSP, SourceKind.HTTP):
            return []
        parts = urlsplit(self.location)
        values = [parts.password or "", *re.findall(r"=([^&/;?\s]+)", parts.path + "?" + parts.query)]
        # One character would black out half of every message, and hides nothing.
        return sorted({form for value in values for form in (value, unquote(value)) if len(form) > 2}, key=len)[::-1]


def scrub_text(text: str) -> str:
    """Return `text` without what looks like credentials in an address.

    Examples
    --------
    >>> scrub_text("cannot open http://me:pw@cam/video?user=me&pwd=pw")
    'cannot open http://cam/video?user=***&pwd=***'
    """
    return _SECRET_PAIR.sub(r"\1=***", _USER_IN_URL.sub(r"\1", text))
