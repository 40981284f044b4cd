"""`qcface run` as a process of its own, with a configuration in a folder, for tests and the soak."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import cv2
import numpy as np

from broker import wait_until
from qcface_sdk import FaceEngine, Gallery
from qcface_sdk.events import DoorEvent
from qcface_sdk.events.log import EventLog

CONFIG = """
[service]
state = "state"
log_format = "json"
stop_seconds = 3
{service}
[engine]
min_face = 40
{engine}
[gallery.people]
path = "people.db"
[[door]]
name = "front"
source = "{source}"
{door}
[door.rules]
min_face = 60
cooldown = {cooldown}
{rules}
[door.capture]
{capture}
{open}
[events.file]
path = "events.jsonl"
[metrics]
port = 0
{more}
"""


def write_film(path: Path, picture: np.ndarray, frames: int = 20) -> None:
    """A person standing before the camera, with its noise: an exact repetition would be a frozen camera."""
    rng = np.random.default_rng(1)
    height, width = picture.shape[:2]
    film = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (width, height))
    for _ in range(frames):
        noise = rng.normal(0, 2, picture.shape)
        film.write(np.clip(picture + noise, 0, 255).astype(np.uint8))
    film.release()


def enrol(path: Path, engine: FaceEngine, subject: str, picture: np.ndarray) -> None:
    with Gallery.open(path, contract=engine.contract) as gallery:
        gallery.enroll(subject, engine.get(picture)[0])


class ServiceProcess:
    """One folder with a configuration, and the service that runs from it, as often as it is started."""

    def __init__(self, folder: Path, **parts: object) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self.configure(**parts)

    def configure(self, **parts: object) -> None:
        blank: dict[str, object] = dict.fromkeys(("service", "engine", "door", "rules", "open", "more"), "")
        blank |= {"capture": "realtime = true\nloop = true", "cooldown": 1, "source": "film.avi"}
        (self.folder / "door.toml").write_text(CONFIG.format(**(blank | parts)))

    def start(self, *arguments: str, wait: bool = True) -> ServiceProcess:
        command = [sys.executable, "-m", "qcface_sdk.cli", "run", "--config", str(self.folder / "door.toml")]
        self.lines = []
        self._process = subprocess.Popen(
            [*command, *arguments], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,))
        self._reader.start()
        if wait:
            assert wait_until(lambda: self.said("running 1 door"), 60), self.lines
        return self

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        self.lines.extend(line for line in process.stderr)
        process.stderr.close()

    def said(self, text: str) -> bool:
        return any(text in line for line in list(self.lines))

    def send(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def end(self, number: int = signal.SIGTERM, seconds: float = 30) -> int:
        assert self._process is not None
        if self._process.poll() is None:
            self.send(number)
        code = self._process.wait(seconds)
        self._reader.join()
        return code

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def get(self, path: str) -> tuple[int, str]:
        ports = re.findall(r"health and metrics at http://127.0.0.1:(\d+)/", "".join(self.lines))
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{ports[-1]}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def events(self) -> list[DoorEvent]:
        """The log, oldest first; may be read while the service runs."""
        if not (self.folder / "state" / "events.db").exists():
            return []
        log = EventLog(self.folder / "state" / "events.db")
        try:
            return list(reversed(log.recent(1_000_000)))
        finally:
            log.close()

    def accepts(self) -> list[DoorEvent]:
        return [event for event in self.events() if event.accepted]

    def written(self) -> list[DoorEvent]:
        """The event file."""
        lines = (self.folder / "events.jsonl").read_text().splitlines()
        return [DoorEvent.from_dict(json.loads(line)) for line in lines]
