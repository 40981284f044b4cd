"""Carries events from the log to one destination, in order, until it has taken them."""

from __future__ import annotations

import logging
import threading

from qcface_sdk.backoff import Backoff
from qcface_sdk.errors import QCFaceError
from qcface_sdk.events.log import EventLog
from qcface_sdk.events.sink import EventSink

_logger = logging.getLogger(__name__)
_IDLE_SECONDS = 0.2


class Delivery:
    """A thread that hands the events of a log to a sink, each at least once and in the order of the log.

    What the sink took is noted after it took it, so a crash in between sends that event again, with the same id. While
    the sink refuses, the thread waits, longer each time, and tries the same event: a later one never overtakes it. It
    ends with `close` only: whatever else goes wrong, such as an event in the log that cannot be read, is a failure too.

    Parameters
    ----------
    log : EventLog
        Where the events are.
    name : str
        Of the destination; it keeps its place in the log under this name.
    sink : EventSink
        Its `emit` returns when the other side has the event. Closed by `close`.
    backoff : Backoff, optional
        Waits between attempts.
    """

    def __init__(self, log: EventLog, name: str, sink: EventSink, backoff: Backoff | None = None) -> None:
        self.name = name
        self.failures = 0
        """Failed attempts so far."""
        self.last_error: str | None = None
        """What the last attempt failed with; ``None`` while all is well."""
        self._log = log
        self._sink = sink
        self._backoff = backoff or Backoff(first=0.5, longest=60)
        self._stop = threading.Event()
        log.register(name)
        self._thread = threading.Thread(target=self._run, name=f"deliver-{name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def backlog(self) -> int:
        """Events still to be delivered."""
        return self._log.backlog(self.name)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def close(self, timeout: float = 5.0) -> None:
        """Stop after the event in hand, and close the sink. What is left stays in the log for the next start."""
        self._stop.set()
        self._sink.close()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._deliver_some()
            except Exception as error:  # noqa: BLE001 - a thread that ends would deliver nothing any more, unseen
                self._wait(error)

    def _deliver_some(self) -> None:
        # Read before looking, so that an event that comes in between is not waited for.
        newest = self._log.newest
        waiting = self._log.pending(self.name)
        if not waiting:
            self._log.wait_beyond(newest, _IDLE_SECONDS)
        for number, event in waiting:
            if self._stop.is_set():
                break
            self._sink.emit(event)
            self._log.acknowledge(self.name, number)
            self._backoff.reset()
            self._recovered()

    def _recovered(self) -> None:
        if self.last_error is not None:
            _logger.warning("delivery to %s works again", self.name)
            self.last_error = None

    def _wait(self, error: Exception) -> None:
        if self._stop.is_set():
            return
        self.failures += 1
        ours = isinstance(error, QCFaceError)
        # The message of a foreign error may hold anything, such as an address with its token.
        problem = str(error) if ours else type(error).__name__
        if self.last_error is None:
            cause = None if ours else error
            _logger.warning("delivery to %s fails, events are kept: %s", self.name, problem, exc_info=cause)
        self.last_error = problem
        self._stop.wait(self._backoff.next())
