"""The events of a door for asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable

from qcface_sdk.events import DoorEvent


async def stream_events(source: Iterable[DoorEvent], close: Callable[[], None]) -> AsyncIterator[DoorEvent]:
    """Yield what `source` yields, while it runs in a thread of its own; `close` ends it.

    Leaving the ``async for`` early, or being cancelled, closes it. What it raises is raised here.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[DoorEvent | BaseException | None] = asyncio.Queue()

    def put(item: DoorEvent | BaseException | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def work() -> None:
        try:
            for event in source:
                put(event)
            put(None)
        except Exception as error:  # noqa: BLE001 - it is raised again where the events are awaited
            put(error)

    thread = threading.Thread(target=work, name="door events", daemon=True)
    thread.start()
    try:
        while (item := await queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        if thread.is_alive():
            await asyncio.to_thread(close)
            await asyncio.to_thread(thread.join)
