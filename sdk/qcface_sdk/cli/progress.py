"""A progress bar on standard error, only where a person watches."""

from __future__ import annotations

import sys
import time
from types import TracebackType

_WIDTH = 28
_REDRAW_SECONDS = 0.1


class Progress:
    """Counts steps of a long work. Draws nothing unless standard error is a terminal. Not thread-safe.

    Parameters
    ----------
    total : int or None
        Steps to come; ``None`` where nobody knows: steps and time are counted then.
    noun : str
        What is counted, in the plural.
    beside_output : bool, default False
        Whether lines are printed to standard output meanwhile; a bar would then tear them apart on a terminal.
    """

    def __init__(self, total: int | None, noun: str, *, beside_output: bool = False) -> None:
        self._total, self._noun, self._done = total, noun, 0
        torn = beside_output and sys.stdout.isatty()
        self._visible = (total is None or total > 1) and sys.stderr.isatty() and not torn
        self._began = time.monotonic()
        self._drawn = 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._visible:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def advance(self, steps: int = 1) -> None:
        """Count `steps` and redraw if it is time to."""
        self._done += steps
        now = time.monotonic()
        if self._visible and (now - self._drawn >= _REDRAW_SECONDS or self._done == self._total):
            self._drawn = now
            sys.stderr.write("\r\x1b[K" + self.line(now - self._began))
            sys.stderr.flush()

    def line(self, seconds: float) -> str:
        """Return the bar as text, `seconds` after the start."""
        if self._total is None:
            return f"{self._done} {self._noun}, {seconds:.0f} s"
        filled = min(_WIDTH, _WIDTH * self._done // max(1, self._total))
        rate = self._done / seconds if seconds > 0 else 0.0
        rest = f", {max(0, self._total - self._done) / rate:.0f} s left" if rate > 0 else ""
        bar = "#" * filled + "." * (_WIDTH - filled)
        return f"[{bar}] {self._done}/{self._total} {self._noun}{rest}"
