"""Cameras that do what a test tells them, through the same `Reader` that FFmpeg's goes through."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from qcface_sdk.errors import CameraError


@dataclass
class FakePicture:
    image: np.ndarray
    stream_time: float | None = None
    converted: list[int] | None = None

    def to_bgr(self) -> np.ndarray:
        if self.converted is not None:
            self.converted.append(int(self.image[0, 0, 0]))
        return self.image


def numbered(count: int, start: int = 0) -> list[FakePicture]:
    return [FakePicture(np.full((20, 30, 3), (start + i) % 256, np.uint8), i / 30) for i in range(count)]


@dataclass
class FakeReader:
    """Yields pictures, or ``None``; a callable among them is called, an exception raised."""

    script: Iterable[FakePicture | Callable[[], object] | Exception | None]
    damaged: int = 0
    skipped: int = 0
    closed: threading.Event = field(default_factory=threading.Event)

    def pictures(self) -> Iterator[FakePicture | None]:
        for step in self.script:
            if isinstance(step, Exception):
                raise step
            if callable(step):
                step()
                continue
            yield step

    def close(self) -> None:
        self.closed.set()


@dataclass
class FakeCamera:
    """Opens one reader after the other; a reader may be an error instead."""

    readers: list[FakeReader | Exception]
    opened: int = 0

    def __call__(self, address: object, options: object) -> FakeReader:
        self.opened += 1
        if self.opened > len(self.readers):
            raise CameraError("no more of it")
        reader = self.readers[self.opened - 1]
        if isinstance(reader, Exception):
            raise reader
        return reader
