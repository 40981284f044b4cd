"""Looks after the doors: counts frames, finds hung ones, tidies the log, and tells systemd that all is well."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from qcface_sdk.clock import steady_seconds
from qcface_sdk.errors import DeliveryError
from qcface_sdk.events import EventKind
from qcface_sdk.events.log import EventLog
from qcface_sdk.service.notify import notify
from qcface_sdk.service.runner import DoorRunner

_logger = logging.getLogger(__name__)
_PRUNE_SECONDS = 3600.0
_CLOCK_JUMP_SECONDS = 600.0


class Watch:
    """A thread that looks once a second. What it does to a hung door is nothing: such a door decides nothing.

    A stage that comes back after too long finds its result thrown away (`DoorRules.stage_timeout`, `max_age`), so a
    hung door fails closed by itself. The watch makes that known: a fault event, health, metrics; and it stops telling
    systemd that all is well, which then starts the service anew.

    Parameters
    ----------
    runners : callable
        Gives the doors there are now.
    log : EventLog
        Is tidied hourly.
    hang_seconds : float
        Busy with one stage for longer is hung.
    gone : callable
        Gives the doors whose gallery has vanished, and what to do.
    tidy : sequence of callable
        Called whenever old events are removed from the log.
    interval : float
        Seconds between looks.
    """

    def __init__(
        self,
        runners: Callable[[], Iterable[DoorRunner]],
        log: EventLog,
        hang_seconds: float,
        gone: Callable[[], Mapping[str, str]] = dict,
        tidy: Sequence[Callable[[], object]] = (),
        interval: float = 1.0,
    ) -> None:
        self.fps: dict[str, float] = {}
        """Pictures that arrived in the last second, by door."""
        self.hung: dict[str, str] = {}
        """Door to what it hangs in."""
        self.gone: dict[str, str] = {}
        """Door to what happened to its gallery."""
        self._gone, self._tidy = gone, tidy
        self._runners = runners
        self._log = log
        self._hang_seconds = hang_seconds
        self._interval = interval
        self._arrived: dict[str, tuple[int, float]] = {}
        self._pruned = steady_seconds()
        self._offset = time.time() - steady_seconds()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End. Harmless when repeated."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(5.0)

    def look(self) -> None:
        """Look once."""
        gone = self._gone()
        for runner in self._runners():
            self._count(runner)
            self._look_for_hang(runner)
            self._look_for_gallery(runner, gone.get(runner.name))
        if not self.hung:
            notify("WATCHDOG=1")
        if steady_seconds() - self._pruned >= _PRUNE_SECONDS:
            self._pruned = steady_seconds()
            self.prune()

    def prune(self) -> None:
        """Remove old events, unless the wall clock has just jumped: then the age of everything is in doubt."""
        offset = time.time() - steady_seconds()
        jump, self._offset = abs(offset - self._offset), offset
        if jump > _CLOCK_JUMP_SECONDS:
            _logger.warning("the clock jumped by %.0f s; old events are not removed before the next hour", jump)
            return
        try:
            pruned = self._log.prune()
            for tidy in self._tidy:
                tidy()
        except DeliveryError as error:
            _logger.error("%s", error)
            return
        if pruned.events:
            _logger.info("removed %d old events, %d of them undelivered", pruned.events, pruned.undelivered)

    def _count(self, runner: DoorRunner) -> None:
        status = runner.status
        if status is None:
            self.fps.pop(runner.name, None)
            return
        now = steady_seconds()
        before, since = self._arrived.get(runner.name, (0, now - self._interval))
        arrived = status.capture.arrived
        self._arrived[runner.name] = (arrived, now)
        if now > since:
            self.fps[runner.name] = max(0, arrived - before) / (now - since)

    def _look_for_hang(self, runner: DoorRunner) -> None:
        status = runner.status
        busy = None if status is None else status.busy
        if busy is not None and busy[1] > self._hang_seconds:
            if runner.name not in self.hung:
                self.hung[runner.name] = f"hangs in stage {busy[0]}"
                _logger.error("door %s hangs in stage %s since %.0f s; it stays shut", runner.name, *busy)
                # In a thread: where the log is what hangs, telling hangs too.
                told = {"reasons": ("door_hangs",), "message": f"stage {busy[0]} hangs; the door stays shut"}
                threading.Thread(target=runner.tell, args=(EventKind.FAULT,), kwargs=told, daemon=True).start()
        elif self.hung.pop(runner.name, None) is not None:
            _logger.warning("door %s works again", runner.name)
            runner.tell(EventKind.RECOVERED, reasons=("door_hangs",))

    def _look_for_gallery(self, runner: DoorRunner, problem: str | None) -> None:
        if problem is not None and runner.name not in self.gone:
            self.gone[runner.name] = problem
            _logger.error("door %s: %s", runner.name, problem)
            runner.tell(EventKind.FAULT, reasons=("gallery_gone",), message=problem[:1000])
        elif problem is None and self.gone.pop(runner.name, None) is not None:
            runner.tell(EventKind.RECOVERED, reasons=("gallery_gone",))

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                self.look()
            except Exception:
                _logger.exception("the watch failed; it goes on")
