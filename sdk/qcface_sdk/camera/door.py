"""`Door`: a camera, a model and a gallery in, decisions out."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType

from qcface_sdk.actuators import Actuator
from qcface_sdk.camera.access import AccessRule
from qcface_sdk.camera.capture import Capture, CaptureState
from qcface_sdk.camera.case import Case, CaseState, Verdict
from qcface_sdk.camera.credential import Credentials
from qcface_sdk.camera.decider import Decider, PeopleIndex
from qcface_sdk.camera.events_async import stream_events
from qcface_sdk.camera.feed import FrameSource
from qcface_sdk.camera.frame import Frame
from qcface_sdk.camera.liveness import LivenessCheck
from qcface_sdk.camera.options import CaptureOptions
from qcface_sdk.camera.outbox import Outbox
from qcface_sdk.camera.passage import PassageWatch
from qcface_sdk.camera.people import People
from qcface_sdk.camera.rules import DoorRules
from qcface_sdk.camera.snapshots import Snapshots
from qcface_sdk.camera.stages import StageError, Stages
from qcface_sdk.camera.status import DoorStatus
from qcface_sdk.camera.tamper import Sight, TamperWatch
from qcface_sdk.camera.view import DoorView, view_of
from qcface_sdk.clock import steady_seconds
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import BackendUnavailableError, CameraError
from qcface_sdk.events import DoorEvent, EventKind, EventSink
from qcface_sdk.results import Outcome

_log = logging.getLogger("qcface_sdk.camera")

_LOOK = 0.2
"""Seconds after which the camera's state is looked at, pictures or not."""


class Door:
    """Watches one camera and decides on everyone who comes, each on their own. Iterate over it for the events.

    ::

        for event in Door(engine, gallery, "rtsp://10.0.0.7/stream"):
            if event.accepted:
                relay.pulse()

    Whatever fails (camera, networks, gallery, liveness, rules, log, relay) gives a fault event and no accept. An
    accept is in the log before anything opens. Iterating runs in the caller's thread; `view`, `status`, `present` and
    `reload` may be called from any thread.

    Parameters
    ----------
    engine : FaceEngine
        Made with a ``min_face`` below the door's, so that people too far away are seen and told to come closer.
    gallery : Gallery
        Who is known. For rules by FPIR opened with ``engine=engine``.
    source : str, int, path or FrameSource
        See `CameraAddress.parse`; or a source of your own, such as `FrameFeed`.
    name, camera : str
        Names in events: letters, digits, ``_`` and ``-``.
    rules : DoorRules, optional
        What is asked of a person.
    capture : CaptureOptions, optional
        How the camera is read.
    liveness : LivenessCheck, optional
        Asked before every accept. Without one, every event says ``not_checked``: a printed photograph is a face.
    access : AccessRule, optional
        Who may come in when; asked after recognition.
    sink : EventSink, optional
        Makes events durable.
    actuator : Actuator, optional
        Opens. Without one, do it yourself when an event is ``accepted``.
    snapshots : Snapshots, optional
        Saves the picture of every decision, bystanders blurred. Without it no picture is kept.

    Raises
    ------
    OptionError
        If `source` is no camera, or a name is not of that form.
    ThresholdUnavailableError
        If the model's measurements do not support the false-match rate.
    """

    def __init__(
        self,
        engine: FaceEngine,
        gallery: PeopleIndex,
        source: str | int | os.PathLike[str] | FrameSource,
        *,
        name: str = "door",
        camera: str = "camera",
        rules: DoorRules | None = None,
        capture: CaptureOptions | None = None,
        liveness: LivenessCheck | None = None,
        access: AccessRule | None = None,
        sink: EventSink | None = None,
        actuator: Actuator | None = None,
        snapshots: Snapshots | None = None,
    ) -> None:
        self._engine, self._gallery, self._rules = engine, gallery, rules or DoorRules()
        self._liveness, self._access, self._snapshots = liveness, access, snapshots
        self.name = name
        self._stages = Stages(self._rules.stage_timeout)
        self._outbox = Outbox(name, camera, self._stages, sink, actuator)
        self._outbox.make(EventKind.STARTED)  # refuses names that no event could carry
        self._people = People(self._rules, self._stages, self._decider(engine, gallery), engine.fusion)
        path_like = isinstance(source, (str, int, os.PathLike))
        self._source: FrameSource = Capture(source, capture) if path_like else source  # type: ignore[arg-type, assignment]
        self._tamper = TamperWatch(frozen_seconds=self._rules.frozen_seconds)
        self._sight = Sight.CLEAR
        self._passage = PassageWatch(self._rules.pass_seconds)
        self._credentials = Credentials(self._rules.credential_seconds, taken=self._rules.credential != "none")
        self._accepted: dict[str, float] = {}
        self._faults: dict[str, str] = {}
        self._camera_lost = False
        self._connection = 0
        self._time = 0.0
        self._stale = 0
        self._view: DoorView | None = None
        self._reload: tuple[FaceEngine, PeopleIndex] | None = None
        self._reload_lock = threading.Lock()
        self._closed = threading.Event()

    def _decider(self, engine: FaceEngine, gallery: PeopleIndex) -> Decider:
        return Decider(
            engine,
            gallery,
            self._rules,
            self._stages,
            door=self.name,
            liveness=self._liveness,
            access=self._access,
        )

    def __iter__(self) -> Iterator[DoorEvent]:
        """Watch until the source ends or `close` is called; errors as in `looks`."""
        for events in self.looks():
            yield from events

    def looks(self) -> Iterator[list[DoorEvent]]:
        """Watch until the source ends or `close` is called, and yield what each look brought: mostly no event.

        A look is taken with each picture, and a few times a second without one. For who has more to do than to handle
        events, such as looking at `view` or `status`.

        Raises
        ------
        CameraError, BackendUnavailableError
            If the camera cannot be read and the capture gives up; a file that is none at once.
        """
        while not self._closed.is_set():
            try:
                frame = self._source.read(_LOOK)
            except (CameraError, BackendUnavailableError) as error:
                self._outbox.tell_trouble(EventKind.CAMERA_LOST, message=str(error))
                yield self._outbox.take()
                raise
            self._watch_camera()
            if frame is not None:
                self._take(frame)
            yield self._outbox.take()
            if frame is None and self._source.status.state is CaptureState.ENDED:
                break
        self._guarded(lambda: self._goodbye(self._people.leave()))
        yield self._outbox.take()

    def __aiter__(self) -> AsyncIterator[DoorEvent]:
        """Iterate without blocking the event loop: the door works in a thread of its own."""
        return stream_events(self, self.close)

    def run(self, *callbacks: Callable[[DoorEvent], object]) -> None:
        """Watch until the end, and call every callback with every event. What a callback raises ends it."""
        for event in self:
            for callback in callbacks:
                callback(event)

    def present(self, subject: str) -> None:
        """Say that a credential of `subject` was presented: the next face is compared with that subject (1:1).

        Thread-safe.

        Raises
        ------
        OptionError
            If the rules ask for no credential (``DoorRules(credential="none")``, the default), or `subject` is no id.
        """
        self._credentials.present(subject)

    def reload(self, *, engine: FaceEngine | None = None, gallery: PeopleIndex | None = None) -> None:
        """Use another engine or gallery from the next picture on; undecided people start anew. Thread-safe.

        Where that fails, it is tried again with each picture, and until it succeeds nobody is decided on.
        """
        with self._reload_lock:
            before = self._reload or (self._engine, self._gallery)
            self._reload = (engine or before[0], gallery or before[1])

    @property
    def view(self) -> DoorView | None:
        """The newest picture with its people; ``None`` before the first. Thread-safe, and costs the door nothing."""
        return self._view

    @property
    def status(self) -> DoorStatus:
        """What the door is doing, and how fast. Thread-safe."""
        return DoorStatus(
            self.name,
            self.state,
            self._source.name,
            self._source.status,
            self._stages.times(),
            self._stages.busy,
            dict(self._outbox.counts),
            dict(self._faults),
            self._stale,
        )

    @property
    def state(self) -> str:
        """``"idle"``, ``"seen"``, ``"collecting"``, ``"cooling"`` or ``"fault"``."""
        states = {case.state for case in self._people.in_view}
        if self._faults or self._camera_lost or self._sight is not Sight.CLEAR:
            return "fault"
        if CaseState.COLLECTING in states:
            return "collecting"
        if states & {CaseState.ACCEPTED, CaseState.COOLING, CaseState.CLOSED}:
            return "cooling"
        return "seen" if states else "idle"

    def close(self) -> None:
        """End iterating and close the camera. Harmless when repeated; engine, gallery and sink stay open."""
        self._closed.set()
        self._source.close()

    def __enter__(self) -> Door:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What happens with one picture. Every step may raise StageError, and then the picture leads to no accept.

    def _take(self, frame: Frame) -> None:
        self._time = frame.time
        self._stages.succeeded.clear()
        if self._guarded(lambda: self._process(frame)):
            self._recover()
        self._stages.note("frame", steady_seconds() - frame.arrived)
        self._view = DoorView(self.name, frame, tuple(view_of(case) for case in self._people.in_view), self.state)

    def _guarded(self, call: Callable[[], None]) -> bool:
        """Run `call`; turn its failure into a fault and forget the evidence that it may have damaged."""
        try:
            call()
        except StageError as error:
            self._people.restart(self._time)
            if error.stage not in self._faults:
                _log.error("%s: %s", self.name, error, exc_info=error.__cause__)
                self._faults[error.stage] = str(error)
                self._outbox.tell_trouble(
                    EventKind.FAULT, reasons=(f"{error.stage}_failed",), message=str(error)[:1000]
                )
            return False
        return True

    def _recover(self) -> None:
        for stage in [stage for stage in self._faults if stage in self._stages.succeeded]:
            del self._faults[stage]
            self._outbox.tell_trouble(EventKind.RECOVERED, reasons=(f"{stage}_failed",), message=f"{stage} works again")

    def _process(self, frame: Frame) -> None:
        self._apply_reload()
        if frame.connection != self._connection:
            self._connection = frame.connection
            self._tamper.reset()
            self._people.restart(frame.time)
        sight = self._stages.run("tamper", lambda: self._tamper.update(frame.image, frame.time))
        self._watch_sight(sight)
        faces = frame.faces
        if faces is None:
            faces = self._stages.run("detect", lambda: self._engine.detect(frame.image))
        self._goodbye(self._people.follow(faces, frame.time))
        if sight is not Sight.CLEAR:
            self._people.restart(frame.time)
            return
        credential = self._credentials.current()
        for decision in self._people.judge(frame, credential):
            self._conclude(decision.case, decision.verdict, frame, used=credential)

    def _conclude(self, case: Case, verdict: Verdict, frame: Frame, used: str | None) -> None:
        accept = verdict.outcome is Outcome.ACCEPT
        if accept and self._too_old(frame):
            self._stale += 1
            case.restart(self._engine.fusion(), frame.time)
            return
        if accept and verdict.subject is not None and self._was_accepted(verdict.subject, frame.time):
            self._people.settle(case, verdict, frame.time)
            return
        event = self._event_of(case, verdict, frame)
        self._outbox.tell(event)
        self._people.settle(case, verdict, frame.time)
        if accept and verdict.subject is not None:
            self._accepted[verdict.subject] = frame.time
            self._passage.accepted(frame.time)
            if used is not None:
                self._credentials.used(used)
            self._outbox.open(event, lambda: not self._too_old(frame))

    def _was_accepted(self, subject: str, time: float) -> bool:
        """Return whether a person was accepted a moment ago: one accept, one opening."""
        self._accepted = {who: at for who, at in self._accepted.items() if time - at < self._rules.cooldown}
        return subject in self._accepted

    def _too_old(self, frame: Frame) -> bool:
        return steady_seconds() - frame.arrived > self._rules.max_age

    def _event_of(self, case: Case, verdict: Verdict, frame: Frame | None) -> DoorEvent:
        event = self._outbox.make(
            EventKind.DECISION,
            outcome=verdict.outcome,
            reasons=verdict.reasons,
            advice=verdict.advice,
            subject=verdict.subject,
            similarity=verdict.similarity,
            threshold=verdict.threshold,
            fmr=verdict.fmr,
            quality=verdict.quality,
            quality_reasons=verdict.quality_reasons,
            track=case.track.id,
            liveness=verdict.liveness,
            bbox=case.face.bbox,
            contract=self._engine.contract,
        )
        snapshots = self._snapshots
        if snapshots is None or frame is None:
            return event
        others = [other.face for other in self._people.in_view]
        path = self._stages.run("snapshot", lambda: snapshots.save(event.id, frame.image, case.face, others))
        return DoorEvent.from_dict({**event.to_dict(), "snapshot": path})

    def _goodbye(self, cases: tuple[Case, ...]) -> None:
        for case in cases:
            if (verdict := self._people.farewell(case)) is not None:
                self._outbox.tell(self._event_of(case, verdict, None))
                self._people.settle(case, verdict, self._time)
            sizes = [size for _, size in case.track.sizes]
            if case.asked and self._passage.gone(case.track.last_seen, case.face.size, max(sizes)):
                self._outbox.tell(
                    self._outbox.make(
                        EventKind.TAILGATING, track=case.track.id, message="more people passed than were accepted"
                    )
                )

    def _apply_reload(self) -> None:
        with self._reload_lock:
            wanted = self._reload
        if wanted is None:
            return
        engine, gallery = wanted
        # Where this fails the request stays, so that the old gallery, with people removed since, decides on nobody.
        decider = self._stages.run("reload", lambda: self._decider(engine, gallery))
        with self._reload_lock:
            self._engine, self._gallery = engine, gallery
            if self._reload is wanted:
                self._reload = None
        self._people.decider = decider
        self._people.use(engine.fusion, self._time)
        self._outbox.tell(self._outbox.make(EventKind.RELOADED))

    def _watch_sight(self, sight: Sight) -> None:
        if sight is self._sight:
            return
        before, self._sight = self._sight, sight
        if sight is not Sight.CLEAR:
            self._outbox.tell(
                self._outbox.make(
                    EventKind.TAMPER, reasons=(sight.value,), message=f"the camera's picture is {sight.value}"
                )
            )
        else:
            self._outbox.tell(self._outbox.make(EventKind.RECOVERED, reasons=(before.value,)))

    def _watch_camera(self) -> None:
        status = self._source.status
        lost = status.state in (CaptureState.LOST, CaptureState.STALLED)
        if lost and not self._camera_lost:
            self._camera_lost = True
            self._outbox.tell_trouble(EventKind.CAMERA_LOST, message=status.error or "no pictures arrive")
        elif self._camera_lost and status.state is CaptureState.RUNNING:
            self._camera_lost = False
            self._outbox.tell_trouble(EventKind.CAMERA_BACK)
