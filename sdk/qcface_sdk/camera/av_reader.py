"""Reads cameras and files with PyAV, which carries FFmpeg."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.camera.address import CameraAddress, SourceKind
from qcface_sdk.camera.lag import LagWatch
from qcface_sdk.camera.options import CaptureOptions
from qcface_sdk.checks import MAX_IMAGE_PIXELS
from qcface_sdk.clock import steady_seconds
from qcface_sdk.errors import BackendUnavailableError, CameraAccessError, CameraError

_log = logging.getLogger("qcface_sdk.camera")

_WITHOUT_STAMPS = ("mpjpeg", "mjpeg")
"""FFmpeg's names of streams of bare pictures."""
_MOST_DAMAGED = 100
"""Undecodable packets in a row after which a connection is given up: the codec may have changed under us."""

_HARDWARE = ("cuda", "vaapi", "videotoolbox", "d3d11va", "qsv")
"""FFmpeg's decoders in the order in which "auto" tries them."""


@dataclass(frozen=True, slots=True)
class AvPicture:
    """A decoded FFmpeg frame."""

    frame: Any
    stream_time: float | None

    def to_bgr(self) -> NDArray[np.uint8]:
        """Return BGR uint8 (H, W, 3)."""
        return np.asarray(self.frame.to_ndarray(format="bgr24"), np.uint8)


class AvReader:
    """One connection through FFmpeg. Used by one thread.

    Raises
    ------
    BackendUnavailableError
        If PyAV is not installed.
    CameraAccessError
        If the camera refuses user and password.
    CameraError
        If it cannot be reached or gives no video.
    """

    def __init__(self, address: CameraAddress, options: CaptureOptions) -> None:
        self._av = load_av()
        self._address = address
        self.damaged = 0
        self.skipped = 0
        self._container = self._open(options)
        if not self._container.streams.video:
            self._container.close()
            raise CameraError(f"{address.name} has no video, only {len(self._container.streams)} other stream(s)")
        # Motion JPEG over HTTP has no time stamps: FFmpeg makes them up at 25 a second, and a slower camera would look
        # ever later, until every picture was skipped.
        stamped = address.live and self._container.format.name not in _WITHOUT_STAMPS
        self._lag = LagWatch(options.max_lag) if stamped else None
        self._stall_timeout = options.stall_timeout
        self._catching_up = False
        self._late_since: float | None = None
        self._stream = self._container.streams.video[0]
        # Decoding in slices adds no delay; decoding whole frames side by side adds one frame for every thread.
        self._stream.thread_type = "SLICE" if address.live else "AUTO"

    def _open(self, options: CaptureOptions) -> Any:
        location, form = _device(self._address)
        extra = {}
        if self._address.kind is SourceKind.RTSP:
            extra = {"rtsp_transport": options.transport, "fflags": "nobuffer"}
        arguments = {
            "format": form,
            "options": extra,
            # Files on a network share can hang too, but none waits for a camera that is switched off.
            "timeout": (options.connect_timeout, options.stall_timeout),
        }
        hardware = _hardware(self._av, options.hardware)
        try:
            try:
                return self._av.open(location, hwaccel=hardware, **arguments)
            except (self._av.error.FFmpegError, NotImplementedError):
                if hardware is None:
                    raise
                return self._av.open(location, **arguments)
        except (self._av.error.FFmpegError, OSError, ValueError) as error:
            raise self._error("cannot open", error) from None  # the cause's text holds the password

    def pictures(self) -> Iterator[AvPicture | None]:
        """Yield pictures until the source ends, and ``None`` for each that is passed over to catch up.

        Raises
        ------
        CameraError
            If the connection breaks or stalls, stays late, or nothing can be decoded any more.
        """
        bad = 0
        for packet in self._packets():
            if self._passes_over(packet):
                self.skipped += 1
                yield None
                continue
            try:
                frames = packet.decode()
            except self._av.error.EOFError:
                return
            except (self._av.error.FFmpegError, ValueError):
                frames, bad = [], bad + 1
                self.damaged += 1
            for frame in frames:
                if frame.is_corrupt or frame.width * frame.height > MAX_IMAGE_PIXELS:
                    self.damaged += 1
                    continue
                bad = 0
                yield AvPicture(frame, frame.time)
            if bad > _MOST_DAMAGED:
                raise CameraError(f"{self._address.name} sent {bad} pieces in a row that cannot be decoded")

    def _passes_over(self, packet: Any) -> bool:
        """Return whether a packet is to be skipped: it is late, or needs one that was.

        Raises
        ------
        CameraError
            If that gave no picture for `stall_timeout`: skipping does not help then, a new connection may.
        """
        if self._lag is None or packet.pts is None or packet.time_base is None:
            return False
        now = steady_seconds()
        late = self._lag.behind(float(packet.pts * packet.time_base), now)
        self._catching_up = late or (self._catching_up and not packet.is_keyframe)
        if not self._catching_up:
            self._late_since = None
            return False
        if self._late_since is None:
            self._late_since = now
        # Whoever caught up and waits for a key frame is not late, however far apart those are.
        if late and now - self._late_since > self._stall_timeout:
            raise CameraError(f"{self._address.name} sent only late pictures for {self._stall_timeout:g} s")
        return True

    def _packets(self) -> Iterator[Any]:
        try:
            yield from self._container.demux(self._stream)
        except self._av.error.EOFError:
            return
        except (self._av.error.FFmpegError, OSError, ValueError) as error:
            raise self._error("lost", error) from None

    def _error(self, what: str, error: Exception) -> CameraError:
        name = self._address.name
        refused = (self._av.error.HTTPUnauthorizedError, self._av.error.HTTPForbiddenError)
        if isinstance(error, refused):
            return CameraAccessError(f"{what} {name}: user or password refused; check the credentials in the address")
        if isinstance(error, self._av.error.ExitError):
            return CameraError(f"{what} {name}: no answer in time; is the camera on, and the address right?")
        text = getattr(error, "strerror", None) or type(error).__name__
        return CameraError(f"{what} {name}: {self._address.scrub(str(text))}")

    def close(self) -> None:
        """End the connection."""
        # A camera that is gone cannot be told goodbye.
        with contextlib.suppress(self._av.error.FFmpegError, OSError):
            self._container.close()


def load_av() -> Any:
    """Return the `av` package.

    Raises
    ------
    BackendUnavailableError
        If it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise BackendUnavailableError(
            'reading cameras needs PyAV, which is not installed; run: pip install "qcface-sdk[camera]"'
        ) from error
    return av


def _device(address: CameraAddress) -> tuple[str, str | None]:
    """Return what FFmpeg opens and the name of its input format, ``None`` where it finds out itself."""
    if address.kind is not SourceKind.USB:
        return address.location, None
    number = address.location
    if sys.platform == "darwin":
        return number, "avfoundation"
    if sys.platform == "win32":
        return f"video={number}", "dshow"
    return (f"/dev/video{number}" if number.isdigit() else number), "v4l2"


_probed: dict[str, bool] = {}
_probe_lock = threading.Lock()


def _hardware(av: Any, wanted: str) -> Any:
    """Return the hardware decoder to ask for, or ``None`` for software."""
    if wanted == "off":
        return None
    known = av.codec.hwaccel.hwdevices_available()
    names = [name for name in _HARDWARE if name in known] if wanted == "auto" else [wanted]
    for name in names:
        with _probe_lock:
            if name not in _probed:
                _probed[name] = _works(av, name)
        if _probed[name]:
            return av.codec.hwaccel.HWAccel(device_type=name, allow_software_fallback=True)
    if wanted != "auto":
        raise CameraError(f"hardware decoder {wanted!r} is not here; FFmpeg knows {', '.join(known)}, or use 'auto'")
    return None


def _works(av: Any, name: str) -> bool:
    """Return whether a device of that name can be made on this machine."""
    try:
        av.codec.hwaccel.HWAccel(device_type=name, allow_software_fallback=False).create(av.codec.Codec("h264", "r"))
    except (av.error.FFmpegError, NotImplementedError, OSError, RuntimeError, ValueError) as error:
        _log.debug("hardware decoder %s is not usable here: %s", name, type(error).__name__)
        return False
    return True
