"""`Service`: everything that one configuration file asks for, running."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from qcface_sdk.actuators import Actuator
from qcface_sdk.camera import Door
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import QCFaceError
from qcface_sdk.events import EventKind, EventSink
from qcface_sdk.events.delivery import Delivery
from qcface_sdk.events.json_lines import JsonLines
from qcface_sdk.events.log import EventLog
from qcface_sdk.gallery import Gallery
from qcface_sdk.service import health
from qcface_sdk.service.building import make_door, make_sinks, prepare_actuator
from qcface_sdk.service.config import DoorConfig, ServiceConfig
from qcface_sdk.service.console import Console
from qcface_sdk.service.loader import load_config
from qcface_sdk.service.metrics import Sample
from qcface_sdk.service.models import Models
from qcface_sdk.service.monitor import Monitor
from qcface_sdk.service.notify import notify, reloading
from qcface_sdk.service.runner import DoorRunner
from qcface_sdk.service.state import StateFolder
from qcface_sdk.service.watch import Watch

_logger = logging.getLogger(__name__)
_GRACE_SECONDS = 10.0
"""How long a replaced engine stays open for the doors that are in the middle of a picture."""
_FIXED = ("service", "events", "mqtt", "metrics", "api")


class Service:
    """Runs doors, deliveries, metrics and API. `start`, then `wait` or `reload`, then `stop`; a context manager too.

    Parameters
    ----------
    config : ServiceConfig
        See `qcface_sdk.service.load_config`.

    Raises
    ------
    QCFaceError
        From the constructor or `start`, if a part cannot be had: state folder, event log, model, gallery, port,
        actuator, secret. Nothing is left running. Cameras and brokers are not among them: those are waited for.
    """

    def __init__(self, config: ServiceConfig) -> None:
        self.config = config
        self.reloads = health.Reloads()
        self._runners: dict[str, DoorRunner] = {}
        self._prepared: dict[str, Callable[[], Actuator] | None] = {}
        self._actuators: dict[str, Actuator | None] = {}
        self._deliveries: list[Delivery] = []
        self._sinks: dict[str, EventSink] = {}
        self._monitor: Monitor | None = None
        self._console: Console | None = None
        self._console_problem: str | None = None
        self._lock = threading.Lock()
        self._stopped = False
        self._state = StateFolder(config.service.state)
        self._watch: Watch | None = None
        self._log: EventLog | None = None
        self._models: Models | None = None
        try:
            events = config.events
            self._log = EventLog(
                self._state.log_path, retention_days=events.retention_days, max_events=events.max_events
            )
            self._models = Models.load(config)
            for door in config.door:
                self._prepared[door.name] = prepare_actuator(door.open, config.mqtt, door.name)
                self._actuator(door.name)
            self._sinks = make_sinks(config)
        except BaseException:
            self.stop()
            raise

    # What others may look at.

    @property
    def engine(self) -> FaceEngine:
        """The engine in use; another one after a reload."""
        assert self._models is not None
        return self._models.engine

    @property
    def galleries(self) -> Mapping[str, Gallery]:
        """The galleries in use, by name; others after a reload."""
        assert self._models is not None
        return self._models.galleries

    @property
    def log(self) -> EventLog:
        """The durable log of events."""
        assert self._log is not None
        return self._log

    @property
    def doors(self) -> Mapping[str, DoorRunner]:
        """The doors by name."""
        return MappingProxyType(self._runners)

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """Where events are being delivered."""
        return tuple(self._deliveries)

    @property
    def monitor_port(self) -> int | None:
        """Port of health and metrics, where configured."""
        return None if self._monitor is None else self._monitor.port

    @property
    def console_url(self) -> str | None:
        """Address of the console, where configured."""
        return None if self._console is None else self._console.url

    def problems(self) -> dict[str, str]:
        """Return what is wrong now, by part; empty when all is well."""
        hung, gone = ({}, {}) if self._watch is None else (self._watch.hung, self._watch.gone)
        found = health.problems(self._runners.values(), self._deliveries, hung | gone, self.reloads)
        return found if self._console_problem is None else found | {"console": self._console_problem}

    def health(self) -> dict[str, Any]:
        """Return the answer of ``/health``."""
        return health.health(self.problems(), self._runners.values())

    def samples(self) -> Iterator[Sample]:
        """Yield the metrics."""
        manifest = self.engine.bundle.manifest
        model = {"model": manifest.name, "version": manifest.version, "contract": self.engine.contract}
        watch = self._watch
        hung, gone, fps = ({}, {}, {}) if watch is None else (watch.hung, watch.gone, watch.fps)
        return health.samples(model, self._runners.values(), self._deliveries, hung, gone, fps, self.reloads)

    # Its life.

    def start(self) -> None:
        """Begin; everything that can refuse has answered when this returns."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        metrics = self.config.metrics
        if metrics is not None:
            self._monitor = Monitor(metrics.host, metrics.port, self.health, self.samples)
            _logger.info("health and metrics at http://%s:%d/", metrics.host, self._monitor.port)
        self.log.forget_destinations(set(self._sinks))
        for name, sink in self._sinks.items():
            delivery = Delivery(self.log, name, sink)
            self._deliveries.append(delivery)
            delivery.start()
        hang_seconds = self.config.service.hang_seconds
        files = [sink.prune for sink in self._sinks.values() if isinstance(sink, JsonLines)]
        self._watch = Watch(lambda: list(self._runners.values()), self.log, hang_seconds, self._gone, files)
        for door in self.config.door:
            self._add(door)
        self._open_console()
        self._watch.start()
        for runner in self._runners.values():
            runner.start()
        notify("READY=1")
        _logger.info("running %d door(s): %s", len(self._runners), ", ".join(self._runners))

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until every door's recording is over; return whether it is."""
        end = time.monotonic() + seconds
        while any(runner.alive for runner in list(self._runners.values())):
            if time.monotonic() >= end:
                return False
            time.sleep(min(0.1, seconds))
        return True

    def stop(self) -> None:
        """Stop in order: doors, then deliveries with what the doors had to say, then the rest. Harmless repeated."""
        if self._stopped:
            return
        self._stopped = True
        notify("STOPPING=1")
        if self._watch is not None:
            self._watch.close()
        self._stop_runners(list(self._runners.values()))
        self._drain()
        for closing in (*self._deliveries, self._console, self._monitor, *self._actuators.values()):
            if closing is not None:
                closing.close()
        started = {delivery.name for delivery in self._deliveries}
        for name, sink in self._sinks.items():
            if name not in started:
                sink.close()
        for part in (self._models, self._log, self._state):
            if part is not None:
                part.close()

    def reload(self, config: ServiceConfig) -> None:
        """Take another configuration: model, galleries, thresholds, doors. The rest needs a restart, and is said so.

        All of it is loaded before anything is replaced. Doors whose own tables did not change go on with the new
        model and gallery from their next picture; the others begin again. What opens them is taken after the old
        one let go of it: a door for which that fails stays shut, says so, and tries again.

        Raises
        ------
        QCFaceError
            If a part cannot be had; everything goes on as before. The console is none of them: where it cannot be
            opened again, all else is taken, and `problems` says so.
        """
        with self._lock:
            reloading()
            try:
                models = Models.load(config)
                try:
                    changed = self._changed(config)
                    prepared = {
                        door.name: prepare_actuator(door.open, config.mqtt, door.name)
                        for door in changed
                        if not self._opens_as_before(config, door)
                    }
                except BaseException:
                    models.close()
                    raise
            finally:
                notify("READY=1")
            old, self._models = self._models, models
            try:
                self._replace(config, models, changed, prepared)
            finally:
                if old is not None:
                    timer = threading.Timer(_GRACE_SECONDS, old.close)
                    timer.daemon = True
                    timer.start()
            self._reopen_console()

    def reload_file(self, path: str | os.PathLike[str]) -> bool:
        """Read a configuration file and take it; where it is wrong, everything stays and `problems` says so.

        Returns
        -------
        bool
            Whether it was taken.
        """
        try:
            self.reload(load_config(path))
        except QCFaceError as error:
            self.reloads.refused += 1
            self.reloads.problem = str(error)
            _logger.error("the new configuration is refused, the old one stays: %s", error)
            return False
        self.reloads.ok += 1
        self.reloads.problem = None
        return True

    def __enter__(self) -> Service:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # How it is done.

    def _changed(self, config: ServiceConfig) -> list[DoorConfig]:
        for name in _FIXED:
            if getattr(config, name) != getattr(self.config, name):
                _logger.warning("[%s] changed, which takes effect at the next start", name)
        before = {door.name: door for door in self.config.door}
        return [door for door in config.door if before.get(door.name) != door]

    def _replace(
        self,
        config: ServiceConfig,
        models: Models,
        changed: list[DoorConfig],
        prepared: dict[str, Callable[[], Actuator] | None],
    ) -> None:
        # The tables that need a restart stay as they are, so that what is shown is what runs.
        kept = {name: getattr(self.config, name) for name in _FIXED}
        self.config = ServiceConfig(engine=config.engine, gallery=config.gallery, door=config.door, **kept)
        names = {door.name for door in config.door}
        ending = {door.name for door in changed} | (self._runners.keys() - names)
        gone = [self._runners.pop(name) for name in list(self._runners) if name in ending]
        self._stop_runners(gone)
        for runner in gone:
            # One that stays the same is kept, so that no relay is cut short; not while a hung door could still use it.
            if runner.name in prepared or runner.name not in names or runner.alive:
                self._close_actuator(runner.name)
        self._prepared |= prepared
        for door in config.door:
            if door.name in self._runners:
                runner = self._runners[door.name]
                runner.remake(partial(self._make, door))
                people: Any = models.galleries[door.gallery]
                if runner.door is not None:
                    runner.door.reload(engine=models.engine, gallery=people)
        for door in changed:
            self._add(door)
            self._runners[door.name].start()
        _logger.info("configuration reloaded; %d door(s) began again", len(changed))

    def _add(self, door: DoorConfig) -> None:
        self._runners[door.name] = DoorRunner(door.name, door.camera, partial(self._make, door), self.log)

    def _make(self, door: DoorConfig) -> Door:
        return make_door(door, self.engine, self.galleries, self.log, self._actuator(door.name))

    def _gone(self) -> dict[str, str]:
        gone = {} if self._models is None else self._models.gone()
        return {door.name: gone[door.gallery] for door in self.config.door if door.gallery in gone}

    def _opens_as_before(self, config: ServiceConfig, door: DoorConfig) -> bool:
        before = {old.name: old.open for old in self.config.door}
        same = door.name in before and before[door.name] == door.open and config.mqtt == self.config.mqtt
        # Where there is a secret, its file may hold another one now.
        return same and (door.open is None or door.open.secret is None)

    def _actuator(self, door: str) -> Actuator | None:
        # After a reload it is not there yet: the one before held its line, or its name at the broker.
        if door not in self._actuators:
            make = self._prepared[door]
            self._actuators[door] = None if make is None else make()
        return self._actuators[door]

    def _close_actuator(self, door: str) -> None:
        actuator = self._actuators.pop(door, None)
        if actuator is None:
            return
        try:
            actuator.close()
        except Exception:
            _logger.exception("what opened door %s did not close well", door)

    def _reopen_console(self) -> None:
        self._console_problem = None
        try:
            self._open_console()
        except QCFaceError as error:
            self._console_problem = f"{error}; then reload (SIGHUP)"
            _logger.error("the new configuration is taken, but there is no console: %s", error)

    def _open_console(self) -> None:
        settings = self.config.api
        if settings is None:
            return
        if self._console is not None:
            self._console.close()
            self._console = None
        gallery = self.galleries[self.config.door[0].gallery]
        self._console = Console(settings, self.engine, gallery, self.log, self._runners, self.problems)
        _logger.info("API and console at %s", self._console.url)

    def _stop_runners(self, runners: list[DoorRunner]) -> None:
        for runner in runners:
            runner.stop()
        end = time.monotonic() + self.config.service.stop_seconds
        for runner in runners:
            if not runner.join(max(0.0, end - time.monotonic())):
                _logger.error("door %s does not stop; it stays shut", runner.name)
                runner.tell(EventKind.FAULT, reasons=("door_hangs",), message="did not stop in time")

    def _drain(self) -> None:
        end = time.monotonic() + self.config.service.stop_seconds
        for delivery in self._deliveries:
            while delivery.last_error is None and time.monotonic() < end and delivery.backlog:
                time.sleep(0.02)
