"""`Capture`: the newest picture of a camera, whatever the camera does."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from types import TracebackType

from qcface_sdk.backoff import Backoff
from qcface_sdk.camera.address import CameraAddress
from qcface_sdk.camera.frame import Frame
from qcface_sdk.camera.options import CaptureOptions
from qcface_sdk.camera.reader import Picture, Reader, open_reader
from qcface_sdk.camera.recording import RecordingClock
from qcface_sdk.clock import steady_seconds
from qcface_sdk.errors import BackendUnavailableError, CameraError

_log = logging.getLogger("qcface_sdk.camera")


class CaptureState(str, Enum):
    """What a capture is doing."""

    CONNECTING = "connecting"
    """No picture yet from this connection."""
    RUNNING = "running"
    """Pictures arrive."""
    STALLED = "stalled"
    """Connected, but no picture for longer than the stall timeout."""
    LOST = "lost"
    """Not connected; waits before the next attempt."""
    ENDED = "ended"
    """A file is over, or the capture was closed."""
    FAILED = "failed"
    """Given up."""


@dataclass(frozen=True, slots=True)
class CaptureStatus:
    """A capture at one moment."""

    state: CaptureState
    """What it is doing."""
    arrived: int
    """Pictures that arrived."""
    dropped: int
    """Pictures that arrived and were replaced by a newer one before anybody took them."""
    damaged: int
    """Pictures that could not be decoded."""
    skipped: int
    """Pictures passed over undecoded to catch up with the camera."""
    connections: int
    """Connections that gave at least one picture."""
    failures: int
    """Attempts that failed since the last picture."""
    age: float | None
    """Seconds since the last picture; ``None`` before the first."""
    error: str | None
    """What went wrong last, without credentials; ``None`` while pictures arrive."""


@dataclass(frozen=True, slots=True)
class _Arrival:
    picture: Picture
    number: int
    time: float
    arrived: float
    wall: datetime
    connection: int


class Capture:
    """Reads one camera or file in a thread of its own, and connects again whenever that breaks.

    A camera gives its newest picture: what nobody took in time is dropped, undecoded to BGR, so that no backlog builds
    up and the age of a picture is bounded. A file gives every picture, and waits. Thread-safe; any number of captures
    may run in one process.

    Parameters
    ----------
    source : str, int or path
        See `CameraAddress.parse`.
    options : CaptureOptions, optional
    open_source : callable, optional
        Makes a `Reader`, instead of FFmpeg's and GStreamer's: for cameras with an interface of their own.

    Raises
    ------
    OptionError
        If `source` cannot be a camera.

    Examples
    --------
    >>> capture = Capture("rtsp://admin:secret@10.0.0.7/stream")
    >>> capture.name
    'rtsp://10.0.0.7/stream'
    >>> capture.close()
    """

    def __init__(
        self,
        source: str | int | os.PathLike[str],
        options: CaptureOptions | None = None,
        *,
        open_source: Callable[[CameraAddress, CaptureOptions], Reader] = open_reader,
    ) -> None:
        self._address = CameraAddress.parse(source)
        self._options = options or CaptureOptions()
        self._open = open_source
        every = self._options.every_frame
        self._paced = self._options.realtime and not self._address.live
        self._every_frame = (not self._address.live and not self._paced) if every is None else every
        self._changed = threading.Condition()
        self._slot: _Arrival | None = None
        self._state = CaptureState.CONNECTING
        self._fault: CameraError | BackendUnavailableError | None = None
        self._arrived = self._dropped = self._damaged = self._skipped = self._connections = self._failures = 0
        self._last: float | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        """The source without credentials."""
        return self._address.name

    @property
    def live(self) -> bool:
        """Whether time passes by the clock here, and not by the recording."""
        return not self._every_frame

    @property
    def status(self) -> CaptureStatus:
        """What it is doing now."""
        with self._changed:
            age = None if self._last is None else steady_seconds() - self._last
            state = self._state
            # Some drivers block for ever without an error; only a look from outside finds that.
            if state is CaptureState.RUNNING and self.live and age is not None and age > self._options.stall_timeout:
                state = CaptureState.STALLED
            fault = None if self._fault is None or state is CaptureState.RUNNING else str(self._fault)
            return CaptureStatus(
                state,
                self._arrived,
                self._dropped,
                self._damaged,
                self._skipped,
                self._connections,
                self._failures,
                age,
                fault,
            )

    def read(self, timeout: float | None = None) -> Frame | None:
        """Return a picture that was not returned before.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait for it; default as long as it takes.

        Returns
        -------
        Frame or None
            ``None`` when none came in time, or the source is at its end: see `status`.

        Raises
        ------
        CameraError, BackendUnavailableError
            If the capture has given up.
        """
        self._start()
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._changed:
                while self._slot is None:
                    if self._state is CaptureState.FAILED and self._fault is not None:
                        raise self._fault.with_traceback(None)
                    left = None if until is None else until - time.monotonic()
                    if self._state is CaptureState.ENDED or (left is not None and left <= 0):
                        return None
                    self._changed.wait(left)
                arrival, self._slot = self._slot, None
                self._changed.notify_all()
            if (frame := self._convert(arrival)) is not None:
                return frame

    def _convert(self, arrival: _Arrival) -> Frame | None:
        try:
            image = arrival.picture.to_bgr()
        except (ValueError, OSError, RuntimeError) as error:
            _log.debug("%s: a picture could not be converted: %s", self.name, type(error).__name__)
            with self._changed:
                self._damaged += 1
            return None
        stamp = arrival.picture.stream_time
        # A recording does not age while it waits to be taken.
        arrived = steady_seconds() if self._every_frame and not self._address.live else arrival.arrived
        return Frame(image, arrival.number, arrival.time, arrived, arrival.wall, stamp, arrival.connection)

    def __iter__(self) -> Iterator[Frame]:
        while (frame := self.read()) is not None:
            yield frame

    def _start(self) -> None:
        with self._changed:
            if self._thread is None and self._state is CaptureState.CONNECTING:
                self._thread = threading.Thread(target=self._run, name=f"capture {self.name}", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        options = self._options
        backoff = Backoff(options.first_delay, options.longest_delay)
        most = 1 if not self._address.live else options.attempts
        try:
            while not self._stop.is_set():
                fault = self._connect_and_read(backoff)
                if fault is None:
                    break
                last = isinstance(fault, BackendUnavailableError) or (most is not None and backoff.failures + 1 >= most)
                delay = backoff.next()
                self._note(CaptureState.FAILED if last else CaptureState.LOST, fault, backoff.failures)
                if last:
                    return
                _log.warning("%s; trying again in %.1f s (failure %d)", fault, delay, backoff.failures)
                self._stop.wait(delay)
        except Exception as error:  # noqa: BLE001 - a thread that dies unseen would leave a door waiting for ever
            name = type(error).__name__
            self._note(CaptureState.FAILED, CameraError(f"reading {self.name} failed: {name}"), backoff.failures)
            return
        self._note(CaptureState.ENDED, None, 0)

    def _connect_and_read(self, backoff: Backoff) -> CameraError | BackendUnavailableError | None:
        """Read one connection to its end; return what ended it, ``None`` where that is as it should be."""
        self._note(CaptureState.CONNECTING, self._fault, backoff.failures)
        reader: Reader | None = None
        try:
            reader = self._open(self._address, self._options)
            clock = RecordingClock()
            while True:
                got_any = self._read_all(reader, clock, backoff)
                if self._stop.is_set():
                    return None
                if self._address.live:
                    return CameraError(f"lost {self.name}: the camera ended the stream")
                if not got_any:
                    return CameraError(f"{self.name} holds no picture that can be decoded")
                if not self._options.loop:
                    return None
                reader.close()
                reader = self._open(self._address, self._options)
        except (CameraError, BackendUnavailableError) as error:
            return error
        finally:
            if reader is not None:
                reader.close()

    def _read_all(self, reader: Reader, clock: RecordingClock, backoff: Backoff) -> bool:
        damaged = skipped = 0
        got_any = False
        for picture in reader.pictures():
            with self._changed:
                self._damaged += reader.damaged - damaged
                self._skipped += reader.skipped - skipped
            damaged, skipped = reader.damaged, reader.skipped
            if picture is None:
                if self._stop.is_set():
                    return got_any
                continue
            recorded = clock.seconds(picture.stream_time)
            if self._paced and self._stop.wait(max(0.0, clock.wait(recorded, steady_seconds()))):
                return got_any
            if not got_any:
                got_any = True
                backoff.reset()
                self._first_picture()
            if not self._offer(picture, recorded):
                return got_any
        return got_any

    def _first_picture(self) -> None:
        with self._changed:
            self._connections += 1
            self._failures = 0
            self._state, self._fault = CaptureState.RUNNING, None
        _log.info("%s: pictures arrive", self.name)

    def _offer(self, picture: Picture, recorded: float) -> bool:
        """Put a picture where `read` finds it; return whether to go on."""
        with self._changed:
            while self._every_frame and self._slot is not None and not self._stop.is_set():
                self._changed.wait(0.5)
            if self._stop.is_set():
                return False
            self._dropped += self._slot is not None
            now = steady_seconds()
            self._slot = _Arrival(
                picture,
                self._arrived,
                recorded if self._every_frame and not self._address.live else now,
                now,
                datetime.now(timezone.utc),
                self._connections - 1,
            )
            self._arrived += 1
            self._last = now
            self._changed.notify_all()
        return True

    def _note(self, state: CaptureState, fault: CameraError | BackendUnavailableError | None, failures: int) -> None:
        with self._changed:
            self._state, self._fault, self._failures = state, fault, failures
            self._changed.notify_all()

    def close(self) -> None:
        """Stop reading. Harmless when repeated; `read` gives ``None`` afterwards.

        Waits for the thread; FFmpeg leaves a silent connection after its timeout at the latest.
        """
        self._stop.set()
        with self._changed:
            thread, self._slot = self._thread, None
            if thread is None:
                self._state = CaptureState.ENDED
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(self._options.connect_timeout + self._options.stall_timeout)

    def __enter__(self) -> Capture:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Capture({self.name}, {self.status.state.value})"
