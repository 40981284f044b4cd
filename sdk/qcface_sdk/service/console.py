"""What the REST API and the console may see of the service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qcface_sdk.api.settings import ApiSettings
from qcface_sdk.api.state import ApiState, LiveFace, LiveFrame
from qcface_sdk.clock import steady_seconds
from qcface_sdk.engine import FaceEngine
from qcface_sdk.events.log import EventLog
from qcface_sdk.gallery import Gallery
from qcface_sdk.service.runner import DoorRunner


class LogReader:
    """Reads past events from the log."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def recent(self, limit: int, *, door: str | None = None, before: str | None = None) -> Sequence[Mapping[str, Any]]:
        """Return the newest events as plain values, newest first; only those older than the id `before`."""
        return [event.to_dict() for event in self._log.recent(limit, door=door, before=before)]


class WatchedDoor:
    """Looks at a door."""

    def __init__(self, runner: DoorRunner) -> None:
        self._runner = runner

    def live(self) -> LiveFrame | None:
        """Return the newest frame, ``None`` while there is none."""
        door = self._runner.door
        view = None if door is None else door.view
        if view is None:
            return None
        faces = tuple(
            LiveFace(
                (float(box[0]), float(box[1]), float(box[2]), float(box[3])),
                track.track,
                track.quality,
                track.label,
                track.outcome.value if track.outcome else None,
            )
            for track in view.tracks
            for box in (track.face.bbox,)
        )
        return LiveFrame(view.frame.image, faces, view.state, steady_seconds() - view.frame.arrived)


class Console:
    """The API on its address, over one generation of models.

    Raises
    ------
    ApiServerError, KeyFileError
        If it cannot listen, or there are no keys.
    """

    def __init__(
        self,
        settings: ApiSettings,
        engine: FaceEngine,
        gallery: Gallery,
        log: EventLog,
        runners: Mapping[str, DoorRunner],
        problems: Callable[[], Mapping[str, Any]],
    ) -> None:
        from qcface_sdk.api.server import ApiServer

        doors = {name: WatchedDoor(runner) for name, runner in runners.items()}
        self._server = ApiServer(ApiState(engine, gallery, LogReader(log), doors, problems), settings)
        self._server.start()

    @property
    def url(self) -> str:
        """Address of the console."""
        return self._server.url

    def close(self) -> None:
        """Finish what is being answered, then stop."""
        self._server.stop()
