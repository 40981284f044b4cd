"""Run a door for long on a camera that keeps failing, and look for leaks: python tests/soak/door.py [--frames N].

The camera is a film of a public-domain portrait that walks up again and again, encoded here and read through the real
capture, decoder, networks, gallery and event log; its connection breaks `--drops` times, at even distances.
Memory, threads and file descriptors are read on the way. Exit status 1 if one of the limits is broken.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from qcface_sdk import CameraError, FaceEngine, Gallery, read_image
from qcface_sdk.benchmark.door import portrait_path
from qcface_sdk.benchmark.walk import Walk
from qcface_sdk.camera import CameraAddress, Capture, CaptureOptions, Door, DoorRules
from qcface_sdk.camera.av_reader import AvPicture, AvReader
from qcface_sdk.events import DoorEvent, EventKind

WALK = Walk(size_wh=(320, 240), fps=15, seconds=3.0, pause=3.0, repeats=5, start_size=20.0, end_size=110.0)
RSS_LIMIT = 2.0
"""Percent of growth in 100,000 frames."""
FPS = 30.0
"""Most pictures a second, twice the film's: on a fast machine a walk would else be over before the door decides."""


class BreakingCamera:
    """Opens the film as a camera's stream that never ends by itself, and breaks each connection after some pictures."""

    def __init__(self, film: Path, pictures: int) -> None:
        self._film, self._pictures = CameraAddress.parse(film), pictures
        self.opened = 0

    def __call__(self, address: CameraAddress, options: CaptureOptions) -> BreakingReader:
        self.opened += 1
        return BreakingReader(self._film, options, self._pictures)


class BreakingReader:
    """One connection."""

    skipped = 0

    def __init__(self, film: CameraAddress, options: CaptureOptions, pictures: int) -> None:
        self._film, self._options, self._left = film, options, pictures
        self._reader = AvReader(film, options)
        self._next = 0.0
        self.damaged = 0

    def pictures(self) -> Iterator[AvPicture]:
        while True:
            for picture in self._reader.pictures():
                assert picture is not None, "a film is never late"
                self._left -= 1
                if self._left < 0:
                    raise CameraError("the soak pulled the cable")
                time.sleep(max(0.0, self._next - time.monotonic()))
                self._next = max(self._next, time.monotonic() - 1.0 / FPS) + 1.0 / FPS
                yield picture
            self._reader.close()
            self._reader = AvReader(self._film, self._options)

    def close(self) -> None:
        self._reader.close()


class Log:
    """An event log as JSON lines, with what has to hold of it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self.ids: set[str] = set()
        self.doubled = 0

    def emit(self, event: DoorEvent) -> None:
        self.doubled += event.id in self.ids
        self.ids.add(event.id)
        self._file.write(json.dumps(event.to_dict()) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class Relay:
    """Counts openings by event."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def open(self, command: Any) -> None:
        command.check()
        self.events.append(command.event_id)

    def close(self) -> None:
        pass


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--drops", type=int, default=50)
    parser.add_argument("--json", type=Path, help="write the figures there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = soak(Path(folder), args.frames, args.drops)
    print(json.dumps(figures, indent=2))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2))
    return 0 if figures["passed"] else 1


def soak(folder: Path, frames: int, drops: int) -> dict[str, Any]:
    """Return the figures of one soak."""
    portrait = read_image(portrait_path())
    with FaceEngine(min_face=24) as engine, Gallery.open(folder / "people.db", contract=engine.contract) as gallery:
        face = engine.get(portrait)[0]
        WALK.write(folder / "walk.mp4", portrait, face.size)
        gallery.enroll("walker", face)
        camera = BreakingCamera(folder / "walk.mp4", max(1, frames // (drops + 1)))
        options = CaptureOptions(every_frame=True, first_delay=0.01, longest_delay=0.05)
        capture = Capture("rtsp://soak:password@camera/stream", options, open_source=camera)
        log, relay = Log(folder / "events.jsonl"), Relay()
        rules = DoorRules(min_face=40, cooldown=1.0, max_age=30.0, stage_timeout=30.0)
        door = Door(engine, gallery, capture, rules=rules, sink=log, actuator=relay)
        samples, kinds, seconds = _watch(door, frames)
        log.close()
    return _judge(samples, kinds, door, log, relay, frames, seconds)


def _watch(door: Door, frames: int) -> tuple[list[tuple[int, int, int, int]], dict[str, int], float]:
    process, start = psutil.Process(), time.perf_counter()
    samples: list[tuple[int, int, int, int]] = []
    kinds: dict[str, int] = {}
    step = max(1, frames // 200)

    def sample() -> None:
        number = door.view.frame.number if door.view else 0
        if not samples or number - samples[-1][0] >= step:
            samples.append((number, process.memory_info().rss, process.num_threads(), process.num_fds()))

    for event in door:
        kinds[event.kind.value] = kinds.get(event.kind.value, 0) + 1
        sample()
        if door.view is not None and door.view.frame.number >= frames:
            break
    sample()
    door.close()
    return samples, kinds, time.perf_counter() - start


def _judge(
    samples: list[tuple[int, int, int, int]],
    kinds: dict[str, int],
    door: Door,
    log: Log,
    relay: Relay,
    frames: int,
    seconds: float,
) -> dict[str, Any]:
    # What is loaded and cached in the first fifth is not growth.
    table = np.array(samples[len(samples) // 5 :], np.float64)
    slope = float(np.polyfit(table[:, 0], table[:, 1], 1)[0]) if len(table) > 2 else 0.0
    percent = 100 * slope * 100_000 / float(table[:, 1].mean())
    accepts = door.status.counts.get("accept", 0)
    opened_twice = len(relay.events) - len(set(relay.events))
    figures = {
        "frames": samples[-1][0],
        "seconds": round(seconds, 1),
        "rss_mb": [round(value / 1e6, 1) for value in (table[0, 1], table[-1, 1])],
        "rss_percent_per_100000": round(percent, 3),
        "threads": [int(table[:, 2].min()), int(table[:, 2].max())],
        "descriptors": [int(table[:, 3].min()), int(table[:, 3].max())],
        "descriptors_first_last": [int(table[0, 3]), int(table[-1, 3])],
        "connections": door.status.capture.connections,
        "accepts": accepts,
        "walks": samples[-1][0] // round(WALK.fps * (WALK.seconds + WALK.pause)) + 1,
        "openings": len(relay.events),
        "events": kinds,
        "doubled_events": log.doubled,
    }
    steady = table[0, 2] >= table[-1, 2] and table[0, 3] >= table[-1, 3]
    figures["passed"] = bool(
        (percent < RSS_LIMIT or frames < 10_000)
        and (steady or frames < 10_000)
        and 0 < accepts <= figures["walks"]
        and accepts == len(relay.events)
        and not opened_twice
        and not log.doubled
        and not kinds.get(EventKind.FAULT.value)
    )
    return figures


if __name__ == "__main__":
    sys.exit(main())
